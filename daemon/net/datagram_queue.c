/* SPDX-License-Identifier: MIT */
#include <sys/epoll.h>

#include "datagram_batch.h"

/* How long an endpoint rests after ENOBUFS: the device's queue is full and no event tells when it is not. */
#define REST_USEC (10 * USEC_PER_MSEC)

struct datagram_batch *datagram_batch_free(struct datagram_batch *b) {
    if (b) {
        datagram_intake_done(&b->intake);
        listener_view_unref(b->view);
        free(b->coded.data);
        free(b);
    }
    return NULL;
}

static struct datagram_batch *batch_new(void) {
    struct datagram_batch *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->coded.data = malloc(DATAGRAM_CODED_SIZE);
    if (!b->coded.data || datagram_intake_init(&b->intake) < 0)
        return datagram_batch_free(b);
    return b;
}

struct datagram_batch *datagram_batch_take(struct endpoint_source *s) {
    if (s->kept)
        return TAKE_PTR(s->kept);
    if (s->worker->batch)
        return TAKE_PTR(s->worker->batch);
    return batch_new();
}

void datagram_batch_keep(struct endpoint_source *s, struct datagram_batch *b) {
    if (!b->view)
        b->view = listener_view_ref(s->view);
    s->kept = b;
}

void datagram_batch_give_back(struct endpoint_source *s, struct datagram_batch *b) {
    b->view = listener_view_unref(b->view);
    if (s->worker->batch)
        datagram_batch_free(b);
    else
        s->worker->batch = b;
}

void datagram_wait_room(struct endpoint_source *s) {
    loop_modify(&s->worker->loop, &s->source, EPOLLOUT);
}

void datagram_rest(struct endpoint_source *s) {
    loop_modify(&s->worker->loop, &s->source, 0);
    wheel_arm(&s->worker->loop.wheel, &s->retry, s->worker->loop.now_usec + REST_USEC);
}
