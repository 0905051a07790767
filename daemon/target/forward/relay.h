/* SPDX-License-Identifier: MIT */
/*
 * Relayed TCP flows, shared by the files of the engine: relay.c (life, events, timers), setup.c (the beginning), connect.c
 * (finding and reaching an upstream), greeting.c (PROXY headers of clients), ways.c (bytes from one leg to the other),
 * broken.c (a leg that failed). All on the worker that owns the flow.
 */
#pragma once

#include "engine.h"
#include "forward.h"
#include "life.h"
#include "proxy.h"

/* Until the upstream is reached and has been told who the client is (relay.connecting). */
struct relay_setup {
    struct forward_tried tried;
    uint64_t began_usec;      /* this attempt */
    struct upstream *crowded; /* its queue is full, we ask again; one reference */
    int error;                /* of the last attempt that failed */
    bool awaits_proxy;        /* the client's PROXY header is not here yet */
    size_t n_peeked;          /* but so much of it */
    bool has_destination;
    struct address destination;       /* whom the client asked for, if a PROXY header said so */
    uint8_t header[PROXY_HEADER_MAX]; /* for the upstream */
    size_t header_size, header_sent;
};

static inline struct forward *forward_of(const struct flow *f) {
    return f->view->target->state;
}

/* ---- relay.c ---- */

extern const struct engine relay_engine;

/* The upstream is reached and knows who the client is: bytes flow from now on. May end the flow. */
void relay_begin(struct worker *w, struct flow *f);
/* For whichever of the flow's timeouts is next. */
void relay_arm_timer(struct worker *w, struct flow *f);

/* ---- setup.c ---- */

/* The engine's open(). A flow that no upstream takes has been accepted all the same, and ends. */
int relay_setup_open(struct worker *w, struct flow *f) _must_check_;
/* Connects to the next upstream, or asks again one that was crowded. Ends the flow if none is left. */
void relay_connect_on(struct worker *w, struct flow *f);
/* connect_timeout is over: the next upstream, or the end of the flow. */
void relay_setup_expired(struct worker *w, struct flow *f);
/* Gives back what only the beginning needed, if it is still there. */
void relay_setup_done(struct flow *f);

/* ---- connect.c ---- */

/* Begins to connect to the next upstream that may take the flow. 1: connected, 0: under way, negative: no upstream is left; the
 * last one's error; -EAGAIN: it is to be called again in a moment. */
int relay_connect(struct worker *w, struct flow *f) _must_check_;
/* The attempt under way failed. Gives its socket back. */
void relay_give_up(struct worker *w, struct flow *f, int error);
/* The attempt under way succeeded. */
void relay_connected(struct worker *w, struct flow *f);

/* ---- greeting.c ---- */

/* Is it to begin with a PROXY header? */
bool relay_is_trusted(const struct flow *f);
/* Takes exactly the header out of the socket. 1: it is here, 0: not whole yet; -EBADMSG: it is none; -EDQUOT: the client that it
 * names has max_connections_per_source flows. */
int relay_read_proxy_header(struct flow *f) _must_check_;
void relay_refuse_proxy_header(struct worker *w, struct flow *f);

/* ---- broken.c ---- */

/* One leg's socket failed. The flow may be over when it returns. */
void relay_leg_gone(struct worker *w, struct flow *f, bool client, int error);
/* Then (relay.error is set): goes on to deliver what it had sent; when the other leg signals. The same. */
void relay_deliver(struct worker *w, struct flow *f);
void relay_broken_event(struct worker *w, struct flow *f, uint32_t events);

/* ---- ways.c ---- */

/* What a run of one way came to. */
enum way_result {
    WAY_ON,           /* waits for the sender or the receiver */
    WAY_SENDER_GONE,  /* the sender's socket failed: *error */
    WAY_RECEIVER_GONE /* the receiver's socket failed: *error */
};

/* Moves bytes: what is held, then, if `readable`, what the sender has sent. */
enum way_result way_run(struct worker *w, struct flow *f, struct relay_way *way, bool readable, int *error);
/* It goes through a pipe as long as pieces are large. */
bool way_splices(const struct relay_way *way);
/* What was received and is not sent yet. */
uint64_t way_held(const struct relay_way *way);
/* Gives back what it holds; returns its size. */
uint64_t way_drop(struct worker *w, struct relay_way *way);

/* compression of the leg that this way leads to, live: recode_apply(). */
void way_set_compression(struct worker *w, struct flow *f, struct relay_way *way, const union setting_value *v,
                         struct qos_result *ret);

static inline bool way_blocked(const struct relay_way *way) {
    return way->held != NULL;
}
