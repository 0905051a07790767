/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "interfaces.h"
#include "macro.h"

const char *schema_text(void) {
    for (const struct interface *i = interfaces; i->name; i++)
        if (streq(i->name, "org.sockq.Control"))
            return i->description;
    return NULL;
}

const char *schema_find(const char *keyword, const char *name) {
    char line[128];
    const char *at = schema_text();

    (void) snprintf(line, sizeof(line), "\n%s %s", keyword, name);
    while ((at = strstr(at, line))) {
        at += strlen(line);
        at += strspn(at, " ");
        if (*at == '(')
            return at;
    }
    return NULL;
}

static const char *skip_space(const char *at) {
    for (;;) {
        at += strspn(at, " \n");
        if (*at != '#')
            return at;
        at += strcspn(at, "\n");
    }
}

static const char *word(const char *at, char ret[static 64]) {
    size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    assert_in_range(n, 1, 63);
    memcpy(ret, at, n);
    ret[n] = '\0';
    return skip_space(at + n);
}

/* Reads one type and holds the value against it, unless it is only to be skipped. Returns what follows. */
static const char *check(const char *at, const json_t *value, bool skip, const char *where);

static const char *check_struct(const char *at, const json_t *value, bool skip, const char *where) {
    size_t known = 0;

    if (!skip && !json_is_object(value))
        fail_msg("%s: not an object", where);
    at = skip_space(at + 1);
    while (*at != ')') {
        char field[64];
        const json_t *member;

        at = skip_space(word(at, field) + 1);
        member = json_object_get(value, field);
        if (member)
            known++;
        if (!skip && !member && *at != '?')
            fail_msg("%s: %s is missing", where, field);
        at = check(at, member, skip || !member, field);
        if (*at == ',')
            at = skip_space(at + 1);
    }
    if (!skip && json_object_size(value) != known)
        fail_msg("%s: has unknown fields", where);
    return skip_space(at + 1);
}

static const char *check_enum(const char *at, const json_t *value, bool skip, const char *where) {
    bool found = false;

    at = skip_space(at + 1);
    while (*at != ')') {
        char name[64];

        at = word(at, name);
        found = found || (json_is_string(value) && streq(json_string_value(value), name));
        if (*at == ',')
            at = skip_space(at + 1);
    }
    if (!skip && !found)
        fail_msg("%s: not one of the names", where);
    return skip_space(at + 1);
}

static bool is_enum(const char *at) {
    at = skip_space(at + 1);
    at += strcspn(at, ":,)");
    return *at != ':' && at[-1] != '(';
}

static const char *check_named(const char *at, const json_t *value, bool skip, const char *where) {
    char name[64];
    bool good;

    at = word(at, name);
    if (isupper(name[0])) {
        const char *type = schema_find("type", name);

        if (!type)
            fail_msg("%s: type %s does not exist", where, name);
        if (!skip)
            (void) check(type, value, false, name);
        return at;
    }
    good = streq(name, "string") ? json_is_string(value)
           : streq(name, "int")  ? json_is_integer(value)
           : streq(name, "bool") ? json_is_boolean(value)
                                 : false;
    if (!skip && !good)
        fail_msg("%s: not of type %s", where, name);
    return at;
}

static const char *check(const char *at, const json_t *value, bool skip, const char *where) {
    const char *element, *key;
    json_t *item;
    size_t i;

    if (*at == '?')
        return check(at + 1, value, skip, where);
    if (*at == '(')
        return is_enum(at) ? check_enum(at, value, skip, where) : check_struct(at, value, skip, where);
    if (*at != '[')
        return check_named(at, value, skip, where);

    element = strchr(at, ']') + 1;
    if (!skip && (element == at + 2 ? !json_is_array(value) : !json_is_object(value)))
        fail_msg("%s: not a list or map", where);
    json_array_foreach(value, i, item) {
        (void) check(element, item, false, where);
    }
    json_object_foreach((json_t *) value, key, item) {
        (void) check(element, item, false, where);
    }
    return check(element, NULL, true, where);
}

static void check_parameters(const char *type, const json_t *parameters, const char *where) {
    json_t *empty = json_object();

    (void) check(type, parameters ? parameters : empty, false, where);
    json_decref(empty);
}

void schema_check_answer(const char *method, const json_t *parameters) {
    const char *at = schema_find("method", method);

    assert_non_null(at);
    at = check(at, NULL, true, method);
    assert_memory_equal(at, "->", 2);
    check_parameters(skip_space(at + 2), parameters, method);
}

void schema_check_error(const char *error, const json_t *parameters) {
    const char *at = schema_find("error", error);

    if (!at)
        fail_msg("error %s does not exist", error);
    check_parameters(at, parameters, error);
}
