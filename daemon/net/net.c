/* SPDX-License-Identifier: MIT */
#include "net.h"

#include <errno.h>
#include <sched.h>

static unsigned n_cpus(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    return MAX((unsigned) CPU_COUNT(&set), 1U);
}

int net_new(unsigned n_workers, const struct target_ops *const *targets, struct net **ret) {
    struct net *n = calloc(1, sizeof(*n));
    int r;

    if (!n)
        return -ENOMEM;
    n->targets = targets;
    n_workers = MIN(n_workers ? n_workers : n_cpus(), (unsigned) WORKERS_MAX);
    r = mailbox_init(&n->mailbox);
    if (r < 0) {
        free(n);
        return r;
    }
    n->workers = calloc(n_workers, sizeof(*n->workers));
    if (!n->workers) {
        net_free(n);
        return -ENOMEM;
    }
    for (; n->n_workers < n_workers; n->n_workers++) {
        r = worker_init(&n->workers[n->n_workers], n->n_workers, n);
        if (r < 0) {
            net_free(n);
            return r;
        }
    }
    *ret = n;
    return 0;
}

int net_start(struct net *n) {
    for (unsigned i = 0; i < n->n_workers; i++) {
        int r = worker_start(&n->workers[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

void net_stop(struct net *n) {
    for (unsigned i = 0; i < n->n_workers; i++)
        worker_stop(&n->workers[i]);
    /* What one side answers may make the other ask again. */
    do
        for (unsigned i = 0; i < n->n_workers; i++)
            loop_drain(&n->workers[i].loop);
    while (mailbox_take(&n->mailbox, n) > 0);
}

static void restore(struct endpoint *const *endpoints, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (endpoints[i]->passed)
            endpoint_restore(endpoints[i], "this run has changed");
}

void net_restore(struct net *n) {
    restore(n->unclaimed, n->n_unclaimed);
    for (size_t i = 0; i < n->n_listeners; i++)
        restore(n->listeners[i]->endpoints, n->listeners[i]->n_endpoints);
}

void net_drop_listener(struct net *n, struct listener *l) {
    for (size_t i = 0; i < n->n_listeners; i++)
        if (n->listeners[i] == l) {
            n->listeners[i] = n->listeners[--n->n_listeners];
            break;
        }
    l->view = listener_view_unref(l->view);
    while (l->n_endpoints > 0)
        endpoint_unref(l->endpoints[--l->n_endpoints]);
    listener_unref(l);
}

struct net *net_free(struct net *n) {
    if (!n)
        return NULL;
    net_stop(n);
    while (n->n_listeners > 0)
        net_drop_listener(n, n->listeners[n->n_listeners - 1]);
    free(n->listeners);
    while (n->n_unclaimed > 0)
        endpoint_unref(n->unclaimed[--n->n_unclaimed]);
    free(n->unclaimed);
    for (unsigned i = 0; i < n->n_workers; i++)
        worker_done(&n->workers[i]);
    free(n->workers);
    mailbox_done(&n->mailbox);
    free(n);
    return NULL;
}

struct listener *net_listener(const struct net *n, const char *name) {
    for (size_t i = 0; i < n->n_listeners; i++)
        if (!n->listeners[i]->draining && streq(n->listeners[i]->name, name))
            return n->listeners[i];
    return NULL;
}

const struct target_ops *net_target(const struct net *n, const char *name) {
    for (const struct target_ops *const *ops = n->targets; *ops; ops++)
        if (streq((*ops)->name, name))
            return *ops;
    return NULL;
}

unsigned net_flows(const struct net *n) {
    unsigned flows = 0;

    for (size_t i = 0; i < n->n_listeners; i++)
        flows += listener_flows(n->listeners[i]);
    return flows;
}

unsigned net_connections(const struct net *n) {
    unsigned sessions = 0;

    for (size_t i = 0; i < n->n_listeners; i++)
        sessions += atomic_load(&n->listeners[i]->sessions);
    return net_flows(n) - sessions;
}
