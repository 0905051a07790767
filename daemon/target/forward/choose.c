/* SPDX-License-Identifier: MIT */
#include "forward.h"

/* Each of its addresses deserves a try. */
static bool is_tried(const struct forward_tried *tried, struct upstream *u) {
    unsigned times = 0;

    for (unsigned i = 0; i < tried->n; i++)
        times += tried->list[i] == u;
    return times > 0 && times >= upstream_places(u);
}

/* FNV-1a over the source and the upstream's name, then mixed: rendezvous hashing needs a new draw for each pair. */
static uint64_t draw(const uint8_t key[static 16], const struct upstream *u) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (unsigned i = 0; i < 16; i++)
        h = (h ^ key[i]) * UINT64_C(0x100000001b3);
    for (const char *c = u->conf.text; *c; c++)
        h = (h ^ (uint8_t) *c) * UINT64_C(0x100000001b3);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    return h ^ h >> 33;
}

/* How much better than another one an upstream is: the highest wins, the first one among equals. */
static uint64_t weigh(const struct forward *f, size_t i, const uint8_t key[static 16]) {
    switch (f->balance) {
    case BALANCE_ROUND_ROBIN:
        return f->n_upstreams - (i + f->n_upstreams - f->next) % f->n_upstreams;
    case BALANCE_LEAST_FLOWS:
        return UINT32_MAX - (uint64_t) atomic_load(&f->upstreams[i]->flows);
    case BALANCE_SOURCE_HASH:
        return draw(key, f->upstreams[i]);
    case BALANCE_FIRST:
        return f->n_upstreams - i;
    }
    return 0;
}

struct upstream *forward_choose(struct forward *f, int type, const uint8_t key[static 16],
                                const struct forward_tried *tried, uint64_t now_usec) {
    enum upstream_use best_use = UPSTREAM_UNUSABLE;
    uint64_t best_weight = 0;
    struct upstream *best = NULL;
    size_t at = 0;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n_upstreams; i++) {
        struct upstream *u = f->upstreams[i];
        enum upstream_use use;
        uint64_t weight;

        if (u->conf.type != type || is_tried(tried, u))
            continue;
        use = upstream_use(u, &f->health, now_usec, false);
        /* A trial takes precedence: one flow in a while finds out, and tries another one if need be. */
        if (use == UPSTREAM_TRIAL)
            use = UPSTREAM_USABLE + 1;
        weight = weigh(f, i, key);
        if (use == UPSTREAM_UNUSABLE || use < best_use || (use == best_use && weight <= best_weight))
            continue;
        best = u;
        best_use = use;
        best_weight = weight;
        at = i;
    }
    if (best) {
        (void) upstream_use(best, &f->health, now_usec, true);
        upstream_ref(best);
        f->next = (at + 1) % f->n_upstreams;
    }
    pthread_mutex_unlock(&f->lock);
    return best;
}
