/* SPDX-License-Identifier: MIT */
/*
 * Names and levels of the compression formats; what they do is in the codec room. Pure data, any thread.
 */
#pragma once

#include <stdint.h>

#include "macro.h"

enum coding {
    CODING_OFF,
    CODING_ZLIB, /* RFC 1950 */
    CODING_GZIP, /* RFC 1952 */
    CODING_MAX,
    CODING_AUTO = CODING_MAX, /* decompression only: whichever of them the data begins like, or off */
    CODING_INVALID = -22,
};

struct coding_info {
    const char *name;
    int level_min, level_max, level_default; /* all 0 where a format has no levels */
};

/* The row of one format, CODING_AUTO included; never NULL for a valid id. */
const struct coding_info *coding_info(enum coding id);

/* "off", "zlib", "gzip:9". Returns 0 or -EINVAL (unknown name) or -ERANGE (level). */
int coding_parse(const char *text, enum coding *ret_id, int *ret_level) _must_check_;
