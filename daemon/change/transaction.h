/* SPDX-License-Identifier: MIT */
/*
 * One change of settings on all the sockets it concerns: tried on scratch sockets, applied to endpoints (listening sockets first),
 * then by each worker to its flows, with what was there before kept for each; committed, or undone as a whole when any
 * socket refuses. Flows that are born meanwhile take the new settings with the new view. Main thread.
 */
#pragma once

#include "change.h"
#include "task.h"

/* What changes for one listener. */
struct transaction_item {
    struct listener *listener;  /* borrowed: listeners do not go while a change is under way */
    struct listener_view *view; /* to be published, one reference; NULL: a change of some flows only */
    struct effective *from;     /* before, one reference */
    struct effective *to;       /* after, one reference */
    uint64_t keys;
    bool overrides_only; /* of flows: only the keys that a flow has of its own */
};

struct transaction {
    struct net *net;
    struct transaction_item *items;
    size_t n_items;
    bool flows;                    /* visit established flows */
    struct flow_selector selector; /* which of them; only when items have no view */
    struct tally tally;
    struct settings old; /* of a change of some flows: what the first of them had */
    unsigned n_flows, undo_failed;
    bool failed;
    /* own */
    struct task task, undo_task;
    struct transaction_worker *workers;
    void (*done)(struct transaction *t);
    void *userdata;
};

/* `done` runs once, perhaps before this returns; then the owner calls transaction_end(). */
void transaction_run(struct transaction *t, void (*done)(struct transaction *t), void *userdata);
/* Releases items and results; the struct itself is the owner's. */
void transaction_end(struct transaction *t);
