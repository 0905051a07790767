/* SPDX-License-Identifier: MIT */
/*
 * Text that is safe to show on one line, made from bytes that anybody may have sent. Pure, any thread, no allocation.
 */
#pragma once

#include <stddef.h>

/*
 * Copies `n` bytes of `text` to `buf` (`size` bytes, at least 4), NUL-terminated. Printable UTF-8 stays as it is;
 * control characters (C0, DEL, C1), bytes that are not UTF-8 and the backslash become C escapes: \n, \x1b, \\.
 * What does not fit is cut at a whole character or escape and ends in "...". Returns the length without the NUL.
 */
size_t escape_text(char *buf, size_t size, const void *text, size_t n);

/* The length of the longest start of `text` that is at most `n_max` bytes long and ends with a whole UTF-8 character. */
size_t escape_cut(const char *text, size_t n, size_t n_max);
