/* SPDX-License-Identifier: MIT */
/*
 * DSCP names and the byte they travel in. RFC 2474 (field), 4594 (names), 5865 (VOICE-ADMIT), 8622 (LE), 9956 (NQB).
 * Pure functions, any thread.
 */
#pragma once

#include <stdint.h>

#include "macro.h"

#define DSCP_COUNT 64
#define DSCP_TEXT_MAX 8 /* bytes a formatted DSCP needs, NUL included */

/* TOS byte = DSCP << 2 | ECN. */
static inline uint8_t dscp_from_tos(uint8_t tos) {
    return tos >> 2;
}
static inline uint8_t dscp_to_tos(uint8_t dscp) {
    return (uint8_t) (dscp << 2);
}
static inline uint8_t ecn_from_tos(uint8_t tos) {
    return tos & 3;
}

/* A name in any case ("EF", "af41", "BE") or a decimal or 0x number 0-63. Returns 0-63 or -EINVAL. */
int dscp_parse(const char *text) _must_check_;

/* The canonical name ("CS0" for 0), or NULL for a value without one. */
const char *dscp_name(unsigned dscp);

/* The canonical text: the name, or the decimal number. Returns `buf`. */
const char *dscp_format(unsigned dscp, char buf[static DSCP_TEXT_MAX]);

/* All accepted names, NULL-terminated: for completion and suggestions. */
const char *const *dscp_names(void);
