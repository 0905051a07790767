/* SPDX-License-Identifier: MIT */
/* Streams in both formats of zlib.c: flush, finish, changes of level, room. */
#include "reference.h"

#include <zlib.h>

static const enum coding formats[] = { CODING_ZLIB, CODING_GZIP };

static void test_flush_delivers(void **state) {
    static const size_t spans[] = { 1, 3, 8, 1000, 200000 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(spans); s++) {
                _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], level);
                _cleanup_bytes_ struct bytes plain = { 0 }, packed = { 0 };

                for (int i = 0; i < 12; i++) {
                    _cleanup_bytes_ struct bytes seen = { 0 };
                    _cleanup_bytes_ struct bytes part =
                            sample_new((enum sample) random_below(SAMPLE_MAX), 1 + random_below(i == 7 ? 150000 : 700));

                    bytes_add(&plain, part.data, part.size);
                    encode_spans(c, part.data, part.size, 0, spans[s], CODER_FLUSH, &packed);
                    (void) reference_decode(formats[f], packed.data, packed.size, &seen);
                    assert_bytes(&seen, &plain);
                }
            }
}

static void test_flush_of_nothing(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level += 3) {
            _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], level);
            uint8_t out[100];
            struct coder_io io = { .out = out, .out_size = sizeof(out) }, none = { 0 };

            assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
            assert_int_equal(io.out_size, sizeof(out));
            io.in = (const uint8_t *) "abc";
            io.in_size = 3;
            assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
            assert_true(io.out_size < sizeof(out));

            size_t before = io.out_size;
            assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
            assert_int_equal(coder_encode(c, &io, CODER_MORE), CODER_DONE);
            assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
            assert_int_equal(io.out_size, before);
            assert_int_equal(coder_encode(c, &none, CODER_FLUSH), CODER_DONE);
            assert_int_equal(coder_encode(c, &none, CODER_FINISH), CODER_OUTPUT);
        }
}

/* However little room each call has, the marker is written once. */
static void test_flush_marks_once(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 1; level <= 9; level++)
            for (size_t span = 1; span <= 12; span++) {
                _cleanup_(coder_freep) struct coder *wide = make_encoder(formats[f], level);
                _cleanup_(coder_freep) struct coder *narrow = make_encoder(formats[f], level);
                _cleanup_bytes_ struct bytes want = { 0 }, have = { 0 };

                for (int i = 0; i < 50; i++) {
                    _cleanup_bytes_ struct bytes part =
                            sample_new((enum sample) random_below(SAMPLE_MAX), 1 + random_below(40));

                    encode_spans(wide, part.data, part.size, 0, 100000, CODER_FLUSH, &want);
                    encode_spans(narrow, part.data, part.size, 0, span, CODER_FLUSH, &have);
                    assert_bytes(&have, &want);
                }
            }
}

/* A span that is just as large as the output of a flush suffices. */
static void test_flush_exact_room(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int i = 0; i < 300; i++) {
            _cleanup_(coder_freep) struct coder *first = make_encoder(formats[f], 6),
                                                *second = make_encoder(formats[f], 6);
            _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_TEXT, 1 + (size_t) i);
            uint8_t out[1000];
            struct coder_io io = { .in = plain.data, .in_size = plain.size, .out = out, .out_size = sizeof(out) };

            assert_int_equal(coder_encode(first, &io, CODER_FLUSH), CODER_DONE);
            io = (struct coder_io){ plain.data, plain.size, out, sizeof(out) - io.out_size };
            assert_int_equal(coder_encode(second, &io, CODER_FLUSH), CODER_DONE);
            assert_int_equal(io.out_size, 0);
        }
}

static void set_level(struct coder *c, int level, struct bytes *packed) {
    uint8_t out[64];
    int r;

    do {
        struct coder_io io = { .out = out, .out_size = sizeof(out) };

        r = coder_set_level(c, &io, level);
        bytes_add(packed, out, sizeof(out) - io.out_size);
    } while (r == CODER_OUTPUT);
    assert_int_equal(r, CODER_DONE);
    assert_int_equal(coder_level(c), level);
}

static void change_levels(enum coding id, size_t part_max, size_t out_max) {
    _cleanup_(coder_freep) struct coder *c = make_encoder(id, (int) random_below(10));
    _cleanup_bytes_ struct bytes plain = { 0 }, packed = { 0 }, again = { 0 };

    for (int i = 0; i < 60; i++) {
        _cleanup_bytes_ struct bytes part = sample_new((enum sample) random_below(SAMPLE_MAX), random_below(part_max));

        /* What was said before comes once more, so that matches reach back over a change. */
        if (plain.size > 20000 && random_below(3) == 0)
            bytes_add(&part, plain.data + plain.size - 20000, 10000);
        bytes_add(&plain, part.data, part.size);
        encode_spans(c, part.data, part.size, random_below(2) ? 500 : 0, out_max, CODER_FLUSH, &packed);
        set_level(c, random_below(2) ? 0 : (int) random_below(10), &packed);
    }
    encode_spans(c, "", 0, 0, out_max, CODER_FINISH, &packed);
    assert_int_equal(reference_decode(id, packed.data, packed.size, &again), Z_STREAM_END);
    assert_bytes(&again, &plain);
}

