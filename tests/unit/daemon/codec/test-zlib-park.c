/* SPDX-License-Identifier: MIT */
/* Encoders of zlib.c that give their context back, and the header and trailer that they write themselves. */
#include "reference.h"

#include <malloc.h>
#include <stdbool.h>
#include <zlib.h>

#define SMALL 300         /* bytes that an encoder without a context may cost */
#define LARGE (200 << 10) /* what its context costs at least */

static const enum coding formats[] = { CODING_ZLIB, CODING_GZIP };
static bool out_of_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size) {
    return out_of_memory ? NULL : __real_calloc(n, size);
}

/* With a sanitizer the allocator is its own. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap_in_use(void) {
    struct mallinfo2 info;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void park(struct coder *c) {
    assert_int_equal(coder_park(c), 0);
    assert_true(coder_parked(c));
}

static void test_memory(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        struct coder *many[100];
        size_t before = heap_in_use(), packed_size = 0;
        uint8_t out[200];

        for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
            many[i] = make_encoder(formats[f], 1 + (int) (i % 9));
            assert_true(coder_parked(many[i]));
        }
        assert_true(heap_in_use() - before <= ARRAY_SIZE(many) * SMALL);
        for (int round = 0; round < 3; round++)
            for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
                struct coder_io io = { (const uint8_t *) "Received", 8, out, sizeof(out) };
                size_t parked = heap_in_use();

                assert_int_equal(coder_encode(many[i], &io, CODER_FLUSH), CODER_DONE);
                assert_false(coder_parked(many[i]));
                assert_true(heap_in_use() - parked >= LARGE);
                park(many[i]);
                assert_true(heap_in_use() - before <= ARRAY_SIZE(many) * SMALL);
            }
        for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
            struct coder_io io = { .out = out, .out_size = sizeof(out) };

            assert_int_equal(coder_set_level(many[i], &io, 9), CODER_DONE);
            assert_int_equal(coder_encode(many[i], &io, CODER_FINISH), CODER_DONE);
            packed_size += sizeof(out) - io.out_size;
            assert_true(coder_parked(many[i]));
            assert_true(heap_in_use() - before <= ARRAY_SIZE(many) * SMALL);
        }
        assert_true(packed_size > 0);
        for (size_t i = 0; i < ARRAY_SIZE(many); i++)
            coder_free(many[i]);
    }
}

static void set_level(struct coder *c, int level) {
    uint8_t out[64];
    struct coder_io io = { .out = out, .out_size = sizeof(out) };

    assert_int_equal(coder_set_level(c, &io, level), CODER_DONE);
    assert_int_equal(io.out_size, sizeof(out));
    assert_int_equal(coder_level(c), level);
}

/* Random payloads, parked and changed between them; the peer has each at once, the reference the whole in one go. */
static void park_at_random(enum coding id, size_t part_max, size_t out_max) {
    _cleanup_(coder_freep) struct coder *c = make_encoder(id, (int) random_below(10)), *peer = make_decoder(id);
    _cleanup_bytes_ struct bytes plain = { 0 }, packed = { 0 }, seen = { 0 }, again = { 0 };
    size_t left, sent = 0;

    for (int i = 0; i < 60; i++) {
        _cleanup_bytes_ struct bytes part = sample_new((enum sample) random_below(SAMPLE_MAX), random_below(part_max));

        /* What was said before comes once more: no match may reach back behind a parking. */
        if (plain.size > 20000 && random_below(3) == 0)
            bytes_add(&part, plain.data + plain.size - 20000, 10000);
        bytes_add(&plain, part.data, part.size);
        encode_spans(c, part.data, part.size, random_below(2) ? 500 : 0, out_max, CODER_FLUSH, &packed);
        assert_true(decode_spans(peer, packed.data + sent, packed.size - sent, 0, 5000, &seen, &left) >= CODER_DONE);
        assert_bytes(&seen, &plain);
        sent = packed.size;
        if (random_below(2))
            park(c);
        if (random_below(2))
            set_level(c, (int) random_below(10));
        if (random_below(4) == 0)
            park(c);
    }
    encode_spans(c, "the end", random_below(2) ? 7 : 0, 0, out_max, CODER_FINISH, &packed);
    bytes_add(&plain, "the end", (size_t) coder_in_bytes(c) - plain.size);
    assert_int_equal(reference_decode(id, packed.data, packed.size, &again), Z_STREAM_END);
    assert_bytes(&again, &plain);
    assert_int_equal(coder_out_bytes(c), packed.size);
}

static void test_random(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int i = 0; i < 8; i++) {
            park_at_random(formats[f], 1 + random_below(200), 1 + random_below(10));
            park_at_random(formats[f], 1 + random_below(5000), 1 + random_below(100));
            park_at_random(formats[f], 40000, 50000);
        }
}

