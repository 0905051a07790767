/* SPDX-License-Identifier: MIT */
/*
 * decompression = "auto". A stream's format, once told from its first bytes, is told alike from more of them, and always
 * from CODEC_DETECT_BYTES or when nothing follows; a datagram is decoded exactly if the format that it begins like does.
 */
#include <stdbool.h>

#include "codec.h"
#include "fuzz.h"

#define OUTPUT_MAX ((size_t) 65536)

static void check_stream(const uint8_t *data, size_t size) {
    int told = -EAGAIN, r;

    for (size_t n = 0; n <= MIN(size, (size_t) CODEC_DETECT_BYTES + 2); n++) {
        uint8_t *begin = fuzz_copy(data, n, 0);

        r = codec_detect(begin, n, false);
        assert(r == -EAGAIN || (r >= CODING_OFF && r < CODING_MAX));
        assert(told == -EAGAIN || r == told);
        assert(r != -EAGAIN || n < CODEC_DETECT_BYTES);
        told = r;

        r = codec_detect(begin, n, true);
        assert(r >= CODING_OFF && r < CODING_MAX);
        assert(told == -EAGAIN || r == told);
        free(begin);
    }
}

static void check_datagram(const uint8_t *data, size_t size) {
    static uint8_t out[OUTPUT_MAX], explicit_out[OUTPUT_MAX];
    static struct codec_pool pool;
    enum coding id = CODING_INVALID;
    ssize_t n = codec_decode_auto(&pool, data, size, out, sizeof(out), &id);
    size_t decoders = 0;

    assert(n >= 0 || n == -EMSGSIZE);
    for (int i = CODING_OFF + 1; i < CODING_MAX; i++) {
        ssize_t m = codec_decode_whole(&pool, (enum coding) i, data, size, explicit_out, sizeof(explicit_out));

        assert(m >= 0 || m == -EBADMSG || m == -EMSGSIZE);
        if (m >= 0) {
            assert(n == m && id == (enum coding) i && memcmp(out, explicit_out, (size_t) m) == 0);
            decoders++;
        }
        assert(m != -EMSGSIZE || n == -EMSGSIZE);
    }
    assert(decoders <= 1);
    if (n >= 0 && decoders == 0)
        assert(id == CODING_OFF && n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_stream(data, size);
    check_datagram(data, size);
    return 0;
}
