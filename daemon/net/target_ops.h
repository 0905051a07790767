/* SPDX-License-Identifier: MIT */
/*
 * What a target is to the floor below it: one file in daemon/target/ and one row in target.c fill this in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "address.h"
#include "config.h"
#include "flow.h"
#include "stats.h"

struct span {
    const void *data;
    size_t size;
};

/* What was received: a TCP chunk, or a UDP datagram. Valid during the call. */
struct payload {
    struct span span;
    const char *listener;
    const struct address *peer;
    const struct flow_id *flow; /* NULL for a datagram */
};

struct engine;
struct datagram_ops;

struct target_ops {
    const char *name; /* as in the configuration */
    bool replies;     /* payload() may give a reply */
    /* Main thread, when a listener starts or its configuration changed. *ret is shared by all workers: immutable, or
     * with its own synchronisation. NULL when the target needs no state. */
    int (*start)(const struct config_listener *conf, void **ret);
    /* Main thread, after start() and before the first flow: `before` is the state of the target that the listener has until
     * now, if it is of the same kind, else NULL. It stays in use, also when the change is given up. NULL: nothing to do. */
    int (*take_over)(void *state, const struct config_listener *conf, unsigned n_workers, void *before);
    /* Any thread, when the last flow that uses it went. */
    void (*stop)(void *state);
    /* Of targets that do not take payloads: how TCP flows live, and how datagrams are handled. */
    const struct engine *engine;
    const struct datagram_ops *datagrams;
    /* Worker. Handles one payload; *ret_reply (data NULL beforehand: no reply) is what goes back. It must stay valid as
     * long as the payload does: it points into the payload, the state, or static memory. Must not block. */
    void (*payload)(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply);
    /* Main thread, about once a second; NULL when there is nothing to do. */
    void (*tick)(void *state);
};

/* One started target, shared by atomic reference count. */
struct target {
    unsigned refs;
    const struct target_ops *ops;
    void *state;
};

/* Starts one in the place of `before` (NULL: the listener is new): 0 or negative errno. */
int target_new(const struct target_ops *ops, const struct config_listener *conf, unsigned n_workers,
               const struct target *before, struct target **ret) _must_check_;
struct target *target_ref(struct target *t);
struct target *target_unref(struct target *t); /* accepts NULL, returns NULL */
