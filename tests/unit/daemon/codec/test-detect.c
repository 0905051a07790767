/* SPDX-License-Identifier: MIT */
/* decompression = "auto": streams by their first bytes, datagrams as a whole. */
#include "reference.h"

#include <stdbool.h>
#include <zlib.h>

static const enum coding formats[] = { CODING_ZLIB, CODING_GZIP };

/* As a stream that arrives byte by byte: the size at which it was decided, 0 if it never was. Asserts that the decision
 * is the same for all that comes later, and that it is never put off for too long. */
static size_t decide(const void *data, size_t size, int *ret_id) {
    size_t decided = 0;

    for (size_t n = 0; n <= size; n++) {
        /* A block of its own, so that a read behind the end is noticed. */
        _cleanup_free_ uint8_t *seen = malloc(n + 1);
        int r;

        assert_non_null(seen);
        if (n > 0)
            memcpy(seen + 1, data, n);
        r = codec_detect(seen + 1, n, false);
        if (decided > 0) {
            assert_int_equal(r, *ret_id);
        } else if (r != -EAGAIN) {
            assert_true(r >= CODING_OFF && r < CODING_MAX);
            decided = n;
            *ret_id = r;
        }
        if (r == -EAGAIN) {
            assert_true(n < CODEC_DETECT_BYTES);
            assert_true(codec_detect(seen + 1, n, true) >= CODING_OFF);
        } else {
            assert_int_equal(codec_detect(seen + 1, n, true), r);
        }
    }
    return decided;
}

static void test_compressed_streams(void **state) {
    static const size_t sizes[] = { 0, 1, 8, 30, 60, 100, 1000, 100000 };

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
        for (int level = 0; level <= 9; level++)
            for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
                for (int kind = 0; kind < SAMPLE_MAX; kind++) {
                    _cleanup_bytes_ struct bytes plain = sample_new((enum sample) kind, sizes[s]);
                    _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], level, plain.data, plain.size);
                    int id = -1;

                    /* A short member is known by its checksum, at its very end. */
                    assert_int_equal(decide(packed.data, MIN(packed.size, (size_t) 200), &id),
                                     MIN(packed.size, (size_t) CODEC_DETECT_BYTES));
                    assert_int_equal(id, formats[f]);
                }
}

/* What a client has flushed so far is compressed too when it waits for an answer. */
static void test_no_more_after_flush(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_(coder_freep) struct coder *c = make_encoder(formats[f], 6);
        _cleanup_bytes_ struct bytes packed = { 0 };

        encode_spans(c, "Received", 8, 0, 100, CODER_FLUSH, &packed);
        assert_int_equal(codec_detect(packed.data, packed.size, false), -EAGAIN);
        assert_int_equal(codec_detect(packed.data, packed.size, true), formats[f]);
        for (size_t n = 0, header = formats[f] == CODING_GZIP ? 10 : 2; n <= packed.size; n++)
            assert_int_equal(codec_detect(packed.data, n, true), n < header ? CODING_OFF : (int) formats[f]);
        bytes_add(&packed, "this is no block", 16);
        assert_int_equal(codec_detect(packed.data, packed.size, false), CODING_OFF);
    }
}

static void test_next_member(void **state) {
    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], 6, "x", 1);
        size_t size = packed.size;
        int id = -1;

        bytes_add(&packed, "anything behind the trailer is no concern of the beginning", 58);
        assert_int_equal(decide(packed.data, packed.size, &id), size);
        assert_int_equal(id, formats[f]);
        packed.data[size - 1] ^= 1;
        assert_int_equal(decide(packed.data, packed.size, &id), size);
        assert_int_equal(id, CODING_OFF);
    }
}

struct text {
    const char *data;
    size_t size, decided; /* 0: not before more comes */
    int id, without_more;
};
#define TEXT(s) (s), sizeof(s) - 1

static void test_texts(void **state) {
    static const struct text texts[] = {
        { TEXT("GET / HTTP/1.1\r\n"), 1, CODING_OFF, CODING_OFF },
        { TEXT("\n"), 1, CODING_OFF, CODING_OFF },
        { TEXT("\x9cx"), 1, CODING_OFF, CODING_OFF },
        { TEXT(""), 0, 0, CODING_OFF },
        { TEXT("x"), 0, 0, CODING_OFF },
        { TEXT("H"), 0, 0, CODING_OFF },
        { TEXT("xyz"), 2, CODING_OFF, CODING_OFF },
        { TEXT("Hello"), 2, CODING_OFF, CODING_OFF },
        /* The header of a zlib stream; then three bits that begin no block, or a block that fails later. */
        { TEXT("x^n"), 3, CODING_OFF, CODING_OFF },
        { TEXT("(S) is a letter"), 7, CODING_OFF, CODING_OFF },
        { TEXT("8O lines"), 7, CODING_OFF, CODING_OFF },
        { TEXT("x^2 + y^2"), 7, CODING_OFF, CODING_OFF },
        /* Too short to fail, and nothing comes out: text if its header can be, else a compressor that waits for more. */
        { TEXT("x^"), 0, 0, CODING_OFF },
        { TEXT("H\r"), 0, 0, CODING_OFF },
        { TEXT("HKD 7.80"), 0, 0, CODING_OFF },
        { TEXT("x\x01"), 0, 0, CODING_ZLIB },
        { TEXT("x\x9c"), 0, 0, CODING_ZLIB },
        { TEXT("x\xda"), 0, 0, CODING_ZLIB },
        { TEXT("H\x89"
               "abcd"),
          0, 0, CODING_ZLIB },
        /* A preset dictionary, a window too large, a method unknown. */
        { TEXT("x\xbb"), 2, CODING_OFF, CODING_OFF },
        { TEXT("\x88\x1c"), 1, CODING_OFF, CODING_OFF },
        { TEXT("y\x9c"), 1, CODING_OFF, CODING_OFF },
        /* gzip: not the magic, not the method, reserved flags, and each part alone. */
        { TEXT("\x1f"), 0, 0, CODING_OFF },
        { TEXT("\x1f\x8b"), 0, 0, CODING_OFF },
        { TEXT("\x1f\x8b\x08\0\0\0\0\0\0"), 0, 0, CODING_OFF },
        { TEXT("\x1f\x8b\x08\0\0\0\0\0\0\x03"), 0, 0, CODING_GZIP },
        { TEXT("\x1f\x8b\x08\x08\0\0\0\0\0\x03orders.log"), 0, 0, CODING_GZIP },
        { TEXT("\x1fx"), 2, CODING_OFF, CODING_OFF },
        { TEXT("\x1f\x8b\x07"), 3, CODING_OFF, CODING_OFF },
        { TEXT("\x1f\x8b\x08\x20"), 4, CODING_OFF, CODING_OFF },
        { TEXT("\x1f\x8b\x08\0\0\0\0\0\0\x03\x07"), 11, CODING_OFF, CODING_OFF },
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct text *t = &texts[i];
        int id = 0;

        assert_int_equal(decide(t->data, t->size, &id), t->decided);
        assert_int_equal(id, t->id);
        assert_int_equal(codec_detect(t->data, t->size, true), t->without_more);
    }
}

