/* SPDX-License-Identifier: MIT */
/*
 * What one recvmmsg(2) brought, and how far it has been answered. A message is one datagram, or with UDP_GRO (udp(7)) many that
 * the kernel joined: same peer, same mark, same size but for the last one. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "address.h"
#include "datagram_control.h"
#include "target_ops.h"

#define DATAGRAM_MESSAGES 32
#define DATAGRAM_BATCHES 4 /* at most of one endpoint in a turn: the worker's other sources wait meanwhile */
#define DATAGRAM_SIZE_MAX 65535

struct datagram_intake {
    unsigned n, next; /* messages; the first that is not open yet */
    /* The open one. */
    struct datagram_meta meta;
    unsigned n_parts, part; /* datagrams; the next one */
    uint32_t size, part_size;
    /* One slot a message. */
    struct mmsghdr messages[DATAGRAM_MESSAGES];
    struct iovec iov[DATAGRAM_MESSAGES];
    struct address peers[DATAGRAM_MESSAGES];
    union datagram_control controls[DATAGRAM_MESSAGES];
    uint8_t *memory;
};

/* Of a zero-initialised intake. 0 or -ENOMEM. */
int datagram_intake_init(struct datagram_intake *in) _must_check_;
void datagram_intake_done(struct datagram_intake *in); /* accepts a zero-initialised one */

/* Receives without waiting, over what is there: the intake must be used up. Returns the number of messages. Passes over errors
 * of what was sent; *ret_error (may be NULL) is the last one, negative, or 0. */
int datagram_intake_receive(struct datagram_intake *in, int fd, int *ret_error);

/* There is more, most likely. */
static inline bool datagram_intake_is_full(const struct datagram_intake *in) {
    return in->n == DATAGRAM_MESSAGES;
}

/* Opens the next message. False: there is none. */
bool datagram_intake_open(struct datagram_intake *in);
/* Of the open message: who sent it. */
static inline const struct address *datagram_intake_peer(const struct datagram_intake *in) {
    return &in->peers[in->next - 1];
}
/* The next datagram of the open message; valid until datagram_intake_receive(). False: there is none. */
bool datagram_intake_take(struct datagram_intake *in, struct span *ret);
/* Leaves out the rest of the open message. */
static inline void datagram_intake_skip(struct datagram_intake *in) {
    in->part = in->n_parts;
}
