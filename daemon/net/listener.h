/* SPDX-License-Identifier: MIT */
/*
 * Listeners and their endpoints as the main thread knows them, and the immutable view of them that workers hold.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "admission.h"
#include "config.h"
#include "effective.h"
#include "qos.h"
#include "stats.h"
#include "target_ops.h"

#define WORKERS_MAX 256

/* One socket. The main thread owns it; workers read `socket` and `baseline`, which do not change while they know it. Flows hold
 * a reference: `inherit` goes back to the baseline of the endpoint that they came through. */
struct endpoint {
    unsigned refs; /* atomic */
    struct qos_socket socket;
    struct address address;
    char *name;            /* the FileDescriptorName of a passed socket; NULL for a bound one */
    char *text;            /* "tcp:127.0.0.1:7000": what was bound, or what a passed socket is bound to */
    bool lacks_capability; /* told when it was prepared: flows need not tell it again */
    bool passed;           /* by systemd: never closed while the daemon runs */
    uint64_t cookie;       /* SO_COOKIE */
    struct qos_baseline baseline;
    _Atomic uint64_t
            touched; /* keys that were ever changed here: connections may have got another value in their handshake */
    unsigned worker; /* which one reads it, for datagrams */
    bool fresh;      /* made or claimed by a reload that is not committed yet */
    bool dropped;    /* leaves with the commit of a reload */
};

/* Shared: a worker or flow that holds a view keeps its listener. Created and changed by the main thread; what workers
 * read is immutable or atomic. */
struct listener {
    unsigned refs; /* atomic */
    char *name;
    struct admission admission;
    _Atomic unsigned sessions; /* of UDP, among admission.flows */
    struct stats *stats;       /* one a worker */
    unsigned n_stats;
    /* main thread only */
    struct endpoint **endpoints;
    size_t n_endpoints;
    struct listener_view *view; /* the newest */
    bool draining;              /* removed; its flows are finishing */
    bool closing;               /* they were told to finish */
    uint64_t drain_until_usec;  /* then they are closed; 0: not yet decided */
    struct stats_snapshot reported;
};

/* What workers see of a listener: replaced as a whole by each change. */
struct listener_view {
    unsigned refs;             /* atomic */
    struct listener *listener; /* one reference */
    struct effective *set;
    struct target *target;
    const struct frame_ops *framing; /* of TCP */
};

int listener_new(const char *name, unsigned n_workers, struct listener **ret) _must_check_;
struct listener *listener_ref(struct listener *l);
struct listener *listener_unref(struct listener *l); /* accepts NULL, returns NULL; endpoints must be gone */
unsigned listener_flows(const struct listener *l);
void listener_stats(const struct listener *l, struct stats_snapshot *ret);

/* Takes references of its own; NULL when out of memory. */
struct listener_view *listener_view_new(struct listener *l, struct effective *set, struct target *target,
                                        const struct frame_ops *framing) _must_check_;
struct listener_view *listener_view_ref(struct listener_view *v);
struct listener_view *listener_view_unref(struct listener_view *v); /* accepts NULL, returns NULL */

struct endpoint *endpoint_ref(struct endpoint *e);
struct endpoint *endpoint_unref(struct endpoint *e); /* the last one closes; accepts NULL, returns NULL */
/* Puts the options of a passed socket back to its baseline, and tells of it; `which` ends the sentence. Main thread. */
void endpoint_restore(const struct endpoint *e, const char *which);
/* Closes the socket now, whoever still holds a reference: workers must have let go of it. */
void endpoint_close(struct endpoint *e);
/* Notes that `keys` are about to be changed. */
void endpoint_touch(struct endpoint *e, uint64_t keys);
