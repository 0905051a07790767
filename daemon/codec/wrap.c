/* SPDX-License-Identifier: MIT */
#include "wrap.h"

#include "macro.h"

#define ZLIB_HEADER_SIZE 2
#define ZLIB_CMF 0x78 /* deflate, window of 32K */
#define ZLIB_CM_MASK 0x0f
#define ZLIB_CINFO_MAX 7
#define ZLIB_FDICT 0x20
#define ZLIB_CHECK 31 /* both bytes as a number are a multiple of it */

#define GZIP_HEADER_SIZE 10
#define GZIP_FLAGS_AT 3
#define GZIP_FLAGS_RESERVED 0xe0
#define GZIP_XFL_BEST 2
#define GZIP_XFL_FASTEST 4
#define GZIP_OS_UNIX 3

static const uint8_t gzip_magic[] = { 0x1f, 0x8b, Z_DEFLATED };

static size_t zlib_header(uint8_t *p, int level) {
    unsigned flevel = level < 2 ? 0 : level < 6 ? 1 : level == 6 ? 2 : 3;
    unsigned flags = flevel << 6;

    flags += ZLIB_CHECK - (ZLIB_CMF << 8 | flags) % ZLIB_CHECK;
    p[0] = ZLIB_CMF;
    p[1] = (uint8_t) flags;
    return ZLIB_HEADER_SIZE;
}

static size_t zlib_trailer(uint8_t *p, uint32_t checksum, uint32_t size) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t) (checksum >> (24 - 8 * i));
    return 4;
}

static size_t gzip_header(uint8_t *p, int level) {
    memset(p, 0, GZIP_HEADER_SIZE);
    memcpy(p, gzip_magic, sizeof(gzip_magic));
    p[8] = level == 9 ? GZIP_XFL_BEST : level < 2 ? GZIP_XFL_FASTEST : 0;
    p[9] = GZIP_OS_UNIX;
    return GZIP_HEADER_SIZE;
}

static size_t gzip_trailer(uint8_t *p, uint32_t checksum, uint32_t size) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t) (checksum >> (8 * i));
        p[4 + i] = (uint8_t) (size >> (8 * i));
    }
    return 8;
}

int wrap_find_zlib(const uint8_t *data, size_t size) {
    if (size >= 1 && ((data[0] & ZLIB_CM_MASK) != Z_DEFLATED || data[0] >> 4 > ZLIB_CINFO_MAX))
        return -EBADMSG;
    if (size >= 2 && ((data[0] << 8 | data[1]) % ZLIB_CHECK != 0 || data[1] & ZLIB_FDICT))
        return -EBADMSG;
    return size >= ZLIB_HEADER_SIZE ? ZLIB_HEADER_SIZE : -EAGAIN;
}

int wrap_find_gzip(const uint8_t *data, size_t size) {
    size_t magic = MIN(size, sizeof(gzip_magic));

    if (magic > 0 && memcmp(data, gzip_magic, magic) != 0)
        return -EBADMSG;
    if (size > GZIP_FLAGS_AT && data[GZIP_FLAGS_AT] & GZIP_FLAGS_RESERVED)
        return -EBADMSG;
    return size >= GZIP_HEADER_SIZE ? GZIP_HEADER_SIZE : -EAGAIN;
}

const struct wrap wrap_zlib = {
    .header = zlib_header,
    .trailer = zlib_trailer,
    .checksum_of_nothing = 1,
    .checksum = adler32_z,
};

const struct wrap wrap_gzip = {
    .header = gzip_header,
    .trailer = gzip_trailer,
    .checksum_of_nothing = 0,
    .checksum = crc32_z,
};
