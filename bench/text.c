/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <zlib.h>

#include "bench.h"

#define LINE_MAX_BYTES 256

/* A generator of our own: the same text on every machine. */
static uint32_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t) (*state >> 33);
}

void bench_fill_text(uint8_t *data, size_t size) {
    static const char *const verbs[] = { "accepted", "refused", "queued", "delivered", "retried", "expired" };
    static const char *const levels[] = { "info", "notice", "warning", "debug" };
    uint64_t state = 1;
    char line[LINE_MAX_BYTES];

    for (size_t at = 0, n; at < size; at += n) {
        uint32_t a = next_random(&state), b = next_random(&state), c = next_random(&state);

        n = (size_t) snprintf(line, sizeof(line),
                              "{\"time\":\"2025-06-%02uT%02u:%02u:%02u.%06uZ\",\"level\":\"%s\",\"order\":\"%08x\","
                              "\"customer\":%u,\"message\":\"order %s after %u ms\"}\n",
                              a % 28 + 1, a / 31 % 24, b % 60, b / 61 % 60, c % 1000000, levels[a % ARRAY_SIZE(levels)],
                              b, c % 5000, verbs[c % ARRAY_SIZE(verbs)], a % 900);
        n = MIN(n, size - at);
        memcpy(data + at, line, n);
    }
}

void bench_compress_frames(const uint8_t *text, unsigned n, size_t size, int level, uint8_t **frames, size_t *sizes) {
    z_stream z = { 0 };
    size_t room = 2 * size + 64;
    uint8_t header[2];

    if (deflateInit(&z, level) != Z_OK)
        bench_die("deflateInit failed");
    z.next_out = header;
    z.avail_out = sizeof(header);
    (void) deflate(&z, Z_BLOCK); /* nothing came in: writes the header alone */
    for (unsigned i = 0; i < n; i++) {
        frames[i] = bench_alloc(room);
        z.next_in = (uint8_t *) text + i * size;
        z.avail_in = (uInt) size;
        z.next_out = frames[i];
        z.avail_out = (uInt) room;
        if (deflate(&z, Z_FULL_FLUSH) != Z_OK || z.avail_in > 0 || z.avail_out == 0)
            bench_die("deflate failed");
        sizes[i] = room - z.avail_out;
    }
    (void) deflateEnd(&z);
}
