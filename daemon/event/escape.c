/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "escape.h"
#include "macro.h"

#define ELLIPSIS "..."
#define UNIT_MAX 4 /* bytes of a UTF-8 character, and of an escape */

static const struct sequence {
    uint8_t lead_mask, lead, n;
    uint32_t first; /* smaller values are overlong spellings */
} sequences[] = {
    { 0x80, 0x00, 1, 0x0 },
    { 0xe0, 0xc0, 2, 0x80 },
    { 0xf0, 0xe0, 3, 0x800 },
    { 0xf8, 0xf0, 4, 0x10000 },
};

/* The length of the UTF-8 character that `text` starts with, or 0 if it starts with none. */
static size_t decode(const uint8_t *text, size_t n, uint32_t *ret_value) {
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
        const struct sequence *s = &sequences[i];
        uint32_t value = text[0] & (uint8_t) ~s->lead_mask;

        if ((text[0] & s->lead_mask) != s->lead)
            continue;
        if (n < s->n)
            return 0;
        for (size_t k = 1; k < s->n; k++) {
            if ((text[k] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (text[k] & 0x3f);
        }
        if (value < s->first || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return 0;
        *ret_value = value;
        return s->n;
    }
    return 0;
}

static size_t escape_byte(char out[static UNIT_MAX], uint8_t byte) {
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\a\b\f\n\r\t\v\\", letters[] = "abfnrtv\\";
    const char *found = byte ? strchr(plain, byte) : NULL;

    out[0] = '\\';
    if (found) {
        out[1] = letters[found - plain];
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 0xf];
    return 4;
}

/* The next character or escape; *ret_taken is how much of `text` it stands for. */
static size_t next_unit(char out[static UNIT_MAX], const uint8_t *text, size_t n, size_t *ret_taken) {
    uint32_t value = 0;
    size_t length = decode(text, n, &value);

    if (length == 0 || value < 0x20 || (value >= 0x7f && value < 0xa0) || value == '\\') {
        *ret_taken = 1;
        return escape_byte(out, text[0]);
    }
    memcpy(out, text, length);
    *ret_taken = length;
    return length;
}

size_t escape_text(char *buf, size_t size, const void *text, size_t n) {
    const uint8_t *from = text, *end = from + n;
    size_t used = 0, cut = 0; /* cut: the last place that leaves room for the ellipsis */

    assert(size > strlen(ELLIPSIS));
    while (from < end) {
        char unit[UNIT_MAX];
        size_t taken, length = next_unit(unit, from, (size_t) (end - from), &taken);

        if (used + length >= size) {
            memcpy(buf + cut, ELLIPSIS, sizeof(ELLIPSIS));
            return cut + strlen(ELLIPSIS);
        }
        memcpy(buf + used, unit, length);
        used += length;
        from += taken;
        if (used + strlen(ELLIPSIS) < size)
            cut = used;
    }
    buf[used] = '\0';
    return used;
}

size_t escape_cut(const char *text, size_t n, size_t n_max) {
    size_t cut = n_max;

    if (n <= n_max)
        return n;
    /* Text that is not UTF-8 anyway is cut where it must be. */
    while (cut > 0 && n_max - cut < UNIT_MAX && (text[cut] & 0xc0) == 0x80)
        cut--;
    return (text[cut] & 0xc0) == 0x80 ? n_max : cut;
}
