/* SPDX-License-Identifier: MIT */
#include <assert.h>

#include "reason.h"
#include "setting.h"

/* Has a value of its own, which is then in v[]. */
static bool has_value(const struct settings *s, enum setting_id id) {
    return settings_has(s, id) && !settings_inherits(s, id);
}

static void forget(struct settings *s, enum setting_id id) {
    if (has_value(s, id))
        setting_value_done(setting_by_id(id), &s->v[id]);
    s->v[id] = (union setting_value){};
    s->set_mask &= ~SETTING_BIT(id);
    s->inherit_mask &= ~SETTING_BIT(id);
}

/* Stores a value, or "inherit" for NULL. It is copied before the old one goes: both may be the same. */
static void put(struct settings *s, enum setting_id id, const union setting_value *value) {
    union setting_value v = {};

    if (value)
        setting_value_copy(setting_by_id(id), &v, value);
    forget(s, id);
    s->v[id] = v;
    s->set_mask |= SETTING_BIT(id);
    if (!value)
        s->inherit_mask |= SETTING_BIT(id);
}

int settings_set_text(struct settings *s, const struct setting *row, const char *text, char **ret_reason) {
    bool inherit = streq(text, "inherit");
    union setting_value v = {};

    if (inherit && !row->may_inherit)
        return reason_set(ret_reason, -EINVAL, "%s has nothing to inherit from, write %s", row->name, row->syntax);
    if (!inherit) {
        int r = setting_parse(row, text, &v, ret_reason);
        if (r < 0)
            return r;
    }

    for (uint64_t keys = setting_keys(row); keys; keys &= keys - 1)
        put(s, (enum setting_id) __builtin_ctzll(keys), inherit ? NULL : &v);
    if (!inherit)
        setting_value_done(row, &v);
    return 0;
}

char *settings_get_text(const struct settings *s, const struct setting *row) {
    if (!settings_has(s, row->id))
        return NULL;
    if (settings_inherits(s, row->id))
        return strdup("inherit");
    return setting_format(row, &s->v[row->id]);
}

void settings_merge(struct settings *dst, const struct settings *src, uint64_t mask) {
    for (int i = 0; i < SETTING_MAX; i++) {
        enum setting_id id = (enum setting_id) i;

        if (mask & SETTING_BIT(id) && settings_has(src, id))
            put(dst, id, settings_inherits(src, id) ? NULL : &src->v[id]);
    }
}

void settings_clear(struct settings *s, uint64_t mask) {
    for (int i = 0; i < SETTING_MAX; i++)
        if (mask & SETTING_BIT(i))
            forget(s, (enum setting_id) i);
}

uint64_t settings_diff(const struct settings *a, const struct settings *b) {
    uint64_t diff = (a->set_mask ^ b->set_mask) | (a->inherit_mask ^ b->inherit_mask);

    for (int i = 0; i < SETTING_MAX; i++) {
        enum setting_id id = (enum setting_id) i;
        if (has_value(a, id) && has_value(b, id) && !setting_value_equal(setting_by_id(id), &a->v[id], &b->v[id]))
            diff |= SETTING_BIT(id);
    }
    return diff;
}

void settings_done(struct settings *s) {
    settings_clear(s, SETTINGS_ALL);
}

void settings_defaults(struct settings *ret) {
    *ret = (struct settings){};
    for (int i = 0; i < SETTING_MAX; i++) {
        const struct setting *row = setting_by_id((enum setting_id) i);
        /* A default of the table parses, and none needs memory. */
        _unused_ int r = settings_set_text(ret, row, row->dflt, NULL);
        assert(r == 0);
    }
}

void settings_upstream(const struct settings *s, struct settings *ret) {
    for (int i = 0; i < SETTING_LEG_MAX; i++) {
        enum setting_id id = (enum setting_id)(SETTING_UPSTREAM + i);

        if (settings_has(s, id))
            put(ret, (enum setting_id) i, settings_inherits(s, id) ? NULL : &s->v[id]);
    }
}
