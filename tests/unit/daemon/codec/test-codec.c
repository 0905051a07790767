/* SPDX-License-Identifier: MIT */
/* The table, the coders' frame, and whole payloads. */
#include "reference.h"

#include <zlib.h>

static const enum coding formats[] = { CODING_ZLIB, CODING_GZIP };

static void test_table(void **state) {
    struct coder *c = NULL;

    assert_null(codec_ops(CODING_OFF));
    assert_null(codec_ops(CODING_MAX));
    assert_null(codec_ops(CODING_INVALID));
    assert_int_equal(encoder_new(CODING_OFF, 0, &c), -EINVAL);
    assert_int_equal(decoder_new(CODING_OFF, &c), -EINVAL);
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        const struct coding_info *info = coding_info(formats[f]);

        assert_non_null(codec_ops(formats[f]));
        assert_int_equal(encoder_new(formats[f], info->level_max + 1, &c), -EINVAL);
        assert_int_equal(encoder_new(formats[f], -1, &c), -EINVAL);
        assert_null(c);
    }
    assert_null(coder_free(NULL));
}

static void test_identity(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *encoder = NULL, *decoder = NULL;

        assert_int_equal(encoder_new(formats[f], 4, &encoder), 0);
        assert_int_equal(decoder_new(formats[f], &decoder), 0);
        assert_int_equal(coder_id(encoder), formats[f]);
        assert_int_equal(coder_id(decoder), formats[f]);
        assert_int_equal(coder_level(encoder), 4);
        assert_int_equal(coder_level(decoder), 0);
        assert_int_equal(coder_in_bytes(encoder) + coder_out_bytes(encoder), 0);
    }
}

static void whole_round_trip(struct codec_pool *p, enum coding id, int level, const struct bytes *plain) {
    size_t room = codec_bound(id, plain->size);
    _cleanup_free_ uint8_t *packed = malloc(room), *again = malloc(plain->size + 1);
    _cleanup_bytes_ struct bytes reference = { 0 };
    ssize_t n;

    assert_non_null(packed);
    assert_non_null(again);
    n = codec_encode_whole(p, id, level, plain->data, plain->size, packed, room);
    assert_true(n > 0);
    assert_int_equal(reference_decode(id, packed, (size_t) n, &reference), Z_STREAM_END);
    assert_bytes(&reference, plain);

    /* Room for the payload and not a byte more, on both sides. */
    assert_int_equal(codec_decode_whole(p, id, packed, (size_t) n, again, plain->size), plain->size);
    assert_memory_equal(again, plain->data, plain->size);
    assert_int_equal(codec_encode_whole(p, id, level, plain->data, plain->size, packed, (size_t) n), n);
    assert_int_equal(codec_encode_whole(p, id, level, plain->data, plain->size, packed, (size_t) n - 1), -EMSGSIZE);
}

static void test_whole(void **state) {
    static const size_t sizes[] = { 0, 1, 149, 1400, 9000, 65507, 140000 };
    struct codec_pool p = { 0 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 9; level >= 0; level--)
            for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
                for (int kind = 0; kind < SAMPLE_MAX; kind++) {
                    _cleanup_bytes_ struct bytes plain = sample_new((enum sample) kind, sizes[s]);

                    whole_round_trip(&p, formats[f], level, &plain);
                }
    codec_pool_done(&p);
    assert_null(p.encoder[CODING_ZLIB]);
    codec_pool_done(&p);
}

/* A kept context gives what a new one would, whatever it did before, failures included. */
static void test_whole_leaves_no_trace(void **state) {
    struct codec_pool kept = { 0 };

    for (int i = 0; i < 3000; i++) {
        enum coding id = formats[random_below(2)];
        int level = (int) random_below(10);
        _cleanup_bytes_ struct bytes plain = sample_new((enum sample) random_below(SAMPLE_MAX), random_below(3000));
        uint8_t want[4000], have[4000];
        struct codec_pool fresh = { 0 };
        ssize_t n = codec_encode_whole(&fresh, id, level, plain.data, plain.size, want, sizeof(want));

        assert_true(n > 0);
        if (random_below(3) == 0) {
            size_t cut = random_below((size_t) n);

            assert_int_equal(codec_encode_whole(&kept, id, (int) random_below(10), plain.data, plain.size, have, 5),
                             -EMSGSIZE);
            assert_true(codec_decode_whole(&kept, id, want, cut, have, sizeof(have)) == -EBADMSG);
        }
        assert_int_equal(codec_encode_whole(&kept, id, level, plain.data, plain.size, have, sizeof(have)), n);
        assert_memory_equal(have, want, (size_t) n);
        assert_int_equal(codec_decode_whole(&kept, id, want, (size_t) n, have, sizeof(have)), plain.size);
        assert_memory_equal(have, plain.data, plain.size);
        codec_pool_done(&fresh);
    }
    codec_pool_done(&kept);
}

