/* SPDX-License-Identifier: MIT */
/*
 * The network side as the main thread sees it: workers, passed sockets, listeners. Main thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "listener.h"
#include "worker.h"

struct net {
    struct worker *workers;
    unsigned n_workers;
    struct mailbox mailbox;      /* what workers send to the main thread; its fd belongs into the main loop */
    struct listener **listeners; /* serving and draining */
    size_t n_listeners;
    struct endpoint **unclaimed; /* passed, no listener of that name */
    size_t n_unclaimed;
    unsigned next_worker; /* for the next datagram endpoint */
    const struct target_ops *const *targets;
};

/* `targets` ends with NULL; n_workers 0: one a CPU. */
int net_new(unsigned n_workers, const struct target_ops *const *targets, struct net **ret) _must_check_;
struct net *net_free(struct net *n); /* stops workers, closes; accepts NULL, returns NULL */
int net_start(struct net *n) _must_check_;

/* Ends the worker threads, flows are closed at once; messages under way are handled. */
void net_stop(struct net *n);
/* Puts the options of passed sockets back to what was found on them: the service manager keeps the sockets, but what we
 * remember of them only while the service is to be started again. After net_stop(). */
void net_restore(struct net *n);
/* Forgets a listener whose endpoints no worker serves any more. */
void net_drop_listener(struct net *n, struct listener *l);
/* Open flows of all listeners. */
unsigned net_flows(const struct net *n);
/* Those of TCP among them: what a drain waits for. */
unsigned net_connections(const struct net *n);

/* A serving listener by name, or NULL. */
struct listener *net_listener(const struct net *n, const char *name);
const struct target_ops *net_target(const struct net *n, const char *name);