static void test_out_of_turn(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 6), *decoder = make_decoder(formats[f]);
        uint8_t out[100];
        struct coder_io io = { .in = (const uint8_t *) "abc", .in_size = 3, .out = out, .out_size = 1 };

        assert_false(coder_parked(decoder));
        park(c);
        /* The header waits for room, then input for a flush, then the flush for room. */
        assert_int_equal(coder_encode(c, &io, CODER_MORE), CODER_OUTPUT);
        assert_int_equal(coder_park(c), -EINVAL);
        io.out_size = sizeof(out) - 1;
        assert_int_equal(coder_encode(c, &io, CODER_MORE), CODER_DONE);
        assert_int_equal(coder_park(c), -EINVAL);
        assert_false(coder_parked(c));
        io.out_size = 3;
        assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_OUTPUT);
        assert_int_equal(coder_park(c), -EINVAL);
        io.out_size = 50;
        assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
        park(c);
        park(c);
        /* Nothing new to say, nothing written. */
        assert_int_equal(coder_encode(c, &io, CODER_MORE), CODER_DONE);
        assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
        assert_true(coder_parked(c));
        io.out_size = 3;
        assert_int_equal(coder_encode(c, &io, CODER_FINISH), CODER_OUTPUT);
        assert_int_equal(coder_park(c), -EINVAL);
        io.out_size = 10;
        assert_int_equal(coder_encode(c, &io, CODER_FINISH), CODER_DONE);
        assert_int_equal(coder_park(c), -EINVAL);
    }
}

/* A parked stream that finds no memory loses nothing, and may go on or end. */
static void test_no_memory(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int goes_on = 0; goes_on < 2; goes_on++) {
            _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 6);
            _cleanup_bytes_ struct bytes again = { 0 };
            uint8_t out[200];
            struct coder_io io = { (const uint8_t *) "onetwo", 3, out, sizeof(out) };

            assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
            park(c);
            io.in_size = 3;
            out_of_memory = true;
            assert_int_equal(coder_encode(c, &io, CODER_FLUSH), -ENOMEM);
            out_of_memory = false;
            assert_int_equal(io.in_size, 3);
            if (goes_on)
                assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
            io.in_size = 0;
            assert_int_equal(coder_encode(c, &io, CODER_FINISH), CODER_DONE);
            assert_int_equal(reference_decode(formats[f], out, (size_t) (io.out - out), &again), Z_STREAM_END);
            assert_int_equal(again.size, goes_on ? 6 : 3);
            assert_memory_equal(again.data, "onetwo", again.size);
        }
}

/* Each call of a stream that parks between stays in the bound. */
static void test_bound(void **state) {
    static const size_t sizes[] = { 0, 1, 10, 1000, 16384, 70000 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
                _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], level);
                _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_RANDOM, sizes[s]);

                for (int i = 0; i < 3; i++) {
                    _cleanup_bytes_ struct bytes packed = { 0 };

                    encode_spans(c, plain.data, plain.size, 0, 1 << 20, i < 2 ? CODER_FLUSH : CODER_FINISH, &packed);
                    assert_true(packed.size <= codec_bound(formats[f], sizes[s]));
                    if (i < 2)
                        park(c);
                }
            }
}

/* Our own header and trailer are zlib's, to the bit: at each level, for a payload and for none. */
static void test_same_as_reference(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t size = 0; size <= 3000; size += 1000) {
                _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], level);
                _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_TEXT, size), have = { 0 };
                _cleanup_bytes_ struct bytes want = reference_encode(formats[f], level, plain.data, plain.size);
                size_t header = formats[f] == CODING_GZIP ? 10 : 2, trailer = formats[f] == CODING_GZIP ? 8 : 4;

                encode_spans(c, plain.data, plain.size, 0, 5000, CODER_FINISH, &have);
                if (level > 0 || size > 0) {
                    assert_bytes(&have, &want);
                    continue;
                }
                /* zlib spends five bytes on an empty stored block here. */
                assert_memory_equal(have.data, want.data, header);
                assert_memory_equal(have.data + have.size - trailer, want.data + want.size - trailer, trailer);
            }
}

/* The header names the level that the first payload is compressed with. */
static void test_header_after_level_change(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 1);
        _cleanup_bytes_ struct bytes have = { 0 }, want = reference_encode(formats[f], 9, "x", 1);

        set_level(c, 9);
        encode_spans(c, "x", 1, 0, 100, CODER_FINISH, &have);
        assert_bytes(&have, &want);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_same_as_reference),
        cmocka_unit_test(test_header_after_level_change),
    };

    return cmocka_run_group_tests_name("zlib-park", tests, NULL, NULL);
}
