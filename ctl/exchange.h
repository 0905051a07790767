/* SPDX-License-Identifier: MIT */
/*
 * Payloads out, replies in, one at a time, with times and marks. TCP and UDP alike. Does not print.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "mark.h"
#include "plan.h"

#define EXCHANGE_HEAD_MAX 32

struct exchange {
    const struct plan *plan; /* borrowed */
    int fd;                  /* owned */
    int interrupt_fd;        /* borrowed, -1: none */
    struct address peer;
    bool ipv4;         /* on the wire, also through an IPv6 socket */
    char *payload;     /* plan->size bytes */
    char *input;       /* what one read takes */
    size_t skip_bytes; /* of a TCP stream: the rest of a reply that was given up */
    uint64_t late;     /* replies that came after their time */
};

struct reply {
    uint64_t time_usec; /* from before the send to the first byte */
    size_t size;
    struct mark mark;
    char head[EXCHANGE_HEAD_MAX]; /* the first bytes, min(size, EXCHANGE_HEAD_MAX) */
};

/* Connects to the first address that answers, marked before the first packet. 0; errors of socket(2), setsockopt(2),
 * connect(2); -ETIMEDOUT; -EINTR (the interrupt fd); -ENOMEM. */
int exchange_open(const struct plan *p, const struct addrinfo *addresses, int interrupt_fd,
                  struct exchange *ret) _must_check_;
void exchange_done(struct exchange *x);

/* Sends payload `number` and waits for its reply. 1: *ret holds it. 0: none in time, or none is waited for.
 * -ECONNRESET also when the peer closed; -ECONNREFUSED: an ICMP answer to a datagram; -EINTR; errors of send(2) and
 * recv(2). */
int exchange_payload(struct exchange *x, uint64_t number, struct reply *ret) _must_check_;

/* TCP: ends the stream in order, so that everything sent is taken, and waits for the peer to do the same. UDP:
 * nothing. */
void exchange_finish(struct exchange *x);
