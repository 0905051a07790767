/* SPDX-License-Identifier: MIT */
/*
 * The life of a flow, whatever its engine: it begins with an accepted socket, or a new session of UDP, and ends with
 * everything given back.
 * Runs on the worker that owns the flow.
 */
#pragma once

#include "event.h"
#include "tally.h"
#include "worker.h"

/* Why a flow ends at once. */
enum life_end {
    LIFE_END_DONE,     /* both sides have finished */
    LIFE_END_RESET,    /* the peer reset it */
    LIFE_END_UPSTREAM, /* the upstream reset it, or none took it */
    LIFE_END_ERROR,    /* another socket error */
    LIFE_END_IDLE,     /* a timeout */
    LIFE_END_EVICTED,  /* the oldest session made room for a new one */
    LIFE_END_CLOSED,   /* somebody asked: sockqctl close, the end of the drain */
    LIFE_END_MAX,
};

/* Opens an accepted and admitted socket as a flow; takes `fd` over on success. 0, -ENOMEM, -errno. */
int life_open(struct endpoint_source *from, int fd, const struct address *peer) _must_check_;
/* Opens a session of UDP for a peer of the endpoint, within admission. The caller's engine has no say: open() is not
 * called. 0; -EUSERS: max_connections is reached; -EDQUOT: max_connections_per_source is; -ENOMEM. */
int life_open_session(struct endpoint_source *from, const struct address *peer, struct flow **ret) _must_check_;
/* Ends a flow now; `error` is a negative errno or 0. */
void life_end(struct worker *w, struct flow *f, enum life_end why, int error);
/* Ends it because a call on its client socket failed. */
void life_end_by_error(struct worker *w, struct flow *f, int error);

/* Closes a socket with a reset. Accepts a negative fd. Returns -EBADF. */
int life_reset(int fd);

/* Receives of the client leg: follows the peer's mark with dscp = reflect, re-arms quickack. */
void life_on_received(struct flow *f);

static inline union setting_value flow_setting(const struct flow *f, enum setting_id id) {
    return f->client.set->settings.v[id];
}
