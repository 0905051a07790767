/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <string.h>

static const char *const names[STAT_MAX] = {
#define X(id, name, help) [STAT_##id] = name,
    STATS(X)
#undef X
};

const char *stat_name(enum counter id) {
    return names[id];
}

const char *stat_ecn_name(unsigned ecn) {
    static const char *const ecn_names[4] = { "not_ect", "ect1", "ect0", "ce" };

    return ecn_names[ecn & 3];
}

static void merge(uint64_t *into, const _Atomic uint64_t *from, size_t n) {
    for (size_t i = 0; i < n; i++)
        into[i] += atomic_load_explicit(&from[i], memory_order_relaxed);
}

void stats_merge(struct stats_snapshot *into, const struct stats *from) {
    merge(into->counter, from->counter, STAT_MAX);
    merge(into->dscp, from->dscp, 64);
    merge(into->ecn, from->ecn, 4);
}

bool stats_differ(const struct stats_snapshot *a, const struct stats_snapshot *b) {
    return memcmp(a, b, sizeof(*a)) != 0;
}
