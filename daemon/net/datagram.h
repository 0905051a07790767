/* SPDX-License-Identifier: MIT */
/*
 * UDP: a batch received, each datagram answered from the address it was sent to, with the mark that the settings ask for. Runs on
 * the worker that reads the endpoint. Replies that the socket or the device's queue does not take wait, and reading stops
 * meanwhile: back pressure instead of loss. ICMP errors are counted.
 *
 * Datagrams that the kernel has joined (UDP_GRO) are taken apart (datagram_receive.h); replies to one peer that are of one size
 * and mark leave in one UDP_SEGMENT send (datagram_group.h, datagram_send.c), without waiting for more of them. udp(7).
 */
#pragma once

#include "worker.h"

struct engine;

/* How the datagrams of an endpoint are handled: datagram.c answers them; a target may do otherwise. */
struct datagram_ops {
    /* Before an endpoint is watched. */
    void (*start)(struct endpoint_source *s);
    /* One turn: sends what waits, then receives, up to DATAGRAM_BATCHES. `events` of epoll; 0: its rest is over. */
    void (*turn)(struct endpoint_source *s, uint32_t events);
    /* The endpoint goes, or is handled otherwise from now on (s->removed is set): what was received is answered without
     * waiting for the socket; what it does not take is dropped and counted. */
    void (*stop)(struct endpoint_source *s);
    const struct engine *engine; /* of the flows that it makes, or NULL */
    uint64_t unused;             /* without flows: what engine.unused is with them */
};

/* For targets that take payloads. */
extern const struct datagram_ops datagram_ops;

struct datagram_batch *datagram_batch_free(struct datagram_batch *b); /* accepts NULL, returns NULL */
