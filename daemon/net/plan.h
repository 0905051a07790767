/* SPDX-License-Identifier: MIT */
/*
 * From one configuration to the next: which listeners and endpoints stay, come and go. Nothing visible happens until commit; an
 * aborted plan leaves no trace. Main thread.
 */
#pragma once

#include "net.h"
#include "task.h"

struct plan;

/* Computes the settings of a listener of the configuration: one reference, NULL when out of memory. */
typedef struct effective *(*plan_settings_fn)(const struct config_listener *conf, void *userdata);

struct plan_listener {
    const struct config_listener *conf;
    struct listener *listener;  /* new, or the one that stays */
    struct listener_view *view; /* to be published */
    bool added;
};

typedef void (*plan_done_fn)(void *userdata);

struct plan {
    struct net *net;
    struct plan_listener *listeners;
    size_t n_listeners;
    struct listener **removed; /* serving now, absent in the new configuration */
    size_t n_removed;
    /* own */
    struct task task;
    plan_done_fn done;
    void *userdata;
};

/* Claims passed sockets by name, binds `listen` entries, applies settings to new endpoints. Faults: no sockets, a bind that fails,
 * settings that a socket refuses. Everything that the commit needs is there afterwards. 0, -EINVAL (faults), -ENOMEM. */
int plan_new(struct net *n, const struct config *c, plan_settings_fn settings, void *userdata,
             struct config_faults *faults, struct plan **ret) _must_check_;
/* Publishes: workers serve new endpoints, let go of dropped ones; removed listeners drain. `done` runs when every worker
 * has done so. */
void plan_commit(struct plan *p, plan_done_fn done, void *userdata);
struct plan *plan_free(struct plan *p); /* undoes what was not committed; accepts NULL, returns NULL */
