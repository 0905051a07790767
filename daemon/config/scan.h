/* SPDX-License-Identifier: MIT */
/*
 * A look at a file's text before libconfig sees it, for what libconfig cannot be trusted with: it opens files that
 * @include names, cuts integers to 32 bits without a word (1.5), reads a leading zero as octal or not (by version),
 * drops what follows a NUL byte or an open comment, takes a string's line from the token behind it, and needs time
 * square to the number of keys. For this room only. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

#define SCAN_DEPTH_MAX 8               /* nested groups, lists and arrays */
#define SCAN_GROUP_KEYS_MAX 1024       /* of one group */
#define SCAN_KEYS_MAX (16 * 1024)      /* of all files together */
#define SCAN_ELEMENTS_MAX (128 * 1024) /* commas of all files together */

/* What may still come. */
struct scan_budget {
    unsigned keys, elements;
};

/* Why libconfig's value of an integer cannot be believed. */
enum scan_doubt {
    SCAN_SURE,
    SCAN_TOO_WIDE,     /* more than 32 bits, or more than 63 with the suffix L */
    SCAN_LEADING_ZERO, /* octal or decimal */
};

/* The integers and strings of the text in their order; strings that follow each other are one. */
struct scan {
    unsigned *string_lines; /* where each begins */
    size_t n_strings;
    uint8_t *integers; /* enum scan_doubt */
    size_t n_integers;
};

/* `text` has a NUL byte at text[size]. 0; -EINVAL with *ret_line and *ret_reason (static, one clause); -ENOMEM. */
int scan_text(const char *text, size_t size, struct scan_budget *budget, struct scan *ret, unsigned *ret_line,
              const char **ret_reason) _must_check_;
void scan_done(struct scan *s);
