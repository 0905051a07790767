/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <wchar.h>

#define SEC_PER_HOUR INT64_C(3600)
#define SEC_PER_DAY INT64_C(86400)

const char *text_bytes(int64_t bytes, char buf[static TEXT_MAX]) {
    static const char units[] = "KMGTPE";
    double value = (double) bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(buf, TEXT_MAX, "%" PRId64, bytes);
        return buf;
    }
    for (value /= 1024; value >= 1023.5 && unit + 2 < sizeof(units); unit++)
        value /= 1024;
    snprintf(buf, TEXT_MAX, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return buf;
}

const char *text_duration(int64_t usec, char buf[static TEXT_MAX]) {
    int64_t sec = usec / (int64_t) USEC_PER_SEC;
    double msec = (double) usec / 1e3;

    if (usec < 1000)
        snprintf(buf, TEXT_MAX, "%" PRId64 "us", usec);
    else if (sec < 1)
        snprintf(buf, TEXT_MAX, msec < 9.995 ? "%.2fms" : msec < 99.95 ? "%.1fms" : "%.0fms", msec);
    else if (sec < 60)
        snprintf(buf, TEXT_MAX, "%" PRId64 ".%ds", sec, (int) (usec / 100000 % 10));
    else if (sec < SEC_PER_HOUR)
        snprintf(buf, TEXT_MAX, "%" PRId64 "m%02ds", sec / 60, (int) (sec % 60));
    else if (sec < SEC_PER_DAY)
        snprintf(buf, TEXT_MAX, "%" PRId64 "h%02dm", sec / SEC_PER_HOUR, (int) (sec / 60 % 60));
    else
        snprintf(buf, TEXT_MAX, "%" PRId64 "d%02dh", sec / SEC_PER_DAY, (int) (sec / SEC_PER_HOUR % 24));
    return buf;
}

const char *text_rate(double per_sec, char buf[static TEXT_MAX]) {
    if (per_sec > 0 && per_sec < 9.95)
        snprintf(buf, TEXT_MAX, "%.1f", per_sec);
    else
        snprintf(buf, TEXT_MAX, "%.0f", per_sec);
    return buf;
}

static bool is_directional(wchar_t c) {
    return c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Bytes of the printable character at `data`, and its columns; 0 if it has to be escaped. */
static size_t printable(const char *data, size_t size, size_t *ret_columns) {
    unsigned char byte = (unsigned char) *data;
    mbstate_t state = { 0 };
    wchar_t c;

    if (byte < 0x80) {
        *ret_columns = 1;
        return byte >= 0x20 && byte != 0x7f;
    }
    if (!streq(nl_langinfo(CODESET), "UTF-8"))
        return 0;
    size_t length = mbrtowc(&c, data, size, &state);
    if (length == 0 || length > size || is_directional(c))
        return 0;
    int columns = wcwidth(c);
    if (columns < 0)
        return 0;
    *ret_columns = (size_t) columns;
    return length;
}

static int escape_byte(unsigned char byte, char buf[static 8]) {
    static const char letters[] = "\nn\rr\tt";
    for (const char *p = letters; *p; p += 2)
        if (byte == (unsigned char) *p)
            return snprintf(buf, 8, "\\%c", p[1]);
    return snprintf(buf, 8, "\\x%02x", byte);
}

char *text_escape(const char *data, size_t size) {
    char *text = malloc(size * 4 + 1);
    size_t used = 0, columns;

    if (!text)
        return NULL;
    for (size_t i = 0; i < size;) {
        size_t length = printable(data + i, size - i, &columns);
        if (length > 0) {
            memcpy(text + used, data + i, length);
            used += length;
            i += length;
        } else {
            char buf[8];
            int n = escape_byte((unsigned char) data[i++], buf);
            memcpy(text + used, buf, (size_t) n);
            used += (size_t) n;
        }
    }
    text[used] = 0;
    return text;
}

static json_t *escape_object(const json_t *v) {
    json_t *copy = json_object();
    const char *key;
    json_t *member;

    json_object_foreach((json_t *) v, key, member) {
        char *safe = text_escape(key, strlen(key));
        int r = safe ? json_object_set_new(copy, safe, text_escape_json(member)) : -1;
        free(safe);
        if (r < 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

static json_t *escape_array(const json_t *v) {
    json_t *copy = json_array(), *item;
    size_t i;

    json_array_foreach(v, i, item) {
        if (json_array_append_new(copy, text_escape_json(item)) < 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

json_t *text_escape_json(const json_t *v) {
    if (json_is_object(v))
        return escape_object(v);
    if (json_is_array(v))
        return escape_array(v);
    if (!json_is_string(v))
        return json_incref((json_t *) v);

    char *safe = text_escape(json_string_value(v), json_string_length(v));
    json_t *copy = safe ? json_string(safe) : NULL;
    free(safe);
    return copy;
}

size_t text_width(const char *text) {
    size_t width = 0, size = strlen(text);

    for (size_t i = 0; i < size;) {
        size_t columns = 1;
        size_t length = printable(text + i, size - i, &columns);
        width += columns;
        i += MAX(length, (size_t) 1);
    }
    return width;
}

size_t text_cut(const char *text, size_t width) {
    size_t used = 0, size = strlen(text), i = 0;

    while (i < size) {
        size_t columns = 1;
        size_t length = printable(text + i, size - i, &columns);
        if (used + columns > width)
            break;
        used += columns;
        i += MAX(length, (size_t) 1);
    }
    return i;
}