/* A header that fills all that is looked at: its first ten bytes count. */
static void test_long_gzip_header(void **state) {
    uint8_t data[200] = { 0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3 };
    int id = -1;

    memset(data + 10, 'n', sizeof(data) - 10);
    assert_int_equal(decide(data, sizeof(data), &id), CODEC_DETECT_BYTES);
    assert_int_equal(id, CODING_GZIP);
}

static void test_random_bytes(void **state) {
    static const uint8_t headers[][3] = { { 'x', 0x9c }, { 'x', '^' }, { 0x1f, 0x8b, 8 }, { 0x48, 0x89 } };

    for (int i = 0; i < 3000; i++) {
        uint8_t data[80];
        int id = -1;

        sample_fill(random_below(2) ? SAMPLE_RANDOM : SAMPLE_TEXT, data, sizeof(data));
        memcpy(data, headers[random_below(ARRAY_SIZE(headers))], random_below(4));
        assert_true(decide(data, sizeof(data), &id) <= CODEC_DETECT_BYTES);
    }
}

static void test_bomb(void **state) {
    static const uint8_t zeros[1 << 20];

    for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
        _cleanup_bytes_ struct bytes packed = reference_encode(formats[f], 9, zeros, sizeof(zeros));
        int id = -1;

        assert_int_equal(decide(packed.data, packed.size, &id), CODEC_DETECT_BYTES);
        assert_int_equal(id, formats[f]);
    }
}

static void test_datagrams(void **state) {
    struct codec_pool p = { 0 };

    for (int i = 0; i < 2000; i++) {
        enum coding id = formats[random_below(2)], found = CODING_INVALID;
        _cleanup_bytes_ struct bytes plain = sample_new((enum sample) random_below(SAMPLE_MAX), random_below(3000));
        _cleanup_bytes_ struct bytes packed = reference_encode(id, (int) random_below(10), plain.data, plain.size);
        uint8_t out[3000];

        assert_int_equal(codec_decode_auto(&p, packed.data, packed.size, out, plain.size, &found), plain.size);
        assert_int_equal(found, id);
        assert_memory_equal(out, plain.data, plain.size);
        if (plain.size > 0)
            assert_int_equal(codec_decode_auto(&p, packed.data, packed.size, out, plain.size - 1, &found), -EMSGSIZE);

        /* Cut, corrupt or continued, it is a plain datagram. */
        assert_int_equal(codec_decode_auto(&p, packed.data, random_below(packed.size), out, sizeof(out), &found), 0);
        assert_int_equal(found, CODING_OFF);
        bytes_add(&packed, "\n", 1);
        found = CODING_INVALID;
        assert_int_equal(codec_decode_auto(&p, packed.data, packed.size, out, sizeof(out), &found), 0);
        assert_int_equal(found, CODING_OFF);
        packed.data[packed.size - 2] ^= 1;
        found = CODING_INVALID;
        assert_int_equal(codec_decode_auto(&p, packed.data, packed.size - 1, out, sizeof(out), &found), 0);
        assert_int_equal(found, CODING_OFF);
    }
    codec_pool_done(&p);
}

static void test_plain_datagrams(void **state) {
    static const struct {
        const char *data;
        size_t size;
    } plain[] = {
        { NULL, 0 },
        { TEXT("x") },
        { TEXT("x^2 + y^2") },
        { TEXT("x\x9c"
               "abc") },
        { TEXT("H\x89rest") },
        { TEXT("HKD 7.80") },
        { TEXT("\x1f\x8b") },
        { TEXT("Received") },
    };
    struct codec_pool p = { 0 };
    uint8_t out[100];

    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        enum coding found = CODING_INVALID;

        assert_int_equal(codec_decode_auto(&p, plain[i].data, plain[i].size, out, sizeof(out), &found), 0);
        assert_int_equal(found, CODING_OFF);
    }
    codec_pool_done(&p);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compressed_streams),
        cmocka_unit_test(test_no_more_after_flush),
        cmocka_unit_test(test_next_member),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_gzip_header),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_plain_datagrams),
    };

    return cmocka_run_group_tests_name("detect", tests, NULL, NULL);
}
