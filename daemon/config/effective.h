/* SPDX-License-Identifier: MIT */
/*
 * A listener's or flow's settings after precedence has been worked out: every key present, each with its origin.
 * Immutable once shared, reference-counted atomically: main thread and workers hold it alike.
 */
#pragma once

#include <stdint.h>

#include "setting.h"

/* Lowest precedence first. */
enum origin {
    ORIGIN_DEFAULT,
    ORIGIN_PROFILE_FILE,
    ORIGIN_PROFILE_RUNTIME,
    ORIGIN_LISTENER_FILE,
    ORIGIN_LISTENER_RUNTIME,
    ORIGIN_FLOW,
    ORIGIN_MAX,
};

struct effective {
    unsigned refs;
    struct settings settings; /* every key present */
    struct settings upstream; /* those of the upstream leg, under the ids that the client leg has */
    uint8_t origin[SETTING_MAX];
};

/* "default", "profile", "profile (runtime)", "listener", "listener (runtime)", "flow" */
const char *origin_name(enum origin o);

/* The table's defaults, one reference; NULL when out of memory. */
struct effective *effective_new(void) _must_check_;
/* A private copy to change before sharing; NULL when out of memory. */
struct effective *effective_copy(const struct effective *e) _must_check_;
/* Lays the keys of `over` (those in `mask`) on top. Only before sharing. */
void effective_apply(struct effective *e, const struct settings *over, uint64_t mask, enum origin origin);
struct effective *effective_ref(struct effective *e);
struct effective *effective_unref(struct effective *e); /* accepts NULL, returns NULL */
