/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <pthread.h>

#include "deadline.h"
#include "ring.h"

typedef uint32_t length_prefix;

struct lane {
    uint8_t *data;
    size_t size, head, used; /* `used` bytes from `head` on, going round at `size` */
    uint64_t n_records, n_dropped;
};

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool closed;
    size_t record_max, n_lanes;
    struct lane lanes[];
};

int ring_new(const size_t *lane_bytes, size_t n_lanes, size_t record_max, struct ring **ret) {
    _cleanup_(ring_freep) struct ring *ring = NULL;

    if (record_max == 0 || record_max > UINT32_MAX)
        return -EINVAL;
    ring = calloc(1, sizeof(*ring) + n_lanes * sizeof(struct lane));
    if (!ring)
        return -ENOMEM;
    ring->record_max = record_max;
    ring->n_lanes = n_lanes;
    pthread_mutex_init(&ring->lock, NULL);
    deadline_cond_init(&ring->filled);

    for (size_t i = 0; i < n_lanes; i++) {
        if (lane_bytes[i] < record_max + sizeof(length_prefix))
            return -EINVAL;
        ring->lanes[i].size = lane_bytes[i];
        ring->lanes[i].data = malloc(lane_bytes[i]);
        if (!ring->lanes[i].data)
            return -ENOMEM;
    }
    *ret = TAKE_PTR(ring);
    return 0;
}

struct ring *ring_free(struct ring *ring) {
    if (!ring)
        return NULL;
    for (size_t i = 0; i < ring->n_lanes; i++)
        free(ring->lanes[i].data);
    pthread_cond_destroy(&ring->filled);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
    return NULL;
}

static void copy_in(struct lane *lane, const void *from, size_t n) {
    size_t tail = (lane->head + lane->used) % lane->size;
    size_t first = MIN(n, lane->size - tail);

    if (n == 0)
        return;
    memcpy(lane->data + tail, from, first);
    memcpy(lane->data, (const uint8_t *) from + first, n - first);
    lane->used += n;
}

static void copy_out(struct lane *lane, void *to, size_t n) {
    size_t first = MIN(n, lane->size - lane->head);

    memcpy(to, lane->data + lane->head, first);
    memcpy((uint8_t *) to + first, lane->data, n - first);
    lane->head = (lane->head + n) % lane->size;
    lane->used -= n;
}

static int put_locked(struct ring *ring, struct lane *lane, const struct iovec *iov, size_t n_iov, size_t n) {
    length_prefix prefix = (length_prefix) n;

    if (ring->closed)
        return -ESHUTDOWN;
    if (lane->size - lane->used < sizeof(prefix) + n) {
        lane->n_dropped++;
        return -ENOBUFS;
    }
    copy_in(lane, &prefix, sizeof(prefix));
    for (size_t i = 0; i < n_iov; i++)
        copy_in(lane, iov[i].iov_base, iov[i].iov_len);
    lane->n_records++;
    pthread_cond_signal(&ring->filled);
    return 0;
}

int ring_put(struct ring *ring, size_t lane, const struct iovec *iov, size_t n_iov) {
    size_t n = 0;
    int r;

    assert(lane < ring->n_lanes);
    for (size_t i = 0; i < n_iov; i++)
        if (__builtin_add_overflow(n, iov[i].iov_len, &n))
            return -EMSGSIZE;
    if (n > ring->record_max)
        return -EMSGSIZE;

    pthread_mutex_lock(&ring->lock);
    r = put_locked(ring, &ring->lanes[lane], iov, n_iov, n);
    pthread_mutex_unlock(&ring->lock);
    return r;
}

static struct lane *first_filled(struct ring *ring) {
    for (size_t i = 0; i < ring->n_lanes; i++)
        if (ring->lanes[i].n_records > 0)
            return &ring->lanes[i];
    return NULL;
}

static ssize_t take_locked(struct ring *ring, void *buf, uint64_t deadline_usec) {
    length_prefix n;
    struct lane *lane;

    while (!(lane = first_filled(ring))) {
        int r;

        if (ring->closed)
            return -ESHUTDOWN;
        r = deadline_wait(&ring->filled, &ring->lock, deadline_usec);
        if (r < 0 && !first_filled(ring))
            return r;
    }
    copy_out(lane, &n, sizeof(n));
    copy_out(lane, buf, n);
    lane->n_records--;
    return (ssize_t) n;
}

ssize_t ring_take(struct ring *ring, void *buf, uint64_t deadline_usec) {
    ssize_t n;

    pthread_mutex_lock(&ring->lock);
    n = take_locked(ring, buf, deadline_usec);
    pthread_mutex_unlock(&ring->lock);
    return n;
}

uint64_t ring_take_drops(struct ring *ring, size_t lane, bool only_if_empty) {
    struct lane *l = &ring->lanes[lane];
    uint64_t n = 0;

    assert(lane < ring->n_lanes);
    pthread_mutex_lock(&ring->lock);
    if (!only_if_empty || l->n_records == 0) {
        n = l->n_dropped;
        l->n_dropped = 0;
    }
    pthread_mutex_unlock(&ring->lock);
    return n;
}

void ring_close(struct ring *ring) {
    pthread_mutex_lock(&ring->lock);
    ring->closed = true;
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

uint64_t ring_discard(struct ring *ring) {
    uint64_t n = 0;

    pthread_mutex_lock(&ring->lock);
    ring->closed = true;
    for (size_t i = 0; i < ring->n_lanes; i++) {
        struct lane *lane = &ring->lanes[i];

        n += lane->n_records + lane->n_dropped;
        lane->n_records = lane->n_dropped = 0;
        lane->head = lane->used = 0;
    }
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
    return n;
}
