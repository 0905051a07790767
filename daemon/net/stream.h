/* SPDX-License-Identifier: MIT */
/*
 * TCP: accepting, and a flow's way through its stages (socket, decompress, target; reply, compress, socket). Runs on the
 * worker that owns the flow.
 */
#pragma once

#include "tally.h"
#include "worker.h"

/* A listening endpoint signals: accepts what waits, within admission and limits. */
void stream_accept(struct endpoint_source *from);
/* Accepts and resets what connects to an endpoint that no listener claims. */
void stream_refuse(struct endpoint_source *from);

/* One turn: sends what waits, decodes what waits, receives once, answers. May end the flow. */
void stream_turn(struct worker *w, struct flow *f);

/* May a peer (its address_key()) come in, by allow and deny? Any thread. */
bool stream_permits(const struct settings *set, const uint8_t key[static 16]);

/* Why a flow ends at once. */
enum stream_end {
    STREAM_END_DONE,   /* both sides have finished */
    STREAM_END_RESET,  /* the peer reset it */
    STREAM_END_ERROR,  /* another socket error */
    STREAM_END_IDLE,   /* idle_timeout */
    STREAM_END_CLOSED, /* somebody asked: sockqctl close, the end of the drain */
    STREAM_END_MAX,
};
/* Ends a flow now; `error` is a negative errno or 0. */
void stream_end(struct worker *w, struct flow *f, enum stream_end why, int error);

/* No more input: what was received is answered, the compressor's trailer goes out, then the flow ends. */
void stream_finish(struct worker *w, struct flow *f);

/* Applies a setting of the daemon itself (no socket option) to one flow, live. QOS_DEFERRED: the flow keeps its own value. */
void stream_apply(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                  struct qos_result *ret);
/* The flow's settings were swapped: re-arms what depends on them. */
void stream_settings_changed(struct worker *w, struct flow *f);