static void test_level_changes(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int i = 0; i < 8; i++) {
            change_levels(formats[f], 1 + random_below(200), 1 + random_below(10));
            change_levels(formats[f], 1 + random_below(5000), 1 + random_below(100));
            change_levels(formats[f], 40000, 50000);
        }
}

static void test_level_takes_effect(void **state) {
    static const int path[] = { 6, 0, 1, 0, 9 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 0);

        for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
            _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_TEXT, 10000), packed = { 0 };

            set_level(c, path[i], &packed);
            encode_spans(c, plain.data, plain.size, 0, 20000, CODER_FLUSH, &packed);
            if (path[i] == 0)
                assert_true(packed.size >= plain.size);
            else
                assert_true(packed.size < plain.size / 2);
        }
    }
}

static void test_level_out_of_turn(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 6);
        uint8_t out[100];
        struct coder_io io = { .in = (const uint8_t *) "abc", .in_size = 3, .out = out, .out_size = sizeof(out) };

        assert_int_equal(coder_set_level(c, &io, 10), -EINVAL);
        assert_int_equal(coder_set_level(c, &io, -1), -EINVAL);
        /* Before the first payload; input that lies ready is not touched. */
        assert_int_equal(coder_set_level(c, &io, 3), CODER_DONE);
        assert_int_equal(io.in_size, 3);
        assert_int_equal(coder_encode(c, &io, CODER_MORE), CODER_DONE);
        assert_int_equal(coder_set_level(c, &io, 1), -EINVAL);
        io.out_size = 3;
        assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_OUTPUT);
        assert_int_equal(coder_set_level(c, &io, 1), -EINVAL);
        io = (struct coder_io){ .out = out, .out_size = sizeof(out) };
        assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
        assert_int_equal(coder_level(c), 3);
        assert_int_equal(coder_set_level(c, &io, 1), CODER_DONE);
        assert_int_equal(coder_encode(c, &io, CODER_FINISH), CODER_DONE);
        assert_int_equal(coder_set_level(c, &io, 2), -EINVAL);
    }
}

static void test_finish_is_final(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 6);
        uint8_t out[100];
        struct coder_io io = { .in = (const uint8_t *) "abc", .in_size = 3, .out = out, .out_size = sizeof(out) };
        size_t room;

        assert_int_equal(coder_encode(c, &io, CODER_FINISH), CODER_DONE);
        room = io.out_size;
        assert_int_equal(coder_encode(c, &io, CODER_FINISH), CODER_DONE);
        assert_int_equal(coder_encode(c, &io, CODER_FLUSH), CODER_DONE);
        assert_int_equal(io.out_size, room);
        io.in_size = 1;
        assert_int_equal(coder_encode(c, &io, CODER_MORE), -EINVAL);
    }
}

static void stay_in_bound(enum coding id, int level, enum sample kind, size_t size, size_t span) {
    static const enum coder_flush flushes[] = { CODER_FLUSH, CODER_FLUSH, CODER_FINISH };
    _cleanup_(coder_freep) struct coder *c = make_encoder(id, level);
    _cleanup_bytes_ struct bytes plain = sample_new(kind, size);

    for (size_t i = 0; i < ARRAY_SIZE(flushes); i++) {
        _cleanup_bytes_ struct bytes packed = { 0 };

        encode_spans(c, plain.data, plain.size, 0, span, flushes[i], &packed);
        assert_true(packed.size <= codec_bound(id, size));
    }
}

static void test_bound(void **state) {
    static const size_t sizes[] = { 0, 1, 10, 1000, 16383, 16384, 32767, 32768, 65530, 65536, 140000 };
    static const size_t spans[] = { 1, 100, 40000, 1 << 20 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
                for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
                    if (sizes[s] / spans[i] <= 5000)
                        stay_in_bound(formats[f], level, i % 2 ? SAMPLE_RANDOM : SAMPLE_MIXED, sizes[s], spans[i]);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flush_delivers),
        cmocka_unit_test(test_flush_of_nothing),
        cmocka_unit_test(test_flush_marks_once),
        cmocka_unit_test(test_flush_exact_room),
        cmocka_unit_test(test_level_changes),
        cmocka_unit_test(test_level_takes_effect),
        cmocka_unit_test(test_level_out_of_turn),
        cmocka_unit_test(test_finish_is_final),
        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests_name("zlib-flush", tests, NULL, NULL);
}
