/* SPDX-License-Identifier: MIT */
/*
 * Which files make up the configuration, and their bytes. For this room only. Blocks on the disk, never on a FIFO.
 */
#pragma once

#include <stddef.h>

#include "load.h"

#define FILES_MAX 257 /* the main file and 256 drop-ins */

/* Stores `path` and then `path`.d/[all]*.conf in byte order as l->config->files. Names that begin with a dot are left
 * out. A directory that cannot be listed is a fault. 0 or -ENOMEM. */
int files_find(struct load *l, const char *path) _must_check_;

/* The bytes of a regular file of at most CONFIG_FILE_BYTES_MAX, with "\n" and a NUL byte added (libconfig 1.5 wants a
 * newline after a last comment); *ret_size counts the newline. Owned by the caller.
 * 0; -EINVAL: a fault was added; -ENOMEM. */
int file_read(struct load *l, const char *path, char **ret_text, size_t *ret_size) _must_check_;
