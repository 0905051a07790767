/* SPDX-License-Identifier: MIT */
/*
 * A worker: one thread, one loop, the flows it owns and the endpoints it serves.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec.h"
#include "flow.h"
#include "listener.h"
#include "loop.h"
#include "pipes.h"
#include "pool.h"

struct net;
struct worker;

/* Memory for the turn, one block a use. */
enum scratch {
    SCRATCH_IN,
    SCRATCH_DECODED,
    SCRATCH_ENCODED,
    SCRATCH_FRAMED,
    SCRATCH_MAX,
};

struct datagram_batch;
struct datagram_ops;

/* An endpoint as one worker serves it. */
struct endpoint_source {
    struct endpoint_source *next;
    struct loop_source source;
    struct worker *worker;
    struct endpoint *endpoint;            /* one reference */
    struct listener_view *view;           /* one reference; the newest; NULL: unclaimed, what connects is reset */
    struct timer retry;                   /* after EMFILE, ENOBUFS */
    uint64_t no_rest_until_usec;          /* resting did not help: what a full queue refuses is dropped until then */
    const struct datagram_ops *datagrams; /* how they are handled; NULL: a listening socket */
    void *own;                            /* of whoever handles datagrams */
    struct datagram_batch *kept;          /* datagrams that are not answered yet, and replies that wait for room */
    uint32_t kernel_drops;                /* as far as they are counted */
    uint8_t crowded;  /* sends for which replies go singly, since the queue on the way out was full */
    bool never_whole; /* the way out takes no UDP_SEGMENT sends */
    bool removed;     /* it goes: nothing may wait any more */
};

struct worker {
    unsigned index;
    struct net *net;
    struct loop loop;
    pthread_t thread;
    bool started;
    struct flow_table flows;
    struct endpoint_source *endpoints;
    struct endpoint_source *dead; /* freed at the end of the turn */
    struct pool pool;
    struct pipe_pool pipes;
    struct codec_pool codecs;
    struct {
        void *data;
        size_t size;
    } scratch[SCRATCH_MAX];
    struct flow *ready; /* flows that go on without waiting for their socket */
    struct loop_job ready_job;
    bool ready_queued;
    struct datagram_batch *batch; /* NULL: none made yet, or an endpoint keeps it */
};

int worker_init(struct worker *w, unsigned index, struct net *net) _must_check_;
int worker_start(struct worker *w) _must_check_;
/* Ends the thread: flows are closed at once. Main thread. */
void worker_stop(struct worker *w);
void worker_done(struct worker *w);

/* At least `size` bytes, kept from turn to turn; NULL when out of memory. */
void *worker_scratch(struct worker *w, enum scratch which, size_t size) _must_check_;

static inline struct stats *worker_stats(struct worker *w, const struct listener_view *view) {
    return &view->listener->stats[w->index];
}

/* Runs the flow again next turn, whether or not its socket signals. */
void worker_ready(struct worker *w, struct flow *f);
/* The flow is ending: takes it off the ready list. */
void worker_forget_ready(struct worker *w, struct flow *f);
/* Gives a flow's place at a listener back and wakes the workers that wait for one. */
void worker_leave(struct worker *w, struct listener *l);

/* On the worker's thread: serves an endpoint (view NULL: reset what connects), or stops serving it. */
int worker_add_endpoint(struct worker *w, struct endpoint *e, struct listener_view *view) _must_check_;
void worker_remove_endpoint(struct worker *w, const struct endpoint *e);
/* Stops watching every endpoint, without forgetting it, and watches them again. False: something waits at one of them, a
 * reply for room or a client for descriptors. */
bool worker_pause(struct worker *w);
void worker_resume(struct worker *w);
/* Swaps the view of every endpoint of its listener. */
void worker_set_view(struct worker *w, struct listener_view *view);
