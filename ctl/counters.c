/* SPDX-License-Identifier: MIT */
#include "counters.h"

#include <stdio.h>

#include "field.h"

/* Adds the integers of o[member] under "prefix" + name. */
static int add_members(json_t *flat, const json_t *o, const char *member, const char *prefix) {
    const json_t *members = json_object_get(o, member);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *) members, key, value) {
        _cleanup_free_ char *name = NULL;

        if (!json_is_integer(value))
            continue;
        if (asprintf(&name, "%s%s", prefix, key) < 0)
            return -ENOMEM;
        if (json_object_set(flat, name, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

json_t *counters_flatten(const json_t *listener_stats) {
    json_t *flat = json_pack("{sI}", "flows", (json_int_t) field_number(listener_stats, "flows"));

    if (flat && add_members(flat, listener_stats, "counters", "") >= 0 &&
        add_members(flat, listener_stats, "dscp_received", "dscp_received.") >= 0 &&
        add_members(flat, listener_stats, "ecn_received", "ecn_received.") >= 0)
        return flat;
    json_decref(flat);
    return NULL;
}

bool counters_is_gauge(const char *name) {
    return streq(name, "flows");
}

static const json_t *find_listener(const json_t *reply, const char *name) {
    const json_t *listeners = json_object_get(reply, "listeners");
    json_t *l;
    size_t i;

    json_array_foreach(listeners, i, l) {
        if (streq(field_text(l, "listener"), name))
            return l;
    }
    return NULL;
}

static int add_moved(json_t *moved, const char *listener, const json_t *old, const json_t *flat) {
    const char *key;
    json_t *value;

    json_object_foreach((json_t *) flat, key, value) {
        json_int_t total = json_integer_value(value), before = field_number(old, key);
        json_int_t change = total < before && !counters_is_gauge(key) ? total : total - before;

        if (change == 0)
            continue;
        if (json_array_append_new(moved, json_pack("{ss ss sI sI}", "listener", listener, "counter", key, "change",
                                                   change, "total", total)) < 0)
            return -ENOMEM;
    }
    return 0;
}

json_t *counters_moved(const json_t *before, const json_t *now) {
    const json_t *listeners = json_object_get(now, "listeners");
    json_t *moved = json_array(), *l;
    int r = moved ? 0 : -ENOMEM;
    size_t i;

    json_array_foreach(listeners, i, l) {
        const char *name = field_text(l, "listener");
        json_t *old = counters_flatten(find_listener(before, name)), *flat = counters_flatten(l);

        r = old && flat ? add_moved(moved, name, old, flat) : -ENOMEM;
        json_decref(old);
        json_decref(flat);
        if (r < 0)
            break;
    }
    if (r >= 0)
        return moved;
    json_decref(moved);
    return NULL;
}
