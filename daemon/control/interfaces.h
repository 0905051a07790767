/* SPDX-License-Identifier: MIT */
/*
 * The interface descriptions, embedded at build time from the .varlink files of this room (embed.py).
 */
#pragma once

#include <stddef.h>

struct interface {
    const char *name;
    const char *description; /* the file, as it is */
};

/* Ends with a NULL name. */
extern const struct interface interfaces[];
