/* SPDX-License-Identifier: MIT */
/*
 * Changes of what a listener forwards to, at runtime: they take their turn among the other changes, are told to the
 * journal, survive a reload and end with the daemon. Main thread.
 */
#pragma once

#include "change.h"
#include "forward.h"

enum upstream_action {
    UPSTREAM_ACTION_ENABLE,
    UPSTREAM_ACTION_DRAIN,   /* no new flows */
    UPSTREAM_ACTION_DISABLE, /* nor old ones: they are ended in order */
    UPSTREAM_ACTION_ADD,
    UPSTREAM_ACTION_REMOVE, /* from the list; its flows go on */
    UPSTREAM_ACTION_MAX,
};

struct upstream_request {
    struct change_who who;
    enum upstream_action action;
    const char *listener;
    const char *upstream; /* as people write it; both are copied */
};

/* Valid during the callback. */
struct upstream_answer {
    enum change_status status; /* DONE, NO_SUCH_LISTENER, NO_SUCH_UPSTREAM, CONFLICT, BUSY, NO_MEMORY */
    const char *reason;        /* for CONFLICT and BUSY, one clause */
    const char *upstream;      /* canonical, where it could be read */
    const char *old, *new;     /* "absent", "enabled", "draining", "disabled" */
    unsigned flows;            /* that it had */
    unsigned closed;           /* of them */
};
typedef void (*upstream_done_fn)(const struct upstream_answer *answer, void *userdata);

/* Queues a change; `done` is called exactly once, perhaps before this returns. */
void upstream_change(struct change *c, const struct upstream_request *request, upstream_done_fn done, void *userdata);
