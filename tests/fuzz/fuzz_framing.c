/* SPDX-License-Identifier: MIT */
/*
 * A stream of frames: however it is cut into spans, the same payloads come out, and the same error; and replies that are
 * those payloads are framed so that they come out again. Byte 0: framing; 1, 2: limit; 3: how it is cut.
 */
#include <stdbool.h>

#include "frame.h"
#include "fuzz.h"

/* What came out: each payload with its size before it (or, for `chunk`, where payloads depend on the spans, without). */
struct found {
    uint8_t *data;
    size_t size, payloads;
    int end; /* FRAME_END or the error */
};

struct stream {
    const struct frame_ops *ops;
    struct frame_state state;
    size_t limit_bytes;
    bool joined; /* payloads are kept without their sizes */
    uint8_t *kept;
    size_t n_kept;
    struct found *found;
};

static void append(uint8_t **to, size_t *n, const void *data, size_t size) {
    *to = realloc(*to, *n + size + 1);
    assert(*to);
    if (size > 0)
        memcpy(*to + *n, data, size);
    *n += size;
}

/* One frame_next(), checked. Returns what it returns; the payload is added. */
static int next(struct stream *s, const uint8_t *data, size_t size, bool at_end, size_t *ret_consumed) {
    struct frame frame = { 0 };
    int r = frame_next(s->ops, &s->state, data, size, at_end, s->limit_bytes, &frame);

    if (r < 0)
        assert((r == -EBADMSG || r == -EMSGSIZE) && frame.reason);
    if (r == FRAME_PAYLOAD) {
        assert(frame.payload && frame.size <= s->limit_bytes && frame.consumed > 0 && frame.consumed <= size);
        assert(frame.payload >= data && frame.payload + frame.size <= data + size);
        if (!s->joined)
            append(&s->found->data, &s->found->size, &frame.size, sizeof(frame.size));
        append(&s->found->data, &s->found->size, frame.payload, frame.size);
        s->found->payloads++;
    } else {
        assert(frame.consumed == 0);
        assert(r < 0 || at_end == (r == FRAME_END));
    }
    *ret_consumed = frame.consumed;
    return r;
}

/* One span, of which nothing is left when FRAME_MORE is returned: it is kept. */
static int feed(struct stream *s, const uint8_t *data, size_t size) {
    size_t consumed;
    int r;

    while (size > 0) {
        if (s->n_kept > 0) {
            size_t n = frame_take(s->ops, &s->state, s->n_kept, data, size, s->limit_bytes);
            assert(n > 0 && n <= size);
            append(&s->kept, &s->n_kept, data, n);
            data += n;
            size -= n;
            r = next(s, s->kept, s->n_kept, false, &consumed);
            if (r == FRAME_PAYLOAD) {
                assert(consumed == s->n_kept);
                s->n_kept = 0;
            }
        } else {
            r = next(s, data, size, false, &consumed);
            if (r == FRAME_MORE) {
                append(&s->kept, &s->n_kept, data, size);
                return r;
            }
            data += consumed;
            size -= consumed;
        }
        if (r < 0)
            return r;
        assert(s->n_kept <= s->limit_bytes + FRAME_OVERHEAD_MAX);
    }
    return FRAME_MORE;
}

static int end(struct stream *s) {
    size_t at = 0, consumed;
    int r;

    do {
        r = next(s, s->kept ? s->kept + at : NULL, s->n_kept - at, true, &consumed);
        at += consumed;
    } while (r == FRAME_PAYLOAD);
    return r;
}

/* The whole stream, in spans by `seed` (0: in one). */
static struct found run(enum framing id, size_t limit_bytes, const uint8_t *data, size_t size, uint32_t seed) {
    struct found found = { 0 };
    struct stream s = {
        .ops = frame_ops(id), .limit_bytes = limit_bytes, .joined = id == FRAMING_CHUNK, .found = &found
    };
    int r = FRAME_MORE;

    while (size > 0 && r == FRAME_MORE) {
        size_t n = seed == 0 ? size : MIN(size, 1 + fuzz_random(&seed) % (seed & 1 ? 4 : 200));
        uint8_t *span = fuzz_copy(data, n, 0);

        r = feed(&s, span, n);
        free(span);
        data += n;
        size -= n;
    }
    found.end = r < 0 ? r : end(&s);
    free(s.kept);
    return found;
}

/* The payloads again, as replies. */
static void check_replies(enum framing id, const struct found *found) {
    size_t size = 0, at = 0, largest = 1, replies = 0;
    struct frame_wrap wrap;
    struct found again;
    uint8_t *wire = NULL;

    while (at < found->size) {
        size_t n;
        memcpy(&n, found->data + at, sizeof(n));
        at += sizeof(n);
        if (frame_wrap(frame_ops(id), found->data + at, n, &wrap) == 0) {
            assert(wrap.prefix_size + wrap.suffix_size <= FRAME_OVERHEAD_MAX);
            append(&wire, &size, wrap.prefix, wrap.prefix_size);
            append(&wire, &size, found->data + at, n);
            append(&wire, &size, wrap.suffix, wrap.suffix_size);
            largest = MAX(largest, n);
            replies++;
        }
        at += n;
    }
    again = run(id, largest + 1, wire, size, 0); /* + 1: a CR at the end */
    assert(again.end == FRAME_END && again.payloads == replies && replies == found->payloads);
    assert(again.size == found->size && (again.size == 0 || memcmp(again.data, found->data, again.size) == 0));
    free(again.data);
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum framing id = (enum framing)(fuzz_byte(&data, &size) % FRAMING_MAX);
    size_t high = fuzz_byte(&data, &size), limit_bytes = 1 + (high << 8 | fuzz_byte(&data, &size));
    uint32_t seed = 1 + (uint32_t) fuzz_byte(&data, &size);
    struct found whole = run(id, limit_bytes, data, size, 0), cut = run(id, limit_bytes, data, size, seed);

    assert(whole.end == cut.end);
    assert(whole.size == cut.size && (whole.size == 0 || memcmp(whole.data, cut.data, whole.size) == 0));
    if (id != FRAMING_CHUNK) {
        assert(whole.payloads == cut.payloads);
        check_replies(id, &whole);
    }
    free(whole.data);
    free(cut.data);
    return 0;
}
