/* SPDX-License-Identifier: MIT */
/*
 * The batch that a turn of a UDP endpoint works on, and what sends it: for datagram.c and for targets that handle datagrams
 * themselves. See datagram.h for the whole. On the worker that reads the endpoint.
 */
#pragma once

#include "datagram.h"
#include "datagram_group.h"
#include "datagram_receive.h"

#define DATAGRAM_SENDS 64 /* messages of one sendmmsg(2) */

/* Messages for the socket: each a whole group, or one reply. */
struct datagram_outbox {
    unsigned n, n_iov;
    struct mmsghdr messages[DATAGRAM_SENDS];
    uint16_t n_replies[DATAGRAM_SENDS];
    union datagram_control controls[DATAGRAM_SENDS];
    struct iovec iov[DATAGRAM_REPLIES];
};

/* How far the groups have been sent. */
struct datagram_cursor {
    unsigned group;
    bool singly;    /* the kernel does not take this group whole */
    uint16_t reply; /* of the group, the next one; its first unless it goes singly */
    uint16_t tries; /* errors that this message met, and that may have been an earlier one's */
    uint8_t rests;  /* how often it has rested */
};

/* What was received, what was answered, what was sent: a worker has one for all its endpoints. An endpoint that must wait keeps
 * it with all that is in it, and the worker makes another one when it needs it. */
struct datagram_batch {
    struct datagram_intake intake;
    struct datagram_routes routes; /* of the intake's messages */
    struct datagram_groups groups;
    struct datagram_cursor cursor;
    struct datagram_outbox outbox;
    struct {
        size_t used;
        uint8_t *data;          /* DATAGRAM_CODED_SIZE */
    } coded;                    /* payloads decompressed and replies compressed, until they are sent */
    struct listener_view *view; /* of a batch that is kept: replies point into its target */
};

/* Room for one payload and its reply at least. */
#define DATAGRAM_CODED_SIZE ((size_t) 8 * DATAGRAM_SIZE_MAX)

/* Sends all replies of the batch and clears it of them. False: the socket takes no more for now, and the endpoint's source waits
 * for it. An endpoint that is removed does not wait: what the socket does not take at once is dropped and counted. So is what
 * the device's queue refuses for too long. */
bool datagram_send(struct endpoint_source *s, struct datagram_batch *b) _must_check_;

/* The batch that the endpoint has kept, else the worker's, else a new one. The caller must hand it back by one of the two
 * functions below. NULL when out of memory. */
struct datagram_batch *datagram_batch_take(struct endpoint_source *s) _must_check_;
/* The endpoint must wait: it keeps the batch. */
void datagram_batch_keep(struct endpoint_source *s, struct datagram_batch *b);
/* Nothing waits any more: the batch is for every endpoint of the worker again. */
void datagram_batch_give_back(struct endpoint_source *s, struct datagram_batch *b);

/* Counts the open message of the intake: datagrams, bytes, mark, drops. */
void datagram_count_received(struct endpoint_source *s, const struct datagram_intake *in);
/* Takes what came back for datagrams that were sent (IP_RECVERR, ip(7)), and counts it. False: there was none. */
bool datagram_take_errors(struct endpoint_source *s);
/* Takes it from any socket, and tells how many ICMP errors there were. *ret_pending: the last one's positive errno, or 0. */
unsigned datagram_drain_errors(int fd, int *ret_pending);
/* What every way of handling an endpoint's datagrams begins and ends with, and each turn: false: there is nothing to do. */
void datagram_begin(struct endpoint_source *s);
void datagram_end(struct endpoint_source *s);
bool datagram_has_turn(struct endpoint_source *s, uint32_t events) _must_check_;

/* The source signals when the socket has room. */
void datagram_wait_room(struct endpoint_source *s);
/* The endpoint rests for a moment: nothing else will tell when it can go on. */
void datagram_rest(struct endpoint_source *s);
