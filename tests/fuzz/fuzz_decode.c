/* SPDX-License-Identifier: MIT */
/*
 * A compressed stream: however input and room for output are cut, the same bytes and the same end come out; a datagram
 * decodes whole exactly if the stream does. Byte 0: format; 1: how it is cut.
 */
#include <stdbool.h>

#include "codec.h"
#include "fuzz.h"

#define OUTPUT_MAX ((size_t) 256 * 1024)

struct decoded {
    uint8_t data[OUTPUT_MAX];
    size_t size, left; /* left: input behind the end */
    int end; /* CODER_END, CODER_DONE: the input ended first, CODER_OUTPUT: more than OUTPUT_MAX, or the error */
};

static size_t cut(size_t size, uint32_t *seed) {
    return *seed == 0 ? size : MIN(size, 1 + fuzz_random(seed) % (*seed & 1 ? 3 : 500));
}

/* One span of input. Returns as coder_decode() does. */
static int decode_span(struct coder *c, struct decoded *d, const uint8_t *span, size_t size, uint32_t *seed,
                       size_t *ret_left) {
    struct coder_io io = { .in = span, .in_size = size };
    int r;

    do {
        size_t room = cut(OUTPUT_MAX - d->size, seed);

        io.out = d->data + d->size;
        io.out_size = room;
        r = coder_decode(c, &io);
        assert(io.out_size <= room && io.in_size <= size);
        d->size += room - io.out_size;
        assert(r != CODER_OUTPUT || io.out_size == 0);
        assert(r != CODER_DONE || io.in_size == 0);
    } while (r == CODER_OUTPUT && d->size < OUTPUT_MAX);
    *ret_left = io.in_size;
    return r;
}

static void decode(enum coding id, const uint8_t *data, size_t size, uint32_t seed, struct decoded *d) {
    struct coder *c;
    size_t left = 0;
    int r = decoder_new(id, &c);

    assert(r == 0);
    d->size = d->left = 0;
    for (d->end = CODER_DONE; size > 0 && d->end == CODER_DONE;) {
        size_t n = cut(size, &seed);
        uint8_t *span = fuzz_copy(data, n, 0);

        d->end = decode_span(c, d, span, n, &seed, &left);
        free(span);
        data += n;
        size -= n;
    }
    d->left = left + size;
    assert(coder_out_bytes(c) == d->size);
    assert(d->end >= 0 || d->end == -EBADMSG);
    (void) coder_free(c);
}

static void check_whole(enum coding id, const uint8_t *data, size_t size, const struct decoded *stream) {
    static uint8_t out[OUTPUT_MAX];
    static struct codec_pool pool; /* one for all inputs: what one leaves behind must not change the next */
    ssize_t n = codec_decode_whole(&pool, id, data, size, out, sizeof(out));

    if (stream->end == CODER_END && stream->left == 0) {
        assert(n == (ssize_t) stream->size);
        assert(memcmp(out, stream->data, stream->size) == 0);
    } else
        assert(n == -EBADMSG || (n == -EMSGSIZE && stream->end == CODER_OUTPUT) || stream->size == OUTPUT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct decoded whole, pieces;
    enum coding id = fuzz_byte(&data, &size) & 1 ? CODING_GZIP : CODING_ZLIB;
    uint32_t seed = 1 + (uint32_t) fuzz_byte(&data, &size);

    decode(id, data, size, 0, &whole);
    decode(id, data, size, seed, &pieces);
    if (whole.size < OUTPUT_MAX) {
        assert(whole.end == pieces.end);
        assert(whole.end < 0 || whole.left == pieces.left);
    }
    assert(whole.size == pieces.size && memcmp(whole.data, pieces.data, whole.size) == 0);
    check_whole(id, data, size, &whole);
    return 0;
}
