/* SPDX-License-Identifier: MIT */
/*
 * The state of target forward, one a listener: its upstreams and how one is chosen. Shared by all workers; what is
 * under the lock is touched where a flow begins, not while it moves bytes.
 */
#pragma once

#include "upstream.h"

struct forward {
    char *listener;
    enum balance balance;
    enum proxy_protocol proxy_protocol;
    struct cidr_list *accept_proxy; /* one reference */
    enum forward_source source;
    struct address source_address;
    uint8_t dscp_map[64];
    struct upstream_health health;
    unsigned n_workers;

    pthread_mutex_t lock; /* for what follows */
    struct upstream **upstreams;
    size_t n_upstreams;
    size_t next; /* of round_robin */
};

/* Upstreams that a flow has tried already. */
struct forward_tried {
    const struct upstream *list[8];
    unsigned n;
};

/* Chooses an upstream for a flow: of this type (SOCK_STREAM, SOCK_DGRAM), not among those tried; those put aside come
 * last. `key` is the source's address_key(). One reference; NULL: there is none (left). Any thread. */
struct upstream *forward_choose(struct forward *f, int type, const uint8_t key[static 16],
                                const struct forward_tried *tried, uint64_t now_usec) _must_check_;

/* What a TOS byte becomes that is passed on from one leg to the other. */
static inline uint8_t forward_map_tos(const struct forward *f, uint8_t tos) {
    return (uint8_t) (f->dscp_map[tos >> 2] << 2 | (tos & 3));
}

/* Tells what became of a connection attempt: health, counters, journal. Worker. */
void forward_connected(struct forward *f, struct upstream *u, unsigned worker, uint64_t took_usec);
void forward_failed(struct forward *f, struct upstream *u, unsigned worker, int error, uint64_t now_usec);
