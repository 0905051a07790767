/* SPDX-License-Identifier: MIT */
/*
 * Sizes, rates and durations as people write them: "256K", "50Mbit", "200ms".
 * Pure functions, any thread. Parsers return 0, or -EINVAL (not understood), or -ERANGE (does not fit int64).
 *
 * The number part is a non-negative decimal, a fraction is allowed ("1.5M") if the result is whole.
 * Units are spelt exactly as below: "Kbps" would leave bits or bytes to guess.
 * A number without a unit is refused, except 0: libconfig 1.5 truncates large bare integers silently.
 */
#pragma once

#include <stdint.h>

#include "macro.h"

#define UNIT_TEXT_MAX 32 /* bytes a formatted unit needs, NUL included */

/* A plain non-negative integer, no unit: decimal only, or decimal or 0x. */
int unit_parse_decimal(const char *text, int64_t *ret) _must_check_;
int unit_parse_integer(const char *text, int64_t *ret) _must_check_;

/* Bytes: suffix B, K, M, G (powers of 1024; KiB, MiB, GiB are accepted too). */
int unit_parse_size(const char *text, int64_t *ret_bytes) _must_check_;

/* Bytes per second: bit, Kbit, Mbit, Gbit (powers of 1000, bits), or Bps, KBps, MBps, GBps (powers of 1000, bytes). */
int unit_parse_rate(const char *text, int64_t *ret_bytes_per_sec) _must_check_;

/* Microseconds: us, ms, s, m (or min), h. */
int unit_parse_duration(const char *text, int64_t *ret_usec) _must_check_;

/* The canonical spelling: the largest unit that leaves a whole number. "262144" -> "256K", 6250000 -> "50Mbit",
 * 90000000 -> "90s", 0 -> "0". Parsing it gives the same value. Returns `buf`. */
const char *unit_format_size(int64_t bytes, char buf[static UNIT_TEXT_MAX]);
const char *unit_format_rate(int64_t bytes_per_sec, char buf[static UNIT_TEXT_MAX]);
const char *unit_format_duration(int64_t usec, char buf[static UNIT_TEXT_MAX]);
