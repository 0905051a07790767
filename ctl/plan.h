/* SPDX-License-Identifier: MIT */
/*
 * What `sockqctl send` is to do, checked, and the payloads it sends. No sockets here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "args.h"

#define PLAN_DATAGRAM_MAX 65507 /* bytes of the largest UDP payload over IPv4 */
#define PLAN_STREAM_MAX (64 * 1024 * 1024)
#define PLAN_COUNT_MAX 1000000000
#define PLAN_SIZE_DEFAULT 64

struct plan {
    int type;          /* SOCK_STREAM or SOCK_DGRAM */
    char *host, *port; /* owned */
    int dscp;          /* -1: leave the socket's own mark */
    uint64_t count, interval_usec;
    uint64_t timeout_usec; /* for one reply */
    bool wait_reply;
    bool from_stdin; /* the caller reads the payload into `fixed` */
    char *fixed;     /* the payload when it is always the same, owned; NULL: made by number */
    size_t size;     /* of one payload */
};

/* 0; -EINVAL with *ret_reason (one clause, owned by the caller); -ENOMEM. */
int plan_parse(const struct args *a, struct plan *ret, char **ret_reason) _must_check_;
void plan_done(struct plan *p);

/* The most bytes that one payload may have. */
size_t plan_size_max(const struct plan *p);

/* Reads the payload from an fd to its end. 0; -EFBIG over plan_size_max(); -ENODATA when there is nothing; errors of
 * read(2). */
int plan_read(struct plan *p, int fd) _must_check_;

/* Payload `number` (from 1), plan->size bytes into `buf`. Made ones begin with their number, so that a late echo is
 * not taken for the answer to a later payload. */
void plan_payload(const struct plan *p, uint64_t number, char *buf);
/* The number that a payload made by plan_payload() bears; 0 for anything else. */
uint64_t plan_number(const struct plan *p, const char *data, size_t size);
