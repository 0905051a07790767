/* SPDX-License-Identifier: MIT */
/*
 * Runtime changes that lie on top of the files, in order. Main thread. A list is copied, changed, tried, and then
 * either replaces the old one or is thrown away.
 */
#pragma once

#include "change.h"

struct overlay {
    uint64_t id; /* of the change that made it */
    struct change_who who;
    bool profile;
    char *name; /* of the listener or profile */
    struct settings settings;
};

struct overlays {
    struct overlay *items;
    size_t n;
};

int overlays_copy(const struct overlays *from, struct overlays *ret) _must_check_;
void overlays_done(struct overlays *o);

/* Puts a change on top; keys that it covers vanish from earlier entries for the same target, so that the list stays
 * bounded. 0 or -ENOMEM. */
int overlays_set(struct overlays *o, uint64_t id, const struct change_who *who, const struct change_target *target,
                 const struct settings *settings) _must_check_;
/* Drops keys of a target. */
void overlays_unset(struct overlays *o, const struct change_target *target, uint64_t keys);
/* Keys of a target that have a runtime value. */
uint64_t overlays_keys(const struct overlays *o, const struct change_target *target);
/* How many runtime values there are. */
unsigned overlays_count(const struct overlays *o);

/* A listener's settings by precedence: one reference, NULL when out of memory. */
struct effective *overlays_resolve(const struct overlays *o, const struct config_listener *conf) _must_check_;
