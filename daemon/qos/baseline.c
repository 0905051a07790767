/* SPDX-License-Identifier: MIT */
#include <sys/socket.h>

#include "buffers.h"
#include "handler.h"
#include "option.h"

void baseline_capture(const struct qos_socket *s, uint32_t mask, bool congestion, struct qos_baseline *ret) {
    *ret = (struct qos_baseline){ 0 };
    for (enum qos_option o = 0; o < QOS_OPTION_MAX; o++)
        if ((mask & OPTION_BIT(o)) && option_get(s, o, &ret->option[o]) == 0)
            ret->known |= OPTION_BIT(o);
    if (congestion && option_get_congestion(s, ret->congestion) < 0)
        ret->congestion[0] = 0;
}

void qos_baseline_capture(const struct qos_socket *s, struct qos_baseline *ret) {
    baseline_capture(s, UINT32_MAX, true, ret);
}

/* Whether the kernel's tuning owns the value: then it differs all the time, and only the lock matters. */
static bool tuned(const struct qos_socket *s, const struct qos_baseline *b, enum qos_option o) {
    const struct buffer *buffer = buffer_by_option(o);

    return buffer && buffer_established(s) && buffer_unlocked(buffer, b);
}

static uint32_t differing(const struct qos_socket *s, const struct qos_baseline *a, const struct qos_baseline *b) {
    uint32_t mask = 0;

    for (enum qos_option o = 0; o < QOS_OPTION_MAX; o++)
        if ((a->known & b->known & OPTION_BIT(o)) && !tuned(s, a, o) && !option_equal(s, o, a->option[o], b->option[o]))
            mask |= OPTION_BIT(o);
    return mask;
}

static bool congestion_differs(const struct qos_baseline *a, const struct qos_baseline *b) {
    return a->congestion[0] && b->congestion[0] && !streq(a->congestion, b->congestion);
}

uint64_t qos_baseline_differs(const struct qos_socket *s, const struct qos_baseline *b) {
    const struct handler *h;
    struct qos_baseline now;
    uint64_t keys = 0;

    qos_baseline_capture(s, &now);
    for (size_t i = 0; (h = handler_row(i)); i++)
        if ((h->options & differing(s, b, &now)) || (h->congestion && congestion_differs(b, &now)))
            keys |= SETTING_BIT(h->id);
    return keys;
}

static int put_back(const struct qos_socket *s, const struct qos_baseline *b, enum qos_option o) {
    uint64_t now;
    int r;

    r = option_get(s, o, &now);
    if (r < 0 || option_equal(s, o, now, b->option[o]))
        return r;
    return option_set(s, o, b->option[o]);
}

/* What counts is how the options read afterwards, not what the calls said: a buffer may be capped without an error. */
unsigned qos_baseline_restore(const struct qos_socket *s, const struct qos_baseline *b, unsigned *ret_failed) {
    struct qos_baseline before, after;
    unsigned restored = 0;
    uint32_t left;

    qos_baseline_capture(s, &before);

    /* In the order of the options: setting TOS overwrites the priority, and setting a buffer locks it. */
    for (enum qos_option o = 0; o < QOS_OPTION_MAX; o++)
        if ((b->known & OPTION_BIT(o)) && !tuned(s, b, o))
            put_back(s, b, o);
    if (congestion_differs(b, &before) && option_set_congestion(s, b->congestion) == 0)
        restored++;

    qos_baseline_capture(s, &after);
    left = differing(s, b, &after);
    restored += (unsigned) __builtin_popcount(differing(s, b, &before) & ~left);
    *ret_failed = (unsigned) __builtin_popcount(left) + congestion_differs(b, &after);
    return restored;
}

json_t *qos_baseline_to_json(const struct qos_baseline *b) {
    json_t *j = json_object();
    int r = j ? 0 : -1;

    for (enum qos_option o = 0; o < QOS_OPTION_MAX && r == 0; o++)
        if (b->known & OPTION_BIT(o))
            r = json_object_set_new(j, option_name(o), json_integer((json_int_t) b->option[o]));
    if (r == 0 && b->congestion[0])
        r = json_object_set_new(j, "congestion", json_string(b->congestion));
    if (r < 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* Names that are not known are passed over: a newer daemon may have written them. */
int qos_baseline_from_json(const json_t *j, struct qos_baseline *ret) {
    struct qos_baseline b = { 0 };
    const json_t *v;

    if (!json_is_object(j))
        return -EINVAL;
    for (enum qos_option o = 0; o < QOS_OPTION_MAX; o++) {
        v = json_object_get(j, option_name(o));
        if (!v)
            continue;
        if (!json_is_integer(v) || !option_in_range(o, (uint64_t) json_integer_value(v)))
            return -EINVAL;
        b.option[o] = (uint64_t) json_integer_value(v);
        b.known |= OPTION_BIT(o);
    }
    v = json_object_get(j, "congestion");
    if (v) {
        if (!json_is_string(v) || json_string_length(v) >= sizeof(b.congestion) ||
            strlen(json_string_value(v)) != json_string_length(v))
            return -EINVAL;
        memcpy(b.congestion, json_string_value(v), json_string_length(v));
    }
    *ret = b;
    return 0;
}
