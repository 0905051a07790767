/* SPDX-License-Identifier: MIT */
#include "parameter.h"

static bool read_string(json_t *v, void *ret) {
    if (!json_is_string(v))
        return false;
    *(const char **) ret = json_string_value(v);
    return true;
}

static bool read_bool(json_t *v, void *ret) {
    if (!json_is_boolean(v))
        return false;
    *(bool *) ret = json_is_true(v);
    return true;
}

static bool read_string_list(json_t *v, void *ret) {
    json_t *item;
    size_t i;

    if (!json_is_array(v))
        return false;
    json_array_foreach(v, i, item) {
        if (!json_is_string(item))
            return false;
    }
    *(const json_t **) ret = v;
    return true;
}

static bool read_string_map(json_t *v, void *ret) {
    const char *key;
    json_t *item;

    if (!json_is_object(v))
        return false;
    json_object_foreach(v, key, item) {
        if (!json_is_string(item))
            return false;
    }
    *(const json_t **) ret = v;
    return true;
}

static const struct {
    const char *name;
    bool (*read)(json_t *v, void *ret);
} types[PARAMETER_TYPE_MAX] = {
    [PARAMETER_STRING] = { "string", read_string },
    [PARAMETER_BOOL] = { "bool", read_bool },
    [PARAMETER_STRING_LIST] = { "[]string", read_string_list },
    [PARAMETER_STRING_MAP] = { "[string]string", read_string_map },
};

static const struct parameter *find(const struct parameter *table, const char *name) {
    for (const struct parameter *p = table; p && p->name; p++)
        if (streq(p->name, name))
            return p;
    return NULL;
}

const char *parameters_read(json_t *parameters, const struct parameter *table, void *ret) {
    const char *name;
    json_t *value;

    json_object_foreach(parameters, name, value) {
        if (!find(table, name))
            return name;
    }

    for (const struct parameter *p = table; p && p->name; p++) {
        value = json_object_get(parameters, p->name);
        if ((!value || json_is_null(value)) && !p->required)
            continue;
        if (!types[p->type].read(value, (char *) ret + p->offset))
            return p->name;
    }
    return NULL;
}

const char *parameter_type_name(enum parameter_type type) {
    return types[type].name;
}
