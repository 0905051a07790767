/* SPDX-License-Identifier: MIT */
/* Streams in both formats of zlib.c: round trips, decoding of good and bad input. */
#include "reference.h"

#define ZLIB_CONST
#include <zlib.h>

static const enum coding formats[] = { CODING_ZLIB, CODING_GZIP };

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
    static const size_t sizes[] = { 0, 1, 2, 100, 4096, 65535, 65536, 300000 };

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

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_round_trip_byte_by_byte),
        cmocka_unit_test(test_decode_reference), cmocka_unit_test(test_decode_gzip_header),
        cmocka_unit_test(test_decode_after_end), cmocka_unit_test(test_decode_truncated),
        cmocka_unit_test(test_decode_corrupt),   cmocka_unit_test(test_decode_foreign),
    };

    return cmocka_run_group_tests_name("zlib", tests, NULL, NULL);
}
