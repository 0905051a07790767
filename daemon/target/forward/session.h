/* SPDX-License-Identifier: MIT */
/*
 * UDP sessions: a client (its address, and the one of ours that it spoke to) and a connected socket to an upstream. A session is
 * a flow with an engine of its own; sessions of one endpoint are in a table of the worker that reads it. session.c: one
 * session; sessions.c: the table; up.c and down.c: the datagrams. All on that worker.
 */
#pragma once

#include "datagram_batch.h"
#include "engine.h"
#include "forward.h"
#include "life.h"

struct session {
    struct flow *flow;
    struct endpoint_source *from;
    struct upstream *to;        /* one reference */
    struct leg upstream;        /* the connected socket */
    sa_family_t domain;         /* of that */
    struct datagram_meta local; /* whom the client spoke to: answers leave from there */
    struct session *next;       /* in its bucket */
    struct session *older, *newer;
    struct session *next_paused;
    bool paused;         /* not read from: the endpoint waits for room */
    uint64_t asked_usec; /* when it was sent the first datagram that nobody refused so far */
    bool proved;         /* the upstream is there, as far as we know */
    bool never_whole;    /* the way to the upstream takes no UDP_SEGMENT sends */
};

/* One an endpoint: endpoint_source.own. */
struct sessions {
    struct session **buckets;
    size_t n_buckets, n;
    struct session *oldest, *newest; /* by activity */
    struct session *paused;
    uint64_t seed; /* clients cannot choose to collide */
};

static inline struct sessions *sessions_of(const struct endpoint_source *s) {
    return s->own;
}

/* sessions.c. NULL when out of memory. */
struct sessions *sessions_new(void) _must_check_;
struct sessions *sessions_free(struct sessions *t); /* must be empty; accepts NULL, returns NULL */
struct session *sessions_find(const struct sessions *t, const struct address *peer, const struct datagram_meta *meta);
int sessions_add(struct sessions *t, struct session *s) _must_check_;
void sessions_remove(struct sessions *t, struct session *s);
/* It has moved a datagram: it is the newest. */
void sessions_touch(struct sessions *t, struct session *s);

/* session.c. Opens one for the open message of the intake: 0, -EUSERS (max_connections and nothing to evict), -EDQUOT
 * (max_connections_per_source), -EHOSTUNREACH (no upstream), -errno. */
int session_open(struct endpoint_source *from, const struct address *peer, const struct datagram_meta *meta,
                 struct session **ret) _must_check_;
/* The upstream's host answered that nobody is there, or another error of its socket: tells it; the session ends if there
 * is another upstream. True: it has ended. */
bool session_failed(struct session *s, int error);
/* It has answered. */
void session_proved(struct session *s);
/* It is sent something: who does not refuse that within a second is there, though it may never answer. */
void session_asks(struct session *s);
extern const struct engine session_engine;

static inline struct forward *session_forward(const struct session *s) {
    return s->flow->view->target->state;
}

/* down.c: the session's socket signals. */
void session_receive(struct loop_source *source, uint32_t events);
/* The endpoint has room again. */
void sessions_resume(struct endpoint_source *s);

/* up.c */
extern const struct datagram_ops forward_datagrams;
