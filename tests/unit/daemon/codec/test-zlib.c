/* SPDX-License-Identifier: MIT */
/* Streams in both formats of zlib.c. */
#include "reference.h"

#include <stdbool.h>

#define ZLIB_CONST
#include <zlib.h>

static const enum coding formats[] = { CODING_ZLIB, CODING_GZIP };

static void assert_bytes(const struct bytes *have, const struct bytes *want) {
    assert_int_equal(have->size, want->size);
    if (want->size > 0)
        assert_memory_equal(have->data, want->data, want->size);
}

static struct coder *make_encoder(enum coding id, int level) {
    struct coder *c = NULL;

    assert_int_equal(encoder_new(id, level, &c), 0);
    return c;
}

static struct coder *make_decoder(enum coding id) {
    struct coder *c = NULL;

    assert_int_equal(decoder_new(id, &c), 0);
    return c;
}

/* Both ways, against the reference and against ourselves. */
static void round_trip(enum coding id, int level, const struct bytes *plain, size_t in_max, size_t out_max) {
    _cleanup_(coder_freep) struct coder *encoder = make_encoder(id, level), *decoder = make_decoder(id);
    _cleanup_bytes_ struct bytes packed = { 0 }, again = { 0 }, reference = { 0 };
    size_t left;

    encode_spans(encoder, plain->data, plain->size, in_max, out_max, CODER_FINISH, &packed);
    assert_int_equal(coder_in_bytes(encoder), plain->size);
    assert_int_equal(coder_out_bytes(encoder), packed.size);
    assert_int_equal(reference_decode(id, packed.data, packed.size, &reference), Z_STREAM_END);
    assert_bytes(&reference, plain);

    assert_int_equal(decode_spans(decoder, packed.data, packed.size, in_max, out_max, &again, &left), CODER_END);
    assert_int_equal(left, 0);
    assert_int_equal(coder_in_bytes(decoder), packed.size);
    assert_int_equal(coder_out_bytes(decoder), plain->size);
    assert_bytes(&again, plain);
}

static void test_round_trip(void **state) {
    static const size_t sizes[] = { 0, 1, 2, 100, 4096, 65535, 65536, 200000, 1 << 20 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
                _cleanup_bytes_ struct bytes plain =
                        sample_new((enum sample)((size_t) level + s) % SAMPLE_MAX, sizes[s]);

                round_trip(formats[f], level, &plain, 0, 2 << 20);
                round_trip(formats[f], level, &plain, 70000, 40000);
                round_trip(formats[f], level, &plain, 3000, 700);
            }
}

static void test_round_trip_byte_by_byte(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (int kind = 0; kind < SAMPLE_MAX; kind++) {
                _cleanup_bytes_ struct bytes plain = sample_new((enum sample) kind, 20000);

                round_trip(formats[f], level, &plain, 1, 1);
                round_trip(formats[f], level, &plain, 0, 1);
                round_trip(formats[f], level, &plain, 1, 100000);
            }
}

static void test_decode_reference(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++) {
            _cleanup_(coder_freep) struct coder *c = make_decoder(formats[f]);
            _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_MIXED, 150000), again = { 0 };
            _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], level, plain.data, plain.size);
            size_t left;

            bytes_add(&packed, "behind", 6);
            assert_int_equal(decode_spans(c, packed.data, packed.size, 0, 10000, &again, &left), CODER_END);
            assert_bytes(&again, &plain);
            assert_int_equal(left, 6);
            assert_int_equal(coder_in_bytes(c), packed.size - 6);
        }
}

static void test_decode_gzip_header(void **state) {
    Bytef extra[300] = { 1, 2, 3 };
    gz_header header = {
        .name = (Bytef[]){ "orders.log" },
        .comment = (Bytef[]){ "of today" },
        .extra = extra,
        .extra_len = 300,
        .time = 1,
        .os = 3,
        .hcrc = 1,
    };
    _cleanup_(coder_freep) struct coder *c = make_decoder(CODING_GZIP);
    _cleanup_bytes_ struct bytes again = { 0 };
    uint8_t packed[1000];
    z_stream z = { .next_in = (const Bytef *) "Received", .avail_in = 8, .next_out = packed, .avail_out = 1000 };
    size_t left;

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflateSetHeader(&z, &header), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(decode_spans(c, packed, z.total_out, 1, 1, &again, &left), CODER_END);
    assert_int_equal(left, 0);
    assert_int_equal(again.size, 8);
    assert_memory_equal(again.data, "Received", 8);
    deflateEnd(&z);
}

static void test_decode_after_end(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_decoder(formats[f]);
        _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], 6, "x", 1);
        uint8_t out[4];
        struct coder_io io = { .in = packed.data, .in_size = packed.size, .out = out, .out_size = 1 };

        /* The trailer needs no room. */
        assert_int_equal(coder_decode(c, &io), CODER_END);
        io = (struct coder_io){ .in = packed.data, .in_size = packed.size, .out = out, .out_size = sizeof(out) };
        assert_int_equal(coder_decode(c, &io), -EINVAL);
        assert_int_equal(io.in_size, packed.size);
        assert_int_equal(coder_in_bytes(c), packed.size);
    }
}

/* Nothing that was read so far may be kept back, and a cut stream never looks complete. */
static void test_decode_truncated(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_TEXT, 300);
        _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], 6, plain.data, plain.size);

        for (size_t size = 0; size < packed.size; size++) {
            _cleanup_(coder_freep) struct coder *c = make_decoder(formats[f]);
            _cleanup_bytes_ struct bytes ours = { 0 }, reference = { 0 };
            size_t left;

            assert_int_equal(decode_spans(c, packed.data, size, 5, 7, &ours, &left), CODER_DONE);
            (void) reference_decode(formats[f], packed.data, size, &reference);
            assert_bytes(&ours, &reference);
        }
    }
}

