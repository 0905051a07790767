/* SPDX-License-Identifier: MIT */
#include "effective.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *origin_name(enum origin o) {
    static const char *const names[ORIGIN_MAX] = {
        [ORIGIN_DEFAULT] = "default",
        [ORIGIN_PROFILE_FILE] = "profile",
        [ORIGIN_PROFILE_RUNTIME] = "profile (runtime)",
        [ORIGIN_LISTENER_FILE] = "listener",
        [ORIGIN_LISTENER_RUNTIME] = "listener (runtime)",
        [ORIGIN_FLOW] = "flow",
    };

    assert(o < ORIGIN_MAX);
    return names[o];
}

struct effective *effective_new(void) {
    struct effective *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;

    e->refs = 1;
    settings_defaults(&e->settings);
    settings_upstream(&e->settings, &e->upstream);
    return e; /* origin: calloc() says ORIGIN_DEFAULT */
}

struct effective *effective_copy(const struct effective *e) {
    struct effective *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return NULL;

    copy->refs = 1;
    settings_merge(&copy->settings, &e->settings, SETTINGS_ALL);
    settings_merge(&copy->upstream, &e->upstream, SETTINGS_ALL);
    memcpy(copy->origin, e->origin, sizeof(copy->origin));
    return copy;
}

void effective_apply(struct effective *e, const struct settings *over, uint64_t mask, enum origin origin) {
    assert(__atomic_load_n(&e->refs, __ATOMIC_RELAXED) == 1);
    assert(origin < ORIGIN_MAX);

    mask &= over->set_mask;
    settings_merge(&e->settings, over, mask);
    if (mask & SETTINGS_UPSTREAM)
        settings_upstream(&e->settings, &e->upstream);
    for (int id = 0; id < SETTING_MAX; id++)
        if (mask & SETTING_BIT(id))
            e->origin[id] = (uint8_t) origin;
}

struct effective *effective_ref(struct effective *e) {
    __atomic_add_fetch(&e->refs, 1, __ATOMIC_RELAXED);
    return e;
}

struct effective *effective_unref(struct effective *e) {
    if (!e || __atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;

    settings_done(&e->settings);
    settings_done(&e->upstream);
    free(e);
    return NULL;
}
