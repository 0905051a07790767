/* SPDX-License-Identifier: MIT */
#include "reader.h"

void bytes_add(struct bytes *b, const void *data, size_t size) {
    if (b->capacity - b->size < size || !b->data) {
        b->capacity = 2 * (b->size + size) + 64;
        b->data = realloc(b->data, b->capacity);
        assert_non_null(b->data);
    }
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

void bytes_done(struct bytes *b) {
    free(b->data);
    *b = (struct bytes){ 0 };
}

size_t random_below(size_t limit) {
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t) (state % limit);
}

void payloads_add(struct payloads *p, const void *data, size_t size) {
    bytes_add(&p->bytes, data, size);
    if ((p->count & (p->count - 1)) == 0) {
        p->ends = realloc(p->ends, MAX(2 * p->count, (size_t) 1) * sizeof(*p->ends));
        assert_non_null(p->ends);
    }
    p->ends[p->count++] = p->bytes.size;
}

void payloads_done(struct payloads *p) {
    bytes_done(&p->bytes);
    free(p->ends);
    *p = (struct payloads){ 0 };
}

void assert_payloads(const struct payloads *have, const struct payloads *want) {
    for (size_t i = 0; i < MIN(have->count, want->count); i++)
        assert_int_equal(have->ends[i], want->ends[i]);
    assert_int_equal(have->count, want->count);
    assert_int_equal(have->bytes.size, want->bytes.size);
    if (want->bytes.size > 0)
        assert_memory_equal(have->bytes.data, want->bytes.data, want->bytes.size);
}

/* One call, its payload taken. The data is in memory of exactly its size, so that reading past it is caught. */
static size_t call(struct reader *r, const uint8_t *data, size_t size, bool at_end) {
    struct frame frame;

    r->result = frame_next(r->ops, &r->state, data, size, at_end, r->limit_bytes, &frame);
    r->reason = frame.reason;
    assert_int_equal(frame.consumed > 0, r->result == FRAME_PAYLOAD);
    assert_int_equal(frame.reason != NULL, r->result < 0);
    assert_true(frame.consumed <= size);
    switch (r->result) {
    case FRAME_PAYLOAD:
        assert_true(frame.payload >= data && frame.payload + frame.size <= data + frame.consumed);
        assert_true(frame.size <= r->limit_bytes);
        assert_true(frame.consumed - frame.size <= FRAME_OVERHEAD_MAX);
        assert_int_equal(r->state.needed, 0);
        payloads_add(&r->payloads, frame.payload, frame.size);
        break;
    case FRAME_MORE:
        assert_false(at_end);
        assert_true(size < r->limit_bytes + FRAME_OVERHEAD_MAX);
        assert_true(size == 0 || r->state.needed > size);
        assert_true(r->state.needed <= r->limit_bytes + FRAME_OVERHEAD_MAX);
        break;
    case FRAME_END:
        assert_true(at_end);
        break;
    default:
        assert_true(r->result == -EMSGSIZE || r->result == -EBADMSG);
    }
    return frame.consumed;
}

static size_t drain(struct reader *r, const uint8_t *data, size_t size, bool at_end) {
    size_t position = 0;

    do
        position += call(r, data + position, size - position, at_end);
    while (r->result == FRAME_PAYLOAD);
    return position;
}

static void keep(struct reader *r, const uint8_t *data, size_t size) {
    bytes_add(&r->kept, data, size);
    r->copied += size;
    assert_true(r->joins || r->kept.size <= r->limit_bytes + FRAME_OVERHEAD_MAX);
}

static void drain_kept(struct reader *r, bool at_end) {
    size_t n;
    uint8_t *exact = malloc(MAX(r->kept.size, (size_t) 1));

    assert_non_null(exact);
    if (r->kept.size > 0)
        memcpy(exact, r->kept.data, r->kept.size);
    n = r->joins || at_end ? drain(r, exact, r->kept.size, at_end) : call(r, exact, r->kept.size, at_end);
    free(exact);
    r->kept.size -= n;
    if (n > 0)
        memmove(r->kept.data, r->kept.data + n, r->kept.size);
}

