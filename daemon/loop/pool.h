/* SPDX-License-Identifier: MIT */
/*
 * Buffers, borrowed only while data is pending. Sizes are powers of two; a bounded amount of free ones is kept for the
 * next borrower. One pool a worker, one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

#define POOL_CLASSES 16                                /* 4K, 8K ... 128M */
#define POOL_KEPT_BYTES_MAX ((size_t) 4 * 1024 * 1024) /* free buffers kept */

/* Bytes [start, end) of `data` are pending. */
struct buf {
    struct buf *next;
    size_t capacity, start, end;
    uint8_t data[];
};

struct pool {
    struct buf *free[POOL_CLASSES];
    size_t kept_bytes;     /* in `free` */
    size_t borrowed_bytes; /* out there */
};

/* An empty buffer of at least `size` bytes; NULL when out of memory or over the largest class. */
struct buf *pool_borrow(struct pool *p, size_t size) _must_check_;
/* Gives it back; accepts NULL, returns NULL. */
struct buf *pool_return(struct pool *p, struct buf *b);
/* Appends to *b: borrows one if it is NULL, moves to a larger one if it must. 0 or -ENOMEM (then *b is as before). */
int pool_append(struct pool *p, struct buf **b, const void *data, size_t size) _must_check_;
void pool_done(struct pool *p);

static inline size_t buf_size(const struct buf *b) {
    return b ? b->end - b->start : 0;
}
