/* SPDX-License-Identifier: MIT */
/*
 * What a client of the control socket may take. Everything that a client can make the daemon hold is in here, so that
 * tests can pass small ones. Immutable once a server has been made from it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

struct limits {
    size_t message_bytes;      /* one message from a client */
    size_t output_bytes;       /* what waits to be read by one client; more closes the session */
    unsigned sessions;         /* in all */
    unsigned sessions_per_uid; /* of one uid, whoever it is */
    unsigned sessions_kept;    /* of `sessions`, only for those who may change things */
    uint64_t idle_usec;        /* without a call under way */
    uint64_t partial_usec;     /* from the first byte of a message to its last */
    uint64_t unread_usec;      /* output waits and the client takes none of it */
};

#define LIMITS_DEFAULT                                                                                                 \
    ((struct limits){                                                                                                  \
            .message_bytes = (size_t) 1024 * 1024,                                                                     \
            .output_bytes = (size_t) 4 * 1024 * 1024,                                                                  \
            .sessions = 256,                                                                                           \
            .sessions_per_uid = 64,                                                                                    \
            .sessions_kept = 8,                                                                                        \
            .idle_usec = 60 * USEC_PER_SEC,                                                                            \
            .partial_usec = 10 * USEC_PER_SEC,                                                                         \
            .unread_usec = 30 * USEC_PER_SEC,                                                                          \
    })