static void decode_corrupt(enum coding id, const struct bytes *packed, const struct bytes *plain) {
    _cleanup_(coder_freep) struct coder *c = make_decoder(id);
    _cleanup_bytes_ struct bytes out = { 0 };
    size_t left;
    int r = decode_spans(c, packed->data, packed->size, 0, 500, &out, &left);

    /* Bits that mean nothing to the payload (gzip's time, system) may differ. Else it is an error or incomplete. */
    if (r == CODER_END)
        assert_bytes(&out, plain);
    else if (r != CODER_DONE)
        assert_int_equal(r, -EBADMSG);
    if (r == -EBADMSG) {
        struct coder_io io = { .in = packed->data, .in_size = packed->size };

        assert_int_equal(coder_decode(c, &io), -EBADMSG);
    }
}

static void test_decode_corrupt(void **state) {
    size_t wrong_checksum = 0;

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 6; level += 6) {
            _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_MIXED, 400);
            _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], level, plain.data, plain.size);
            _cleanup_(coder_freep) struct coder *c = make_decoder(formats[f]);
            _cleanup_bytes_ struct bytes out = { 0 };
            size_t left;

            for (size_t i = 0; i < packed.size; i++)
                for (int bit = 0; bit < 8; bit++) {
                    packed.data[i] ^= (uint8_t) (1 << bit);
                    decode_corrupt(formats[f], &packed, &plain);
                    packed.data[i] ^= (uint8_t) (1 << bit);
                }
            packed.data[packed.size - 1] ^= 1;
            if (decode_spans(c, packed.data, packed.size, 0, 500, &out, &left) == -EBADMSG)
                wrong_checksum++;
            /* What came before the error was delivered. */
            assert_bytes(&out, &plain);
        }
    assert_int_equal(wrong_checksum, 4);
}

static void test_decode_foreign(void **state) {
    _cleanup_bytes_ struct bytes gzip = reference_encode(CODING_GZIP, 6, "x", 1), out = { 0 };
    _cleanup_(coder_freep) struct coder *c = make_decoder(CODING_ZLIB), *d = make_decoder(CODING_ZLIB);
    uint8_t packed[100];
    z_stream z = { .next_in = (const Bytef *) "Received", .avail_in = 8, .next_out = packed, .avail_out = 100 };
    size_t left;

    assert_int_equal(decode_spans(c, gzip.data, gzip.size, 0, 100, &out, &left), -EBADMSG);

    assert_int_equal(deflateInit(&z, 6), Z_OK);
    assert_int_equal(deflateSetDictionary(&z, (const Bytef *) "Received", 8), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(decode_spans(d, packed, z.total_out, 0, 100, &out, &left), -EBADMSG);
    deflateEnd(&z);
}

static void test_flush_delivers(void **state) {
    static const size_t spans[] = { 1, 3, 8, 1000, 200000 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(spans); s++) {
                _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], level);
                _cleanup_bytes_ struct bytes plain = { 0 }, packed = { 0 };

                for (int i = 0; i < 20; i++) {
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

        /* Stored blocks half of the time, and what was said before once more, so that matches reach back over them. */
        if (plain.size > 0 && random_below(3) == 0)
            bytes_add(&part, plain.data + random_below(plain.size), 0);
        if (plain.size > 20000 && random_below(3) == 0)
            bytes_add(&part, plain.data + plain.size - 20000, 10000);
        bytes_add(&plain, part.data, part.size);
        encode_spans(c, part.data, part.size, random_below(2) ? 500 : 0, out_max, CODER_FLUSH, &packed);
        set_level(c, random_below(2) ? 0 : (int) random_below(10), &packed);
    }
    encode_spans(c, NULL, 0, 0, out_max, CODER_FINISH, &packed);
    assert_int_equal(reference_decode(id, packed.data, packed.size, &again), Z_STREAM_END);
    assert_bytes(&again, &plain);
}

static void test_level_changes(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int i = 0; i < 20; i++) {
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

/* Whatever the level, the room and the payload: the stream, then flushes in a running stream. */
static void test_bound(void **state) {
    static const size_t sizes[] = { 0, 1, 10, 1000, 16383, 16384, 32767, 32768, 65530, 65536, 300000, 1 << 20 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
                for (size_t span = 1; span <= 1 << 21; span *= 200) {
                    _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], level);
                    _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_RANDOM, sizes[s]), packed = { 0 };
                    size_t before, bound = codec_bound(formats[f], sizes[s]);

                    encode_spans(c, plain.data, plain.size, 0, span, CODER_FLUSH, &packed);
                    assert_true(packed.size <= bound);
                    before = packed.size;
                    encode_spans(c, plain.data, plain.size, 0, span, CODER_FLUSH, &packed);
                    assert_true(packed.size - before <= bound);
                    before = packed.size;
                    encode_spans(c, plain.data, plain.size, 0, span, CODER_FINISH, &packed);
                    assert_true(packed.size - before <= bound);
                }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_round_trip_byte_by_byte),
        cmocka_unit_test(test_decode_reference),
        cmocka_unit_test(test_decode_gzip_header),
        cmocka_unit_test(test_decode_after_end),
        cmocka_unit_test(test_decode_truncated),
        cmocka_unit_test(test_decode_corrupt),
        cmocka_unit_test(test_decode_foreign),
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

    return cmocka_run_group_tests_name("zlib", tests, NULL, NULL);
}
