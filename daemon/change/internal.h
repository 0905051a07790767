/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of this room: the running state, and the queue of changes that wait for their turn.
 */
#pragma once

#include "change.h"
#include "forward.h"
#include "overlay.h"
#include "transaction.h"

struct job {
    struct job *next;
    struct change *change;
    uint64_t id;
    struct change_who who;
    void (*run)(struct job *job);
    void (*refuse)(struct job *job, enum change_status status, const char *reason);
};

struct change {
    struct net *net;
    char *path;
    const struct config_schema *schema;
    struct config *config; /* in force */
    struct overlays overlays;
    uint64_t next_id;
    struct job *active, *waiting;
    unsigned n_waiting;
    bool stopped;
    void (*on_reload)(bool begins, void *userdata);
    void *on_reload_userdata;
};

/* Runs the job when its turn comes, or refuses it. */
void change_queue(struct change *c, struct job *job, const struct change_who *who);
/* The active job has answered: frees nothing, lets the next one run. */
void change_job_done(struct change *c);

/* Journal lines of a change: one a key, with old, new, scope, result and who. */
struct change_scope {
    const char *target;    /* "orders" or "profile:voice" */
    const char *narrowing; /* "", "flow 0.1.2", "source 10.0.0.0/8", "new flows only" */
    bool unset;
    bool reload; /* the tally is of several listeners: it gives results, no counts */
};
void report_change(const struct change_scope *scope, const struct change_answer *answer, const struct change_who *who);

/* The state of a listener's target forward; NULL: its target is another one. */
static inline struct forward *forward_of_listener(const struct listener *l) {
    return forward_of_target(l->view->target);
}

/* What the listeners that serve now forward to is looked after as they say. */
void upstreams_begin(const struct net *net);
