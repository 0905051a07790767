/* SPDX-License-Identifier: MIT */
#include "overlay.h"

#include <errno.h>

static bool is_for(const struct overlay *o, const struct change_target *target) {
    return o->profile == target->profile && streq(o->name, target->name);
}

static int append(struct overlays *o, uint64_t id, const struct change_who *who, const struct change_target *target,
                  const struct settings *settings) {
    struct overlay *items = reallocarray(o->items, o->n + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    o->items = items;
    items[o->n] = (struct overlay){ .id = id, .who = *who, .profile = target->profile, .name = strdup(target->name) };
    if (!items[o->n].name)
        return -ENOMEM;
    settings_merge(&items[o->n].settings, settings, settings->set_mask);
    o->n++;
    return 0;
}

int overlays_copy(const struct overlays *from, struct overlays *ret) {
    struct overlays copy = { 0 };

    for (size_t i = 0; i < from->n; i++) {
        const struct overlay *item = &from->items[i];
        const struct change_target target = { item->profile, item->name };
        int r = append(&copy, item->id, &item->who, &target, &item->settings);

        if (r < 0) {
            overlays_done(&copy);
            return r;
        }
    }
    *ret = copy;
    return 0;
}

static void item_done(struct overlay *item) {
    settings_done(&item->settings);
    free(item->name);
}

void overlays_done(struct overlays *o) {
    for (size_t i = 0; i < o->n; i++)
        item_done(&o->items[i]);
    free(o->items);
    *o = (struct overlays){ 0 };
}

int overlays_set(struct overlays *o, uint64_t id, const struct change_who *who, const struct change_target *target,
                 const struct settings *settings) {
    overlays_unset(o, target, settings->set_mask);
    return append(o, id, who, target, settings);
}

void overlays_unset(struct overlays *o, const struct change_target *target, uint64_t keys) {
    size_t kept = 0;

    for (size_t i = 0; i < o->n; i++) {
        struct overlay *item = &o->items[i];

        if (is_for(item, target))
            settings_clear(&item->settings, keys);
        if (item->settings.set_mask == 0)
            item_done(item);
        else
            o->items[kept++] = *item;
    }
    o->n = kept;
}

uint64_t overlays_keys(const struct overlays *o, const struct change_target *target) {
    uint64_t keys = 0;

    for (size_t i = 0; i < o->n; i++)
        if (is_for(&o->items[i], target))
            keys |= o->items[i].settings.set_mask;
    return keys;
}

unsigned overlays_count(const struct overlays *o) {
    unsigned n = 0;

    for (size_t i = 0; i < o->n; i++)
        n += (unsigned) __builtin_popcountll(settings_named(o->items[i].settings.set_mask));
    return n;
}

static void lay(const struct overlays *o, const struct change_target *target, uint64_t keys, struct effective *e,
                enum origin origin) {
    for (size_t i = 0; i < o->n; i++)
        if (is_for(&o->items[i], target))
            effective_apply(e, &o->items[i].settings, keys, origin);
}

/* `keys` of a profile, by its files and at runtime. */
static void lay_profile(const struct overlays *o, const struct config_profile *p, uint64_t keys, struct effective *e) {
    effective_apply(e, &p->settings, keys, ORIGIN_PROFILE_FILE);
    lay(o, &(struct change_target){ true, p->name }, keys, e, ORIGIN_PROFILE_RUNTIME);
}

struct effective *overlays_resolve(const struct overlays *o, const struct config_listener *conf) {
    struct effective *e = effective_new();

    if (!e)
        return NULL;
    if (conf->profile)
        lay_profile(o, conf->profile, SETTINGS_ALL, e);
    if (conf->forward && conf->forward->profile)
        lay_profile(o, conf->forward->profile, SETTINGS_UPSTREAM, e);
    effective_apply(e, &conf->settings, SETTINGS_ALL, ORIGIN_LISTENER_FILE);
    lay(o, &(struct change_target){ false, conf->name }, SETTINGS_ALL, e, ORIGIN_LISTENER_RUNTIME);
    return e;
}
