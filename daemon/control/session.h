/* SPDX-License-Identifier: MIT */
/*
 * One client of the control socket: bytes in, calls out, one at a time and in order; answers in, bytes out. Main
 * thread, driven by sd-event. A slow or stuck client holds up nobody but itself: while its output waits above a mark,
 * or a call is under way, nothing more is read from it; the limits end what takes too long (session_limits.h).
 *
 * A client that only shuts its sending side down gets the answers to what it sent. One that has left altogether is
 * read to the end, for the sake of its oneway calls; its other calls are dropped.
 */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

#include "access.h"
#include "call.h"
#include "macro.h"
#include "session_limits.h"

struct session_ops {
    /* A call that passed the header check; from here on the handler owns it. */
    void (*dispatch)(struct call *call, void *userdata);
    /* The session is over; the callback frees it. */
    void (*ended)(struct session *session, void *userdata);
};

/* `fd` is a connected non-blocking stream socket, taken on success. The limits and ops must outlive the session.
 * 0 or negative errno. */
int session_new(sd_event *event, int fd, const struct peer *peer, const struct limits *limits,
                const struct session_ops *ops, void *userdata, struct session **ret) _must_check_;
/* Sends what the socket takes at once; a call under way is told that its client has gone. Accepts NULL, returns
 * NULL. */
struct session *session_free(struct session *s);
const struct peer *session_peer(const struct session *s);

/* For call.c. The message is borrowed; NULL: out of memory, the session ends. False: stop until drained. */
bool session_send(struct session *s, const json_t *message);
void session_call_ended(struct session *s);
/* Ends the session from the event loop, and tells why in the log. */
void session_fail(struct session *s, const char *reason);
