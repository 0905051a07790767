/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the engine for flows whose target takes payloads: stream.c (turns and timers), stream_in.c and
 * stream_out.c (stages: socket, decompress, deframe, target; reply, frame, compress, socket), stream_change.c.
 */
#pragma once

#include <sys/uio.h>

#include "life.h"

/* What is wrong with the input of a flow: the stages return -EBADMSG and leave it here. */
struct stream_fault {
    enum event_kind kind;
    enum counter counter;
    char text[128];
};

/* Runs received bytes through decompression, framing and target until the output is blocked; the rest is kept. 0;
 * -EBADMSG with *fault; a socket's error. */
int stream_feed(struct worker *w, struct flow *f, const uint8_t *data, size_t size,
                struct stream_fault *fault) _must_check_;
/* Goes on with input that was kept: `late` when the time to decide on decompression = auto is over. */
int stream_feed_kept(struct worker *w, struct flow *f, bool late, struct stream_fault *fault) _must_check_;
/* Is there kept input that could go on now, without anything new? */
static inline bool stream_has_kept(const struct flow *f) {
    return f->decode_pending || f->plain_pending;
}
/* Nothing more will be read: decides on decompression = auto; if the peer has sent all it will, the last frame, or what
 * is missing. Call it again when output is not blocked and nothing kept any more. */
int stream_feed_end(struct worker *w, struct flow *f, struct stream_fault *fault) _must_check_;

/* Frames, compresses and writes a reply. 0 or the socket's error. */
int stream_reply(struct worker *w, struct flow *f, const struct span *span) _must_check_;
/* Sends what was kept. 0 (all gone or still waiting), or the socket's error. */
int stream_flush(struct worker *w, struct flow *f) _must_check_;
/* At the end of a turn: replies that were held back to go out together. */
int stream_settle(struct worker *w, struct flow *f) _must_check_;
/* Writes bytes as they are. */
int stream_write(struct worker *w, struct flow *f, const void *data, size_t size) _must_check_;
/* Ends a compressed stream with its trailer; one without a reply becomes an empty one. */
int stream_write_trailer(struct worker *w, struct flow *f) _must_check_;

/* The flow's one timer: the earliest of what it waits for. */
void stream_arm_timer(struct worker *w, struct flow *f);

/* A setting of the daemon itself, live: engine.apply. */
void stream_apply(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                  struct qos_result *ret);
