/* SPDX-License-Identifier: MIT */
/*
 * What zlib (RFC 1950) and gzip (RFC 1952) put around raw deflate. Pure functions, any thread. Only zlib.c includes it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#define WRAP_HEADER_MAX 10
#define WRAP_TRAILER_MAX 8

struct wrap {
    /* Write to p[WRAP_HEADER_MAX] and p[WRAP_TRAILER_MAX]; return the size. `size` is the payload's, modulo 2^32. The
     * header names the level as zlib's own does. */
    size_t (*header)(uint8_t *p, int level);
    size_t (*trailer)(uint8_t *p, uint32_t checksum, uint32_t size);
    uint32_t checksum_of_nothing;
    uLong (*checksum)(uLong checksum, const uint8_t *data, z_size_t size);
};

extern const struct wrap wrap_zlib, wrap_gzip;

/* codec_ops.header of the two. gzip's is its fixed part: optional fields may follow it. */
int wrap_find_zlib(const uint8_t *data, size_t size);
int wrap_find_gzip(const uint8_t *data, size_t size);
