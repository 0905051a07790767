/* SPDX-License-Identifier: MIT */
/*
 * What the framing tests share: a reader that does what frame.h asks of a caller, and streams tried under every split.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frame.h"

struct bytes {
    uint8_t *data;
    size_t size, capacity;
};
void bytes_add(struct bytes *b, const void *data, size_t size);
void bytes_done(struct bytes *b);
#define _cleanup_bytes_ _cleanup_(bytes_done)

/* A number below `limit`; the same sequence in every run. */
size_t random_below(size_t limit);

/* Collects payloads: each one's bytes, and where each one ends. */
struct payloads {
    struct bytes bytes;
    size_t *ends, count;
};
void payloads_add(struct payloads *p, const void *data, size_t size);
void payloads_done(struct payloads *p);
void assert_payloads(const struct payloads *have, const struct payloads *want);
#define _cleanup_payloads_ _cleanup_(payloads_done)

/* Takes a stream span by span, keeps what lies across them, and asserts that every call keeps the contract. */
struct reader {
    const struct frame_ops *ops;
    size_t limit_bytes;
    bool joins; /* appends whole spans to what is kept, instead of frame_take() */
    struct frame_state state;
    struct bytes kept;
    struct payloads payloads;
    size_t copied;      /* bytes appended to `kept`, all in all */
    int result;         /* of the last call; an error stays */
    const char *reason; /* with an error */
};
void reader_feed(struct reader *r, const void *data, size_t size);
void reader_end(struct reader *r);
void reader_done(struct reader *r);
#define _cleanup_reader_ _cleanup_(reader_done)

/* Literals, with NUL bytes inside if need be. */
struct piece {
    const char *data;
    size_t size;
};
#define P(text)                                                                                                        \
    { text, sizeof(text) - 1 }

/* One stream and what becomes of it, however it is split. */
struct scenario {
    struct piece stream, payloads[8]; /* the first without data ends the list */
    size_t limit_bytes;               /* 0: 1000 */
    int result;                       /* FRAME_END or an error */
    const char *reason;               /* words that the error's text holds */
    size_t said_after; /* the error is known when so many bytes are there; 0: when the stream ends, or no error */
};
/* In one piece, in two at each position, byte by byte, with and without frame_take(). */
void assert_scenarios(enum framing id, const struct scenario *scenarios, size_t count);

/* Prefix, reply and suffix; fails if the framing cannot carry it. */
void wrap_add(struct bytes *stream, enum framing id, const void *data, size_t size);