static void test_whole_bad(void **state) {
    struct codec_pool p = { 0 };
    uint8_t out[400];

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        enum coding id = formats[f];
        _cleanup_bytes_ struct bytes plain = sample_new(SAMPLE_TEXT, 300);
        _cleanup_bytes_ struct bytes packed = reference_encode(id, 6, plain.data, plain.size);

        for (size_t size = 0; size < packed.size; size++) {
            assert_int_equal(codec_decode_whole(&p, id, packed.data, size, out, 400), -EBADMSG);
            /* With as much room as the payload needs, the missing trailer is noticed just the same. */
            if (size + 8 > packed.size)
                assert_int_equal(codec_decode_whole(&p, id, packed.data, size, out, 300), -EBADMSG);
        }
        for (size_t room = 0; room < 300; room++)
            assert_int_equal(codec_decode_whole(&p, id, packed.data, packed.size, out, room), -EMSGSIZE);
        assert_int_equal(codec_decode_whole(&p, id, packed.data, packed.size, NULL, 0), -EMSGSIZE);
        assert_int_equal(codec_decode_whole(&p, id, NULL, 0, out, 400), -EBADMSG);
        assert_int_equal(codec_decode_whole(&p, id, NULL, 0, NULL, 0), -EBADMSG);
        bytes_add(&packed, "\n", 1);
        assert_int_equal(codec_decode_whole(&p, id, packed.data, packed.size, out, 400), -EBADMSG);
        assert_int_equal(codec_decode_whole(&p, id, packed.data, packed.size - 1, out, 400), 300);
        packed.data[packed.size - 2] ^= 1;
        assert_int_equal(codec_decode_whole(&p, id, packed.data, packed.size - 1, out, 400), -EBADMSG);
        assert_int_equal(codec_encode_whole(&p, id, 10, "x", 1, out, 400), -EINVAL);
    }
    assert_int_equal(codec_encode_whole(&p, CODING_OFF, 0, "x", 1, out, 400), -EINVAL);
    assert_int_equal(codec_decode_whole(&p, CODING_OFF, "x", 1, out, 400), -EINVAL);
    codec_pool_done(&p);
}

static void test_whole_empty(void **state) {
    struct codec_pool p = { 0 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        uint8_t packed[100];
        ssize_t n = codec_encode_whole(&p, formats[f], 6, NULL, 0, packed, sizeof(packed));

        assert_true(n > 0);
        assert_int_equal(codec_decode_whole(&p, formats[f], packed, (size_t) n, NULL, 0), 0);
        assert_int_equal(codec_encode_whole(&p, formats[f], 6, "x", 1, NULL, 0), -EMSGSIZE);
    }
    codec_pool_done(&p);
}

/* A small datagram that would become a megabyte is refused at the room's end. */
static void test_whole_bomb(void **state) {
    static const uint8_t zeros[1 << 20];
    struct codec_pool p = { 0 };
    uint8_t out[1000];

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], 9, zeros, sizeof(zeros));

        assert_int_equal(codec_decode_whole(&p, formats[f], packed.data, packed.size, out, sizeof(out)), -EMSGSIZE);
    }
    codec_pool_done(&p);
}

static void test_bound_of_off(void **state) {
    assert_int_equal(codec_bound(CODING_OFF, 1234), 1234);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_identity),
        cmocka_unit_test(test_whole),      cmocka_unit_test(test_whole_leaves_no_trace),
        cmocka_unit_test(test_whole_bad),  cmocka_unit_test(test_whole_empty),
        cmocka_unit_test(test_whole_bomb), cmocka_unit_test(test_bound_of_off),
    };

    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
