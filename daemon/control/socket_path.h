/* SPDX-License-Identifier: MIT */
/*
 * The control socket in the file system, when the daemon binds it itself. Main thread; does not log.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "macro.h"

/* What was bound, so that only that is removed. */
struct socket_path {
    char *path; /* NULL: nothing */
    dev_t dev;
    ino_t ino;
};

/* A listening, non-blocking Unix stream socket at `path`, mode 0666. With make_directory, a missing parent directory is
 * made, 0755. A socket on which nobody answers is replaced. Returns the fd, or: -EADDRINUSE somebody answers; -EEXIST
 * something else than a socket is there; -ENAMETOOLONG; -EINVAL an empty path; or another negative errno. */
int socket_path_bind(const char *path, bool make_directory, struct socket_path *ret) _must_check_;
/* Removes the path if it still is the socket that was bound. */
void socket_path_done(struct socket_path *b);
