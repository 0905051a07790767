/* SPDX-License-Identifier: MIT */
/*
 * Values as people read them, and strings from elsewhere made safe for a terminal. Depends on the locale only for
 * which characters can be printed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

#define TEXT_MAX 32 /* bytes that the formatters below need, NUL included */

/* 0, 512, 1.5K, 64K, 2.3G: powers of 1024, three digits at most before it rounds. Returns `buf`. */
const char *text_bytes(int64_t bytes, char buf[static TEXT_MAX]);
/* 85us, 1.24ms, 3.2s, 2m05s, 3h04m, 5d03h. Returns `buf`. */
const char *text_duration(int64_t usec, char buf[static TEXT_MAX]);
/* 0.5, 12, 1200: a rate per second, a fraction only below 10. Returns `buf`. */
const char *text_rate(double per_sec, char buf[static TEXT_MAX]);

/* The bytes with everything escaped that a terminal might obey or hide: control characters, directional overrides, what
 * the locale cannot print ("\n", "\x1b"). Owned by the caller, NULL when out of memory. */
char *text_escape(const char *data, size_t size) _must_check_;

/* A copy in which every string and every key went through text_escape(). NULL when out of memory. */
json_t *text_escape_json(const json_t *v) _must_check_;

/* Columns that the text takes on a terminal. */
size_t text_width(const char *text);
/* Bytes of the longest start that takes at most `width` columns. */
size_t text_cut(const char *text, size_t width);
