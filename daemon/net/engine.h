/* SPDX-License-Identifier: MIT */
/*
 * How a flow lives, behind one ops table: stream.c for TCP flows that end here, a target for flows that it relays. All
 * functions run on the worker that owns the flow. What is common to all flows is in life.h.
 */
#pragma once

#include "datagram.h"
#include "sweep.h"
#include "worker.h"

struct engine {
    /* The flow has its settings and its client socket, which nobody watches yet. 0 (the flow may have ended already), or a
     * negative errno: it does not begin, and nothing of the engine's is left. */
    int (*open)(struct worker *w, struct flow *f);
    /* Goes on with a flow of the worker's ready list. May end it. */
    void (*turn)(struct worker *w, struct flow *f);
    /* The flow's timer is due. May end the flow. */
    void (*expire)(struct worker *w, struct flow *f);
    /* No more input: what was received is delivered, then the flow ends. May end it at once. */
    void (*finish)(struct worker *w, struct flow *f);
    /* The flow ends now (life_end()): gives back what the engine holds. Returns the bytes that were not delivered.
     * `reset`: who is on the other side of a relay shall see a reset, too. */
    uint64_t (*release)(struct worker *w, struct flow *f, bool reset);
    /* Applies a setting of the daemon itself (no socket option), live. QOS_DEFERRED: the flow keeps its own value. */
    void (*apply)(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                  struct qos_result *ret);
    /* The flow's settings were swapped: re-arms what depends on them. */
    void (*changed)(struct worker *w, struct flow *f);
    /* Fills in what a listing shows of this kind of flow. */
    void (*describe)(const struct worker *w, const struct flow *f, struct flow_row *row);
    /* The socket of the upstream leg; fd -1: there is none (yet). NULL: this kind of flow never has one. */
    struct qos_socket (*upstream)(const struct flow *f);
    /* Whom the flow is relayed to; NULL: nobody yet. NULL where `upstream` is. */
    const struct upstream *(*to)(const struct flow *f);
    uint64_t unused; /* settings of the daemon itself, SETTING_BIT()s, that mean nothing to such a flow */
};

/* Flows whose target takes payloads. */
extern const struct engine stream_engine;

/* How this flow lives. */
static inline const struct engine *engine_of(const struct flow *f) {
    const struct target_ops *ops = f->view->target->ops;

    if (f->datagrams)
        return ops->datagrams->engine;
    return ops->engine ? ops->engine : &stream_engine;
}

/* How datagrams to this target are handled. */
static inline const struct datagram_ops *engine_datagrams(const struct target_ops *ops) {
    return ops->datagrams ? ops->datagrams : &datagram_ops;
}

/* Settings of the daemon itself that mean nothing to what comes in through a socket of this type. */
static inline uint64_t engine_unused(const struct target_ops *ops, int type) {
    const struct datagram_ops *datagrams = engine_datagrams(ops);

    if (type == SOCK_STREAM)
        return ops->engine ? ops->engine->unused : stream_engine.unused;
    return datagrams->engine ? datagrams->engine->unused : datagrams->unused;
}
