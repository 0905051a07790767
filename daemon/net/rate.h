/* SPDX-License-Identifier: MIT */
/*
 * The settings rate_limit, rate_limit_per_source and rate_limit_per_flow: one token bucket each (bucket.h), of the listener,
 * of the source (admission.h) and of the flow; what is received must find room in all of them. Both legs of a relayed flow
 * share its buckets.
 *
 * TCP is shaped. A flow that may not read takes what its next read may bring out of the buckets at once, and rests until
 * that is there: flows that share a bucket have their turns in the order in which they asked. UDP is policed: what finds no
 * room is dropped and counted.
 *
 * On the worker that owns the flow. Without limits the only cost is rate_applies() at each read.
 */
#pragma once

#include "worker.h"

#define RATE_LIMITS 3 /* in the order of the settings */

static inline const struct rate_limit *rate_limit_of(const struct settings *set, unsigned i) {
    return &set->v[SETTING_RATE_LIMIT + i].limit;
}
static inline bool rate_any(const struct settings *set) {
    return (rate_limit_of(set, 0)->per_sec | rate_limit_of(set, 1)->per_sec | rate_limit_of(set, 2)->per_sec) != 0;
}
static inline bool rate_applies(const struct flow *f) {
    return rate_any(&f->client.set->settings);
}

/* ---- TCP: where rate_applies() ---- */

/* Bytes that the flow may read now, at most `room`. 0: it rests (flow.rests); its timer is armed for that alone, and whoever
 * handles the timer calls rate_due(). Meanwhile nobody may wait for input. */
size_t rate_room(struct worker *w, struct flow *f, size_t room) _must_check_;
/* One read has brought `n` bytes, at most what rate_room() said. */
void rate_charge(struct worker *w, struct flow *f, size_t n);
/* The timer of a flow that rests is due: it may read. */
static inline void rate_due(struct flow *f) {
    f->rests = false;
}
/* The flow does not read any more: gives back what it has taken for that. Its timer is free for other uses. */
void rate_release(struct flow *f);
/* The same, but it still reads what its socket holds, without a limit. */
void rate_lift(struct flow *f);

/* ---- UDP ---- */

/* Takes one datagram of `size` bytes out of the buckets, NULL where there is none. False: it is to be dropped. */
bool rate_permits(const struct settings *set, struct bucket *const buckets[static RATE_LIMITS], size_t size,
                  uint64_t now_usec) _must_check_;
/* The same for a session. */
bool rate_permits_session(struct worker *w, struct flow *f, size_t size) _must_check_;

/* ---- changes ---- */

/* The flow is about to have `set`, which may say something else of `id`. */
void rate_change(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set);
/* So is the listener. */
void rate_change_view(struct worker *w, const struct listener_view *from, const struct listener_view *to);
