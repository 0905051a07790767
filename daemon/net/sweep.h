/* SPDX-License-Identifier: MIT */
/*
 * Sweeps over flows that the main thread asks for: list, close, drain. Results come on the main thread.
 */
#pragma once

#include "net.h"

/* Which flows: every given part must fit. */
struct flow_selector {
    const struct listener *listener; /* NULL: any */
    bool has_flow, has_source;
    struct flow_id flow;
    struct cidr source;
    const struct upstream *upstream; /* that they are relayed to; compared only. NULL: any */
};

bool flow_selector_matches(const struct flow_selector *s, const struct flow *f);

/* What a listing shows of a leg. */
struct leg_row {
    struct address local, peer; /* size 0: none, as of a Unix socket */
    uint64_t rx_bytes, tx_bytes;
    bool has_dscp;
    uint8_t dscp; /* read back */
    uint8_t received_dscp;
    enum qos_mark_label received_label;
    bool has_tcp_info;
    uint32_t rtt_usec, retransmits;
    uint64_t receive_queue, send_queue; /* kernel's and ours: not passed on yet, not sent yet */
};

/* How bytes go from one leg to the other. */
struct way_row {
    bool spliced;
    unsigned switches; /* between copying and splicing, at most UINT16_MAX are told */
};

/* What a listing shows of a flow: a copy, read from the kernel on the worker. */
struct flow_row {
    struct flow_id id;
    enum flow_state state;
    bool datagrams;            /* a session of UDP */
    struct listener *listener; /* one reference */
    struct effective *set;     /* one reference */
    uint64_t age_usec, idle_usec;
    struct leg_row client;
    uint64_t rx_payload_bytes, tx_payload_bytes, payloads;
    enum coding encode_id, decode_id;
    int encode_level;
    bool relayed; /* what follows is filled in */
    char *to;     /* the upstream's name, owned; NULL: none is chosen yet */
    struct leg_row upstream;
    struct way_row to_upstream, to_client;
};
void flow_row_done(struct flow_row *row);

#define LISTING_ROWS 64

/* A listing goes by cursor: each call reads at most LISTING_ROWS flows of one worker, so that a reader that is slow holds up
 * nobody. Zero-initialise. */
struct listing_cursor {
    unsigned worker;
    uint32_t slot;
};

/* Calls `done` on the main thread with rows (the callee releases each with flow_row_done()) and the next cursor; `more`
 * is false at the end. `selector` is copied, its listener must stay referenced by the caller until then. 0 or -ENOMEM. */
typedef void (*listing_fn)(struct flow_row *rows, size_t n, struct listing_cursor next, bool more, void *userdata);
int sweep_list(struct net *n, const struct flow_selector *selector, struct listing_cursor at, listing_fn done,
               void *userdata) _must_check_;

/* Closes flows: orderly (no more input, answers and trailer go out; those that finish already are left alone), or at
 * once. `done` gets the number of flows it acted on. */
typedef void (*sweep_done_fn)(unsigned n_flows, void *userdata);
int sweep_close(struct net *n, const struct flow_selector *selector, bool orderly, sweep_done_fn done,
                void *userdata) _must_check_;

/* Asks every worker to answer: for the watchdog. */
int sweep_ping(struct net *n, sweep_done_fn done, void *userdata) _must_check_;
