/* SPDX-License-Identifier: MIT */
#include "pipes.h"

#include <fcntl.h>
#include <unistd.h>

#define REFUSED_USEC USEC_PER_SEC

static struct pipe *destroy(struct pipe *pipe) {
    close_fd(pipe->read_fd);
    close_fd(pipe->write_fd);
    free(pipe);
    return NULL;
}

static struct pipe *make(void) {
    struct pipe *pipe = malloc(sizeof(*pipe));
    int fds[2], size;

    if (!pipe)
        return NULL;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
        free(pipe);
        return NULL;
    }
    *pipe = (struct pipe){ .read_fd = fds[0], .write_fd = fds[1] };
    size = fcntl(fds[1], F_SETPIPE_SZ, (int) PIPE_SIZE);
    if (size < (int) PIPE_SIZE)
        return destroy(pipe);
    pipe->capacity = (size_t) size;
    return pipe;
}

struct pipe *pipe_borrow(struct pipe_pool *p, uint64_t now_usec) {
    struct pipe *pipe = p->free;

    if (pipe) {
        p->free = pipe->next;
        p->n_free--;
        return pipe;
    }
    if (now_usec < p->refused_until_usec)
        return NULL;
    pipe = make();
    if (!pipe)
        p->refused_until_usec = now_usec + REFUSED_USEC;
    return pipe;
}

struct pipe *pipe_return(struct pipe_pool *p, struct pipe *pipe) {
    if (!pipe)
        return NULL;
    if (pipe->filled > 0 || p->n_free == PIPES_KEPT_MAX)
        return destroy(pipe);
    pipe->next = p->free;
    p->free = pipe;
    p->n_free++;
    return NULL;
}

void pipe_pool_done(struct pipe_pool *p) {
    for (struct pipe *pipe = p->free, *next; pipe; pipe = next) {
        next = pipe->next;
        destroy(pipe);
    }
    *p = (struct pipe_pool){ 0 };
}
