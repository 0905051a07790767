/* SPDX-License-Identifier: MIT */
#include "build.h"

#include "escape.h"

#define ESCAPE_MAX 4 /* bytes that one byte may become */

json_t *build_bytes(const void *data, size_t size) {
    json_t *plain = memchr(data, '\0', size) ? NULL : json_stringn(data, size);
    size_t room = size * ESCAPE_MAX + ESCAPE_MAX;
    _cleanup_free_ char *escaped = NULL;

    if (plain)
        return plain;
    escaped = malloc(room);
    if (!escaped)
        return NULL;
    return json_stringn(escaped, escape_text(escaped, room, data, size));
}

json_t *build_text(const char *text) {
    return text ? build_bytes(text, strlen(text)) : NULL;
}

json_t *build_owned(char *text) {
    _cleanup_free_ char *owned = text;

    return build_text(owned);
}

json_t *build_number(uint64_t n) {
    return json_integer((json_int_t) MIN(n, (uint64_t) INT64_MAX));
}

json_t *build_add(json_t *list, json_t *item) {
    if (!list) {
        json_decref(item);
        return NULL;
    }
    if (json_array_append_new(list, item) < 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

json_t *build_member(json_t *object, const char *key, json_t *value) {
    if (!object) {
        json_decref(value);
        return NULL;
    }
    if (json_object_set_new(object, key, value) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *build_texts(const char *const *texts) {
    json_t *list = json_array();

    for (; texts && *texts; texts++)
        list = build_add(list, build_text(*texts));
    return list;
}
