/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include <stdbool.h>

#define ZLIB_CONST
#include <zlib.h>

void bytes_add(struct bytes *b, const void *data, size_t size) {
    if (size > b->capacity - b->size) {
        b->capacity = MAX(2 * b->capacity, b->size + size);
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

void assert_bytes(const struct bytes *have, const struct bytes *want) {
    assert_int_equal(have->size, want->size);
    if (want->size > 0)
        assert_memory_equal(have->data, want->data, want->size);
}

size_t random_below(size_t limit) {
    static uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (size_t) (x >> 11) % limit;
}

void sample_fill(enum sample kind, uint8_t *data, size_t size) {
    static const char *const words[] = {
        "{\"level\":\"info\",", "\"peer\":\"192.0.2.", "\"bytes\":", "},\n", "EF", "0"
    };

    if (kind == SAMPLE_MIXED) {
        for (size_t i = 0, n; i < size; i += n) {
            n = MIN(size - i, 1 + random_below(5000));
            sample_fill(random_below(2) ? SAMPLE_TEXT : SAMPLE_RANDOM, data + i, n);
        }
        return;
    }
    for (size_t i = 0, n; i < size; i += n) {
        const char *word = words[random_below(ARRAY_SIZE(words))];

        n = kind == SAMPLE_TEXT ? MIN(size - i, strlen(word)) : 1;
        if (kind == SAMPLE_TEXT)
            memcpy(data + i, word, n);
        else
            data[i] = (uint8_t) random_below(256);
    }
}

struct bytes sample_new(enum sample kind, size_t size) {
    struct bytes b = { .data = malloc(size + 1), .size = size, .capacity = size + 1 };

    assert_non_null(b.data);
    sample_fill(kind, b.data, size);
    return b;
}

int reference_bits(enum coding id) {
    return id == CODING_GZIP ? 15 + 16 : 15;
}

struct bytes reference_encode(enum coding id, int level, const void *in, size_t in_size) {
    struct bytes b = { 0 };
    z_stream z = { 0 };

    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, reference_bits(id), 8, Z_DEFAULT_STRATEGY), Z_OK);
    b.capacity = deflateBound(&z, in_size);
    b.data = malloc(b.capacity);
    assert_non_null(b.data);
    z.next_in = in;
    z.avail_in = (uInt) in_size;
    z.next_out = b.data;
    z.avail_out = (uInt) b.capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.size = z.total_out;
    deflateEnd(&z);
    return b;
}

int reference_decode(enum coding id, const void *in, size_t in_size, struct bytes *out) {
    z_stream z = { .next_in = in, .avail_in = (uInt) in_size };
    uint8_t span[16384];
    int r;

    assert_int_equal(inflateInit2(&z, reference_bits(id)), Z_OK);
    do {
        z.next_out = span;
        z.avail_out = sizeof(span);
        r = inflate(&z, Z_SYNC_FLUSH);
        bytes_add(out, span, sizeof(span) - z.avail_out);
    } while (r == Z_OK && (z.avail_in > 0 || z.avail_out == 0));
    inflateEnd(&z);
    return r;
}

void encode_spans(struct coder *c, const void *in, size_t in_size, size_t in_max, size_t out_max,
                  enum coder_flush flush, struct bytes *out) {
    _cleanup_free_ uint8_t *span = malloc(out_max);
    const uint8_t *p = in;
    size_t left = in_size;

    assert_non_null(span);
    for (;;) {
        size_t piece = in_max > 0 ? MIN(left, 1 + random_below(in_max)) : left;
        struct coder_io io = { .in = p, .in_size = piece, .out = span, .out_size = 1 + random_below(out_max) };
        size_t room = io.out_size, written;
        bool last = piece == left;
        int r;

        r = coder_encode(c, &io, last ? flush : CODER_MORE);
        written = room - io.out_size;
        assert_ptr_equal(io.out, span + written);
        assert_ptr_equal(io.in, p + (piece - io.in_size));
        bytes_add(out, span, written);
        p += piece - io.in_size;
        left -= piece - io.in_size;
        if (r == CODER_OUTPUT) {
            assert_int_equal(io.out_size, 0);
            continue;
        }
        assert_int_equal(r, CODER_DONE);
        assert_int_equal(io.in_size, 0);
        if (last)
            return;
    }
}

int decode_spans(struct coder *c, const void *in, size_t in_size, size_t in_max, size_t out_max, struct bytes *out,
                 size_t *ret_left) {
    _cleanup_free_ uint8_t *span = malloc(out_max);
    const uint8_t *p = in;
    size_t left = in_size;

    assert_non_null(span);
    for (;;) {
        size_t piece = in_max > 0 ? MIN(left, 1 + random_below(in_max)) : left;
        struct coder_io io = { .in = p, .in_size = piece, .out = span, .out_size = 1 + random_below(out_max) };
        size_t room = io.out_size;
        int r;

        r = coder_decode(c, &io);
        bytes_add(out, span, room - io.out_size);
        p += piece - io.in_size;
        left -= piece - io.in_size;
        if (r == CODER_OUTPUT) {
            assert_int_equal(io.out_size, 0);
            continue;
        }
        if (r == CODER_DONE) {
            assert_int_equal(io.in_size, 0);
            if (left > 0)
                continue;
        }
        *ret_left = left;
        return r;
    }
}

struct coder *make_encoder(enum coding id, int level) {
    struct coder *c = NULL;

    assert_int_equal(encoder_new(id, level, &c), 0);
    return c;
}

struct coder *make_decoder(enum coding id) {
    struct coder *c = NULL;

    assert_int_equal(decoder_new(id, &c), 0);
    return c;
}
