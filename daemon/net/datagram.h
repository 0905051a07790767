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

/* Before an endpoint is watched, qos_serve_datagrams(). */
void datagram_start(struct endpoint_source *s);
/* One turn of a datagram endpoint: sends what waits, then receives and answers one batch. `events` of epoll; 0: its rest is
 * over. */
void datagram_turn(struct endpoint_source *s, uint32_t events);
/* The endpoint goes (s->removed is set): answers what was received, without waiting for the socket; what it does not take is
 * dropped and counted. */
void datagram_stop(struct endpoint_source *s);

struct datagram_batch *datagram_batch_free(struct datagram_batch *b); /* accepts NULL, returns NULL */
