/* SPDX-License-Identifier: MIT */
/*
 * The thread that looks after upstreams off the data path: it resolves their names, again and again as they expire, and
 * makes connections that only check. One for all listeners; it begins with the first upstream that needs it.
 */
#pragma once

#include "mailbox.h"
#include "upstream.h"

/* The longest that a name may take, and helper_settle(). */
#define HELPER_PATIENCE_USEC (10 * USEC_PER_SEC)

/* How an upstream is looked after. */
struct care {
    const char *listener; /* for messages; copied */
    struct upstream_health health;
    uint64_t check_interval_usec; /* between connections that check; 0: none */
    bool rests;                   /* not at all, for now */
};

/* Main thread. Looks after `u` from now on, or otherwise than so far. 0; -ENOMEM; -errno: no thread. */
int helper_attend(struct upstream *u, const struct care *care) _must_check_;
/* Any thread, once: no flow will come to `u` any more. */
void helper_leave(struct upstream *u);

/* Main thread, one at a time. Posts `done` to `to` as soon as every name has been asked for, or took too long. */
void helper_settle(struct mailbox *to, struct message *done);

/* Main thread. Ends the thread, if there is one; upstreams that are attended to later begin another. */
void helper_stop(void);
