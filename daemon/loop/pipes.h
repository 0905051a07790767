/* SPDX-License-Identifier: MIT */
/*
 * Pipes to splice through, borrowed only while bytes are in them. One pool a worker, one thread. splice(2), pipe(7).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

#define PIPE_SIZE ((size_t) 512 * 1024)
#define PIPES_KEPT_MAX 16 /* drained ones that wait for the next borrower */

struct pipe {
    struct pipe *next;
    int read_fd, write_fd;
    size_t capacity, filled; /* bytes; `filled` is the borrower's to keep */
};

struct pipe_pool {
    struct pipe *free;
    unsigned n_free;
    uint64_t refused_until_usec; /* the kernel gave a pipe that is too small: not asked again before */
};

/* An empty pipe of PIPE_SIZE. NULL when there is none to be had: descriptors are short, or the user's pipes hold
 * pipe-user-pages-soft already and a new one would be tiny. Copying must do then. */
struct pipe *pipe_borrow(struct pipe_pool *p, uint64_t now_usec) _must_check_;
/* Gives it back; one that is not drained is destroyed. Accepts NULL, returns NULL. */
struct pipe *pipe_return(struct pipe_pool *p, struct pipe *pipe);
void pipe_pool_done(struct pipe_pool *p);