/* What frame_take() gives is this frame's and nothing beyond it. */
static size_t feed_kept(struct reader *r, const uint8_t *data, size_t size) {
    size_t position = 0;

    while (r->result == FRAME_MORE && r->kept.size > 0 && position < size) {
        size_t left = size - position;
        size_t n = frame_take(r->ops, &r->state, r->kept.size, data + position, left, r->limit_bytes);

        assert_true(n > 0 && n <= left);
        keep(r, data + position, n);
        position += n;
        drain_kept(r, false);
        if (r->result == FRAME_PAYLOAD) {
            assert_int_equal(r->kept.size, 0);
            r->result = FRAME_MORE;
        }
    }
    return position;
}

void reader_feed(struct reader *r, const void *data, size_t size) {
    uint8_t *exact = malloc(MAX(size, (size_t) 1));
    size_t position;

    assert_non_null(exact);
    if (size > 0)
        memcpy(exact, data, size);
    if (r->result < 0)
        position = size;
    else if (r->joins) {
        keep(r, exact, size);
        drain_kept(r, false);
        position = size;
    } else {
        position = feed_kept(r, exact, size);
        if (r->result >= 0 && position < size)
            position += drain(r, exact + position, size - position, false);
    }
    if (r->result >= 0)
        keep(r, exact + position, size - position);
    free(exact);
}

void reader_end(struct reader *r) {
    if (r->result >= 0)
        drain_kept(r, true);
}

void reader_done(struct reader *r) {
    bytes_done(&r->kept);
    payloads_done(&r->payloads);
}

static struct reader reader_for(enum framing id, const struct scenario *s, bool joins) {
    return (struct reader){
        .ops = frame_ops(id),
        .limit_bytes = s->limit_bytes ? s->limit_bytes : 1000,
        .joins = joins,
    };
}

static void finish(struct reader *r, const struct scenario *s) {
    struct payloads want = { 0 };

    reader_end(r);
    assert_int_equal(r->result, s->result);
    if (s->result < 0)
        assert_non_null(strstr(r->reason, s->reason));
    for (size_t i = 0; i < ARRAY_SIZE(s->payloads) && s->payloads[i].data; i++)
        payloads_add(&want, s->payloads[i].data, s->payloads[i].size);
    assert_payloads(&r->payloads, &want);
    payloads_done(&want);
}

static void try_splits(enum framing id, const struct scenario *s, bool joins) {
    for (size_t split = 0; split <= s->stream.size; split++) {
        _cleanup_reader_ struct reader r = reader_for(id, s, joins);

        reader_feed(&r, s->stream.data, split);
        reader_feed(&r, s->stream.data + split, s->stream.size - split);
        finish(&r, s);
    }
}

static void try_bytes(enum framing id, const struct scenario *s, bool joins) {
    _cleanup_reader_ struct reader r = reader_for(id, s, joins);
    size_t said_after = 0;

    for (size_t i = 0; i < s->stream.size; i++) {
        reader_feed(&r, s->stream.data + i, 1);
        if (r.result < 0 && said_after == 0)
            said_after = i + 1;
    }
    assert_int_equal(said_after, s->said_after);
    finish(&r, s);
}

void assert_scenarios(enum framing id, const struct scenario *scenarios, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (int joins = 0; joins < 2; joins++) {
            try_splits(id, &scenarios[i], joins);
            try_bytes(id, &scenarios[i], joins);
        }
}

void wrap_add(struct bytes *stream, enum framing id, const void *data, size_t size) {
    struct frame_wrap wrap;

    assert_int_equal(frame_wrap(frame_ops(id), data, size, &wrap), 0);
    assert_null(wrap.reason);
    assert_true(wrap.prefix_size <= FRAME_PREFIX_MAX && wrap.suffix_size <= FRAME_SUFFIX_MAX);
    bytes_add(stream, wrap.prefix, wrap.prefix_size);
    bytes_add(stream, data, size);
    bytes_add(stream, wrap.suffix, wrap.suffix_size);
}
