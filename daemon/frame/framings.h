/* SPDX-License-Identifier: MIT */
/*
 * The rows that frame.c puts into its table, one a framing, and what several of them do. Only frame.c and the files of
 * the framings include it.
 */
#pragma once

#include "frame.h"

extern const struct frame_ops frame_chunk;       /* chunk.c */
extern const struct frame_ops frame_line;        /* line.c */
extern const struct frame_ops frame_octet_count; /* octet_count.c, RFC 6587 section 3.4.1 */
extern const struct frame_ops frame_length32;    /* length32.c */
extern const struct frame_ops frame_eof;         /* eof.c */

/* Returns `error`, with the reason in *ret. */
int frame_refuse(struct frame *ret, int error, const char *reason);
int frame_refuse_large(struct frame *ret); /* over the limit */

/* FRAME_PAYLOAD: `size` bytes at `payload`, `consumed` bytes in all. */
int frame_yield(struct frame *ret, const uint8_t *payload, size_t size, size_t consumed);

/* For a prefix of prefix_size bytes, all there, that announces `count` bytes. What `next` returns. */
int frame_counted(struct frame_state *state, const uint8_t *data, size_t size, size_t prefix_size, size_t count,
                  size_t limit_bytes, struct frame *ret);
