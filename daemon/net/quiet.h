/* SPDX-License-Identifier: MIT */
/*
 * Is nothing left to be done? For a daemon that ends when it is idle, without losing what comes at that moment. Main
 * thread.
 */
#pragma once

#include "net.h"

/* `quiet`: no flow, no reply, nothing unread in any socket, and nobody serves them: what comes from now on stays there.
 * Returns whether it shall stay so; otherwise, and if it is not quiet, the workers serve on. */
typedef bool (*quiet_fn)(bool quiet, void *userdata);

/* Workers let go of all sockets, then is looked at them, then `answer` is called, once. 0 or -ENOMEM. */
int quiet_ask(struct net *n, quiet_fn answer, void *userdata) _must_check_;
