/* SPDX-License-Identifier: MIT */
#include "varlink.h"

#include <stdio.h>

#define SPACE_MIN 4096

void *varlink_reader_space(struct varlink_reader *r, size_t *ret_size) {
    if (r->start > 0 && r->allocated - r->size < SPACE_MIN) {
        memmove(r->data, r->data + r->start, r->size - r->start);
        r->size -= r->start;
        r->scanned -= r->start;
        r->start = 0;
    }
    if (r->allocated - r->size < SPACE_MIN) {
        size_t more = MIN(MAX(r->allocated * 2, (size_t) SPACE_MIN), r->limit_bytes + SPACE_MIN);
        if (more > r->allocated) {
            char *data = realloc(r->data, more);
            if (!data)
                return NULL;
            r->data = data;
            r->allocated = more;
        }
    }
    if (r->allocated == r->size)
        return NULL;

    *ret_size = r->allocated - r->size;
    return r->data + r->size;
}

void varlink_reader_fill(struct varlink_reader *r, size_t size) {
    r->size += size;
}

/* Before parsing, so that the depth of recursion and of the tree's later walks is ours to choose. */
static bool too_deep(const char *text, size_t n) {
    bool in_string = false;
    unsigned depth = 0;

    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = false;
            continue;
        }
        switch (text[i]) {
        case '"':
            in_string = true;
            break;
        case '{':
        case '[':
            if (++depth > VARLINK_DEPTH_MAX)
                return true;
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            break;
        default:
            break;
        }
    }
    return false;
}

static int parse_message(const char *text, size_t n, json_t **ret) {
    json_error_t error;

    if (too_deep(text, n))
        return -EBADMSG;
    json_t *message = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!message)
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
    if (!json_is_object(message)) {
        json_decref(message);
        return -EBADMSG;
    }

    *ret = message;
    return 1;
}

int varlink_reader_next(struct varlink_reader *r, json_t **ret_message) {
    const char *end = NULL;

    if (r->scanned < r->size)
        end = memchr(r->data + r->scanned, '\0', r->size - r->scanned);
    size_t n = (end ? (size_t) (end - r->data) : r->size) - r->start;
    if (n > r->limit_bytes)
        return -EMSGSIZE;
    if (!end) {
        r->scanned = r->size;
        return 0;
    }

    const char *text = r->data + r->start;
    r->start += n + 1;
    r->scanned = r->start;
    return parse_message(text, n, ret_message);
}

void varlink_reader_trim(struct varlink_reader *r) {
    if (r->start == r->size)
        varlink_reader_done(r);
}

void varlink_reader_done(struct varlink_reader *r) {
    free(r->data);
    *r = (struct varlink_reader){ .limit_bytes = r->limit_bytes };
}

int varlink_call_parse(json_t *message, struct varlink_call *ret) {
    struct varlink_call call = {};
    bool upgrade = false;
    const struct {
        const char *key;
        bool *value;
    } flags[] = { { "oneway", &call.oneway }, { "more", &call.more }, { "upgrade", &upgrade } };
    const char *key;
    json_t *value;

    json_object_foreach(message, key, value) {
        size_t i = 0;

        if (streq(key, "method")) {
            call.method = json_string_value(value);
            continue;
        }
        if (streq(key, "parameters")) {
            if (!json_is_object(value) && !json_is_null(value))
                return -EBADMSG;
            call.parameters = json_object_size(value) > 0 ? value : NULL;
            continue;
        }
        while (i < ARRAY_SIZE(flags) && !streq(key, flags[i].key))
            i++;
        if (i == ARRAY_SIZE(flags)) {
            if (!strchr(key, '.'))
                return -EBADMSG;
            continue;
        }
        if (!json_is_boolean(value))
            return -EBADMSG;
        *flags[i].value = json_is_true(value);
    }
    if (!call.method || upgrade || (call.oneway && call.more))
        return -EBADMSG;

    *ret = call;
    return 0;
}

char *varlink_encode(const json_t *message, size_t *ret_size) {
    char *text = json_dumps(message, JSON_COMPACT);

    if (text)
        *ret_size = strlen(text) + 1;
    return text;
}

char *varlink_control_path(const char *option) {
    static const char system_path[] = "/run/sockq/" VARLINK_INTERFACE;
    const char *variable = secure_getenv("SOCKQ_CONTROL"), *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char *own = NULL;

    if (option)
        return strdup(option);
    if (variable && variable[0])
        return strdup(variable);
    if (!runtime || !runtime[0] || geteuid() == 0 || access(system_path, F_OK) == 0)
        return strdup(system_path);
    if (asprintf(&own, "%s/sockq/" VARLINK_INTERFACE, runtime) < 0)
        return NULL;
    return own;
}
