/* SPDX-License-Identifier: MIT */
/*
 * UDP: a batch received, each datagram answered from the address it was sent to, with the mark that the settings ask for. Runs on
 * the worker that reads the endpoint. Replies that the socket does not take wait, and reading stops meanwhile: back
 * pressure instead of loss.
 */
#pragma once

#include "worker.h"

#define DATAGRAM_BATCH 32
#define DATAGRAM_SIZE_MAX 65535

/* One turn of a datagram endpoint: sends what waits, then receives and answers one batch. */
void datagram_turn(struct endpoint_source *s, uint32_t events);
/* Drops replies that wait, counted: the endpoint goes. */
void datagram_drop_queue(struct endpoint_source *s);
struct datagram_batch *datagram_batch_free(struct datagram_batch *b); /* accepts NULL, returns NULL */
