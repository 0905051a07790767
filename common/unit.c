/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>

#define DIGITS "0123456789"

/* One unit is mult / div of the base unit. */
struct suffix {
    const char *text;
    int64_t mult, div;
};

/* Formatting takes the first row that leaves a whole number: canonical spellings first, largest first. */
static const struct suffix sizes[] = {
    { "G", INT64_C(1) << 30, 1 }, { "M", 1 << 20, 1 },   { "K", 1 << 10, 1 },   { "B", 1, 1 },
    { "GiB", 1 << 30, 1 },        { "MiB", 1 << 20, 1 }, { "KiB", 1 << 10, 1 }, {},
};
static const struct suffix rates[] = {
    { "Gbit", 125000000, 1 }, { "Mbit", 125000, 1 }, { "Kbit", 125, 1 },
    { "bit", 1, 8 },          { "Bps", 1, 1 },       { "GBps", 1000000000, 1 },
    { "MBps", 1000000, 1 },   { "KBps", 1000, 1 },   {},
};
static const struct suffix durations[] = {
    { "h", INT64_C(3600000000), 1 },
    { "m", 60000000, 1 },
    { "s", 1000000, 1 },
    { "ms", 1000, 1 },
    { "us", 1, 1 },
    { "min", 60000000, 1 },
    {},
};

static int parse_digits(const char *text, size_t n, unsigned base, int64_t *ret) {
    int64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        if (__builtin_mul_overflow(v, (int64_t) base, &v) || __builtin_add_overflow(v, digit, &v))
            return -ERANGE;
    }

    *ret = v;
    return 0;
}

int unit_parse_decimal(const char *text, int64_t *ret) {
    size_t n = strspn(text, DIGITS);

    if (n == 0 || text[n])
        return -EINVAL;
    return parse_digits(text, n, 10, ret);
}

int unit_parse_integer(const char *text, int64_t *ret) {
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
        return unit_parse_decimal(text, ret);

    size_t n = strspn(text + 2, DIGITS "abcdefABCDEF");
    if (n == 0 || text[2 + n])
        return -EINVAL;
    return parse_digits(text + 2, n, 16, ret);
}

/* 0.DIGITS * mult by long multiplication from the right: exact for any number of digits. */
static int scale_fraction(const char *digits, size_t n, int64_t mult, int64_t *ret) {
    int64_t carry = 0;

    while (n-- > 0) {
        carry += (digits[n] - '0') * mult;
        if (carry % 10 != 0)
            return -EINVAL;
        carry /= 10;
    }

    *ret = carry;
    return 0;
}

static const struct suffix *find_suffix(const struct suffix *table, const char *text) {
    for (const struct suffix *s = table; s->text; s++)
        if (streq(s->text, text))
            return s;
    return NULL;
}

static int parse(const struct suffix *table, const char *text, int64_t *ret) {
    int64_t whole, fraction, total;
    size_t n_whole = strspn(text, DIGITS), n_fraction = 0;
    const char *rest = text + n_whole, *digits = NULL;
    int r;

    if (n_whole == 0)
        return -EINVAL;
    if (*rest == '.') {
        digits = rest + 1;
        n_fraction = strspn(digits, DIGITS);
        if (n_fraction == 0)
            return -EINVAL;
        rest = digits + n_fraction;
    }

    if (streq(text, "0")) {
        *ret = 0;
        return 0;
    }
    const struct suffix *s = find_suffix(table, rest);
    if (!s)
        return -EINVAL;

    r = parse_digits(text, n_whole, 10, &whole);
    if (r < 0)
        return r;
    r = scale_fraction(digits, n_fraction, s->mult, &fraction);
    if (r < 0)
        return r;
    if (__builtin_mul_overflow(whole, s->mult, &total) || __builtin_add_overflow(total, fraction, &total))
        return -ERANGE;
    if (total % s->div != 0)
        return -EINVAL;

    *ret = total / s->div;
    return 0;
}

static const char *format(const struct suffix *table, int64_t v, char buf[static UNIT_TEXT_MAX]) {
    const struct suffix *s = table;

    if (v == 0)
        return strcpy(buf, "0");
    /* The row with mult 1 and div 1 takes what is left. */
    while (v % s->mult != 0 || v > INT64_MAX / s->div)
        s++;
    snprintf(buf, UNIT_TEXT_MAX, "%" PRId64 "%s", v / s->mult * s->div, s->text);
    return buf;
}

int unit_parse_size(const char *text, int64_t *ret_bytes) {
    return parse(sizes, text, ret_bytes);
}

int unit_parse_rate(const char *text, int64_t *ret_bytes_per_sec) {
    return parse(rates, text, ret_bytes_per_sec);
}

int unit_parse_duration(const char *text, int64_t *ret_usec) {
    return parse(durations, text, ret_usec);
}

const char *unit_format_size(int64_t bytes, char buf[static UNIT_TEXT_MAX]) {
    return format(sizes, bytes, buf);
}

const char *unit_format_rate(int64_t bytes_per_sec, char buf[static UNIT_TEXT_MAX]) {
    return format(rates, bytes_per_sec, buf);
}

const char *unit_format_duration(int64_t usec, char buf[static UNIT_TEXT_MAX]) {
    return format(durations, usec, buf);
}
