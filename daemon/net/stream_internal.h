/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the TCP engine: stream.c (life cycle), stream_io.c (stages), accept.c.
 */
#pragma once

#include "stream.h"

/* Opens an accepted and admitted socket as a flow; takes `fd` over on success. 0, -ENOMEM, -errno. */
int stream_open(struct endpoint_source *from, int fd, const struct address *peer) _must_check_;

/* Sends, or keeps what the socket does not take. 0, or the socket's error. */
int stream_write(struct worker *w, struct flow *f, const void *data, size_t size) _must_check_;
/* Sends what was kept. 0 (all gone or still waiting), or the socket's error. */
int stream_flush(struct worker *w, struct flow *f) _must_check_;
/* Runs received bytes through decompression and target until the output is blocked. 0; -EBADMSG; a socket's error. */
int stream_feed(struct worker *w, struct flow *f, const uint8_t *data, size_t size) _must_check_;
/* Goes on with input that was kept. */
int stream_feed_kept(struct worker *w, struct flow *f) _must_check_;
/* Writes the compressor's trailer, if there is a compressor. */
int stream_write_trailer(struct worker *w, struct flow *f) _must_check_;

static inline union setting_value stream_setting(const struct flow *f, enum setting_id id) {
    return f->client.set->settings.v[id];
}
static inline bool stream_blocked(const struct flow *f) {
    return buf_size(f->client.out) > 0;
}
