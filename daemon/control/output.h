/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way to one client. Main thread; the owner decides how much it lets pile up.
 */
#pragma once

#include <stddef.h>

#include "macro.h"

/* Zero-initialise. */
struct output {
    char *data;
    size_t start, size, allocated; /* waiting: data[start .. size) */
};

static inline size_t output_pending(const struct output *o) {
    return o->size - o->start;
}

/* 0 or -ENOMEM. */
int output_append(struct output *o, const void *data, size_t size) _must_check_;
/* Sends as much as the socket takes without waiting. 1: something went; 0: nothing did (or nothing waits); or negative
 * errno: the other end is gone. Memory is given back when nothing waits any more. */
int output_flush(struct output *o, int fd);
/* Forgets what waits. */
void output_done(struct output *o);
