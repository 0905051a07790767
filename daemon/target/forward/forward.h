/* SPDX-License-Identifier: MIT */
/*
 * The state of target forward, one a listener: its upstreams and how one is chosen. Shared by all workers; what is
 * under the lock is touched where a flow begins, not while it moves bytes.
 */
#pragma once

#include "target_ops.h"
#include "upstream.h"

#define FORWARD_ADDED_MAX 64 /* upstreams of a listener that were added at runtime */
#define FORWARD_UPSTREAMS_MAX (CONFIG_UPSTREAMS_MAX + FORWARD_ADDED_MAX)

struct forward {
    char *listener;
    enum balance balance;
    enum proxy_protocol proxy_protocol;
    struct cidr_list *accept_proxy; /* one reference */
    enum forward_source source;
    struct address source_address;
    uint8_t dscp_map[64];
    struct upstream_health health;
    uint64_t check_interval_usec; /* 0: no checks */
    unsigned n_workers;

    /* Those of the files that were removed at runtime: main thread. */
    struct upstream *removed[CONFIG_UPSTREAMS_MAX];
    size_t n_removed;

    pthread_mutex_t lock; /* for what follows; the main thread, which alone changes the list, may read it without */
    struct upstream *upstreams[FORWARD_UPSTREAMS_MAX];
    size_t n_upstreams, n_of_files; /* those of the files come first */
    size_t next;                    /* of round_robin */
};

/* Upstreams that a flow has tried already, once for each address. */
struct forward_tried {
    const struct upstream *list[8];
    unsigned n;
};

/* Chooses an upstream for a flow: of this type (SOCK_STREAM, SOCK_DGRAM), with an address that was not tried; those put
 * aside come last. `key` is the source's address_key(). One reference; NULL: there is none (left). Any thread. */
struct upstream *forward_choose(struct forward *f, int type, const uint8_t key[static 16],
                                const struct forward_tried *tried, uint64_t now_usec) _must_check_;

/* What a TOS byte becomes that is passed on from one leg to the other. */
static inline uint8_t forward_map_tos(const struct forward *f, uint8_t tos) {
    return (uint8_t) (f->dscp_map[tos >> 2] << 2 | (tos & 3));
}

/* Tells what became of a connection attempt: health, counters, journal. Worker. */
void forward_connected(struct forward *f, struct upstream *u, unsigned worker, uint64_t took_usec);
void forward_failed(struct forward *f, struct upstream *u, unsigned worker, int error, uint64_t now_usec);

/* How many upstreams there are. Any thread. */
size_t forward_n_upstreams(struct forward *f);

/* ---- main thread: list.c ---- */

/* The state of a listener's target; NULL: that is another one. */
struct forward *forward_of_target(const struct target *t);

/* Fills the list of a new state: what the files say, changed as it was changed at runtime so far (`before`, may be NULL). Names
 * begin to be resolved. 0 or -errno. */
int forward_fill(struct forward *f, const struct config_forward *conf, const struct forward *before) _must_check_;
void forward_drop_all(struct forward *f);
/* The state is in force: upstreams are looked after as it says. */
void forward_begin(struct forward *f);

/* Borrowed; NULL: there is none. `text` is canonical. */
struct upstream *forward_find(const struct forward *f, const char *text);
/* It was added at runtime. */
bool forward_is_added(const struct forward *f, const struct upstream *u);
/* 0; -EEXIST; -ENOSPC: FORWARD_ADDED_MAX are there; -errno. One of the files that was removed comes back, enabled. */
int forward_add(struct forward *f, const struct config_upstream *conf) _must_check_;
/* No new flows; those that it has go on. 0, or -EBUSY: it is the only one of its protocol. */
int forward_remove(struct forward *f, struct upstream *u) _must_check_;
/* How many runtime changes are in force: upstreams added and removed, orders given. */
unsigned forward_runtime_changes(const struct forward *f);
