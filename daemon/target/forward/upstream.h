/* SPDX-License-Identifier: MIT */
/*
 * One upstream of a forwarding listener: where it is, how it does, what it counts. Shared by all workers and the main
 * thread, reference-counted; locked only where a flow begins, ends its connecting, or somebody looks.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "mailbox.h"

#define UPSTREAM_ADDRESSES_MAX 16 /* of one name */

/* What an operator wants of it. */
enum upstream_order {
    UPSTREAM_ENABLED,
    UPSTREAM_DRAINING, /* no new flows */
    UPSTREAM_DISABLED, /* nor old ones */
};

/* Written by the owning worker only, read by any thread. */
struct upstream_counters {
    _Atomic uint64_t connected, failed, connect_usec; /* connect_usec: sum over `connected` */
    _Atomic uint64_t rx_bytes, tx_bytes;              /* from and to the upstream */
} __attribute__((aligned(64)));

/* When it is put aside. */
struct upstream_health {
    unsigned max_failures;
    uint64_t window_usec, retry_after_usec;
};

struct ward;

struct upstream {
    unsigned refs;            /* atomic */
    _Atomic unsigned n_lists; /* of listeners that have it; 0 again: no flow will come */
    struct config_upstream conf;
    _Atomic unsigned flows;
    struct upstream_counters *counters; /* one a worker */
    unsigned n_workers;
    /* helper.h */
    bool attended;          /* main thread */
    struct ward *ward;      /* the helper's thread */
    struct message leaving; /* posted once */

    pthread_mutex_t lock; /* for what follows */
    enum upstream_order order;
    struct address addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned n_addresses, next_address;
    const char *unresolved; /* why its name was not resolved the last time; NULL: it was. Static */
    int error;              /* of the latest attempt that failed; 0: none since one that succeeded */
    unsigned failures;      /* in the window that began at failures_since_usec */
    uint64_t failures_since_usec;
    uint64_t aside_until_usec; /* 0: up. Later than that, one flow tries it again */
};

/* A copy of `conf`. One reference. */
int upstream_new(const struct config_upstream *conf, unsigned n_workers, struct upstream **ret) _must_check_;
struct upstream *upstream_ref(struct upstream *u);
struct upstream *upstream_unref(struct upstream *u); /* accepts NULL, returns NULL */

/* How far it can be used now. */
enum upstream_use {
    UPSTREAM_UNUSABLE, /* by order, or its name has no address */
    UPSTREAM_ASIDE,    /* only when no other is left */
    UPSTREAM_TRIAL,    /* aside, and it is time to try: taken by whoever asks first */
    UPSTREAM_USABLE,
};
/* `take` claims a trial: others see ASIDE until retry_after_usec is over. */
enum upstream_use upstream_use(struct upstream *u, const struct upstream_health *health, uint64_t now_usec, bool take);

/* The next of its addresses, in turn. -EHOSTUNREACH when there is none. Not for Unix sockets. */
int upstream_address(struct upstream *u, struct address *ret) _must_check_;
/* All of them; returns how many. */
unsigned upstream_addresses(struct upstream *u, struct address ret[static UPSTREAM_ADDRESSES_MAX]);
/* How many places there are to try: its addresses, or the one path. */
unsigned upstream_places(struct upstream *u);

/* What became of resolving its name: addresses, or why there are none (static text). A failure leaves those that are known. */
void upstream_set_addresses(struct upstream *u, const struct address *addresses, unsigned n);
void upstream_set_unresolved(struct upstream *u, const char *why);

enum upstream_turn { UPSTREAM_AS_BEFORE, UPSTREAM_WENT_DOWN, UPSTREAM_CAME_UP };
/* A connection was made, or failed. */
enum upstream_turn upstream_succeeded(struct upstream *u);
enum upstream_turn upstream_failed(struct upstream *u, const struct upstream_health *health, int error,
                                   uint64_t now_usec);

/* Returns the order until now. */
enum upstream_order upstream_set_order(struct upstream *u, enum upstream_order order);
enum upstream_order upstream_order(struct upstream *u);
const char *upstream_order_name(enum upstream_order order); /* "enabled", "draining", "disabled" */

/* How it is, in one word. */
enum upstream_state {
    UPSTREAM_STATE_UP,
    UPSTREAM_STATE_ASIDE,
    UPSTREAM_STATE_UNRESOLVED, /* its name has no address */
    UPSTREAM_STATE_DRAINING,
    UPSTREAM_STATE_DISABLED,
};
const char *upstream_state_name(enum upstream_state state);

/* What a listing shows: a plain copy. */
struct upstream_row {
    enum upstream_state state;
    const char *unresolved; /* as in struct upstream */
    int error;              /* the same */
    struct address addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned n_addresses, flows;
    uint64_t connected, failed, connect_usec, rx_bytes, tx_bytes;
};
void upstream_describe(struct upstream *u, struct upstream_row *ret);

static inline void upstream_count(_Atomic uint64_t *counter, uint64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
