/* SPDX-License-Identifier: MIT */
/*
 * TCP framing: where a payload begins and ends in a stream of bytes, and what stands around a reply. One file a framing
 * behind one ops table. Pure functions: no I/O, no memory of their own, no log; any thread, one at a time a state.
 *
 * Bytes come in spans. frame_next() finds the payloads in a span, one a call, and points into it: nothing is copied. A
 * frame that goes on in a later span is kept by the caller, who presents it again joined with what followed:
 *
 *     nothing kept:   frame_next() on the span until it returns FRAME_MORE; keep what was not consumed
 *     a frame kept:   append frame_take() bytes of the new span to it, frame_next() on what is kept;
 *                     FRAME_PAYLOAD consumes all of it: deliver, forget it, go on with the rest of the span
 *     stream ended:   frame_next() with at_end on what is left (it may be nothing) until it returns FRAME_END
 *
 * That copies only frames that lie across spans, and takes time in proportion to the bytes, whatever the spans' sizes.
 * What is kept never exceeds limit_bytes + FRAME_OVERHEAD_MAX. Payloads and errors do not depend on the spans, except
 * for `chunk`.
 *
 * | framing       | a payload is                                    | empty payload | stream ends inside a frame |
 * |---------------|-------------------------------------------------|---------------|----------------------------|
 * | `chunk`       | what was read, cut at the limit                 | never         | cannot be                  |
 * | `line`        | up to LF, without it and one CR before it       | empty line    | the rest is a payload      |
 * | `octet_count` | what "COUNT SP" announces (RFC 6587, 3.4.1),    | wrong prefix  | error                      |
 * |               | COUNT has 1 to 7 digits, the first is not 0     |               |                            |
 * | `length32`    | what 4 bytes announce, most significant first   | size 0        | error                      |
 * | `eof`         | the whole stream                                | never         | that is how it ends        |
 *
 * A CR at the end of an unterminated last line belongs to its payload.
 *
 * To add a framing: a name in enum framing, one file here, its row in framings.h and frame.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

enum framing {
    FRAMING_CHUNK, /* the default */
    FRAMING_LINE,
    FRAMING_OCTET_COUNT,
    FRAMING_LENGTH32,
    FRAMING_EOF,
    FRAMING_MAX,
    FRAMING_INVALID = -EINVAL,
};

#define FRAME_PREFIX_MAX 8                 /* "9999999 " */
#define FRAME_SUFFIX_MAX 2                 /* CR LF */
#define FRAME_OVERHEAD_MAX 8               /* what a frame adds to its payload, at most */
#define FRAME_LIMIT_MAX ((size_t) 1 << 30) /* the largest limit_bytes; the smallest is 1 */

enum frame_result {
    FRAME_MORE,    /* no payload yet: more bytes are needed */
    FRAME_PAYLOAD, /* one payload */
    FRAME_END,     /* only with at_end: all was consumed, the stream ended where it may */
};

/* Where a stream stands within a frame. Zero-initialise. */
struct frame_state {
    /* After FRAME_MORE on a span that was not empty: so many bytes of the frame, those presented included, must be
     * there before there can be anything new to say; fewer are answered with FRAME_MORE at once. More than were
     * presented; the frame's whole size where its prefix is complete. A peer may announce and not send: do not set
     * memory aside for it at once. 0 where a frame begins. */
    size_t needed;
};

struct frame {
    const uint8_t *payload; /* inside the data presented, never NULL with FRAME_PAYLOAD */
    size_t size;
    size_t consumed;    /* of the data presented: prefix, payload, terminator; not 0 with FRAME_PAYLOAD, else 0 */
    const char *reason; /* with an error, what to tell the user; static text */
};

struct frame_wrap {
    uint8_t prefix[FRAME_PREFIX_MAX], suffix[FRAME_SUFFIX_MAX];
    size_t prefix_size, suffix_size;
    const char *reason; /* as in struct frame */
};

/* One framing's functions; callers use frame_next(), frame_take() and frame_wrap(). */
struct frame_ops {
    bool ends_with_stream; /* what is left when the stream ends is a payload */
    /* size > 0. FRAME_PAYLOAD, or FRAME_MORE with state->needed set, or an error by frame_refuse(). */
    int (*next)(struct frame_state *state, const uint8_t *data, size_t size, size_t limit_bytes, struct frame *ret);
    /* See frame_take(). NULL: what state->needed asks for. */
    size_t (*take)(const uint8_t *data, size_t size);
    /* See frame_wrap(); *ret is zeroed. NULL: nothing around a reply. */
    int (*wrap)(const uint8_t *data, size_t size, struct frame_wrap *ret);
};

/* The names by enum framing, then NULL. */
const char *const *frame_names(void);
/* 0 or -EINVAL: no such name. */
int frame_parse(const char *name, enum framing *ret) _must_check_;
/* NULL for what is not a framing. */
const struct frame_ops *frame_ops(enum framing id);

/* The next payload of a stream. `data` begins with the first byte that was not consumed yet and holds at least what the
 * last call left; it may be NULL if size is 0. at_end: nothing follows it. limit_bytes is the largest payload; it may
 * change between calls. Returns enum frame_result or, with ret->reason and nothing consumed:
 *   -EMSGSIZE  the payload is over the limit; said as soon as it is certain, without waiting for all of it
 *   -EBADMSG   the prefix is wrong, or the stream ended inside a frame
 * After an error nothing in this stream can be framed any more. */
int frame_next(const struct frame_ops *ops, struct frame_state *state, const uint8_t *data, size_t size, bool at_end,
               size_t limit_bytes, struct frame *ret) _must_check_;

/* After FRAME_MORE: how many bytes at the front of new data are certain to belong to the frame of which `kept` bytes
 * are kept. At least 1 if size is not 0. Where the prefix is incomplete there may be more: FRAME_MORE comes again. */
size_t frame_take(const struct frame_ops *ops, const struct frame_state *state, size_t kept, const uint8_t *data,
                  size_t size, size_t limit_bytes);

/* What to send before and after a reply, so that the peer's deframer finds exactly this reply. Replies to `line` end in
 * LF, those that themselves end in CR in CR LF. Returns 0 or, with ret->reason:
 *   -EBADMSG   the framing cannot carry it: LF inside under `line`, no bytes under `octet_count`
 *   -EMSGSIZE  its size does not fit into the prefix: over 9,999,999 or 4,294,967,295 bytes
 * Also the check of a reply that the configuration names. */
int frame_wrap(const struct frame_ops *ops, const void *data, size_t size, struct frame_wrap *ret) _must_check_;
