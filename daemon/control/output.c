/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <sys/socket.h>

int output_append(struct output *o, const void *data, size_t size) {
    if (o->start > 0 && o->start >= o->size / 2) {
        memmove(o->data, o->data + o->start, output_pending(o));
        o->size -= o->start;
        o->start = 0;
    }
    if (size > o->allocated - o->size) {
        size_t wanted = MAX(o->allocated * 2, o->size + size);
        char *grown = realloc(o->data, wanted);

        if (!grown)
            return -ENOMEM;
        o->data = grown;
        o->allocated = wanted;
    }
    memcpy(o->data + o->size, data, size);
    o->size += size;
    return 0;
}

int output_flush(struct output *o, int fd) {
    int moved = 0;

    while (output_pending(o) > 0) {
        ssize_t n = send(fd, o->data + o->start, output_pending(o), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? moved : -errno;
        o->start += (size_t) n;
        moved = 1;
    }
    output_done(o);
    return moved;
}

void output_done(struct output *o) {
    free(o->data);
    *o = (struct output){ 0 };
}
