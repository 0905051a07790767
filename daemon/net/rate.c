/* SPDX-License-Identifier: MIT */
#include "rate.h"

/* What a flow that had to rest reads at once: enough for 10 ms, so that it is not woken for a few bytes, and little enough
 * that the others' turns come soon. */
#define QUANTA_PER_SEC 100
#define QUANTUM_MIN UINT64_C(1024)
#define QUANTUM_MAX UINT64_C(16384)

static void buckets_of(struct flow *f, struct bucket *ret[static RATE_LIMITS]) {
    ret[0] = &f->view->listener->bucket;
    ret[1] = &f->source->bucket;
    ret[2] = &f->bucket;
}

/* In bytes; SIZE_MAX: only payloads are limited. */
static size_t quantum_of(const struct settings *set) {
    uint64_t quantum = SIZE_MAX;

    for (unsigned i = 0; i < RATE_LIMITS; i++) {
        const struct rate_limit *l = rate_limit_of(set, i);
        uint64_t own = MAX(l->per_sec / QUANTA_PER_SEC, QUANTUM_MIN);

        if (l->per_sec == 0 || l->payloads)
            continue;
        own = MIN(own, QUANTUM_MAX);
        own = MIN(own, l->burst);
        quantum = MIN(quantum, own);
    }
    return quantum;
}

/* What a read of `n` bytes is to a limit. */
static uint64_t units(const struct rate_limit *l, size_t n) {
    return l->payloads ? 1 : n;
}

static bool tokens_of(const struct settings *set, struct bucket *const buckets[static RATE_LIMITS], size_t quantum,
                      uint64_t now_usec, size_t *ret) {
    size_t room = SIZE_MAX;

    for (unsigned i = 0; i < RATE_LIMITS; i++) {
        const struct rate_limit *l = rate_limit_of(set, i);
        uint64_t tokens;

        if (l->per_sec == 0)
            continue;
        tokens = bucket_tokens(buckets[i], l, now_usec);
        if (tokens < units(l, quantum))
            return false;
        if (!l->payloads)
            room = MIN(room, tokens);
    }
    *ret = room;
    return true;
}

/* Pays ahead. Returns when that is there. */
static uint64_t take(const struct settings *set, struct bucket *const buckets[static RATE_LIMITS], size_t n,
                     uint64_t now_usec) {
    uint64_t due_usec = now_usec;

    for (unsigned i = 0; i < RATE_LIMITS; i++) {
        const struct rate_limit *l = rate_limit_of(set, i);
        uint64_t at_usec = l->per_sec > 0 ? bucket_take(buckets[i], l, units(l, n), now_usec) : now_usec;

        due_usec = MAX(due_usec, at_usec);
    }
    return due_usec;
}

size_t rate_room(struct worker *w, struct flow *f, size_t room) {
    const struct settings *set = &f->client.set->settings;
    size_t quantum = quantum_of(set), tokens;
    struct bucket *buckets[RATE_LIMITS];

    if (f->unlimited)
        return room;
    if (f->rests)
        return 0;
    if (f->paid)
        return MIN(room, quantum);
    buckets_of(f, buckets);
    if (tokens_of(set, buckets, quantum, w->loop.now_usec, &tokens))
        return MIN(room, tokens);
    f->rests = f->paid = true;
    wheel_arm(&w->loop.wheel, &f->timer, take(set, buckets, quantum, w->loop.now_usec));
    return 0;
}

/* The bytes of the quantum that were not used, or all of it. `except`: not to the bucket of this limit. */
static void give_back(struct flow *f, const size_t *used, unsigned except) {
    const struct settings *set = &f->client.set->settings;
    size_t quantum = quantum_of(set);
    struct bucket *buckets[RATE_LIMITS];

    f->paid = f->rests = false;
    buckets_of(f, buckets);
    for (unsigned i = 0; i < RATE_LIMITS; i++) {
        const struct rate_limit *l = rate_limit_of(set, i);
        uint64_t taken = units(l, quantum), kept = used ? units(l, *used) : 0;

        if (l->per_sec > 0 && i != except && taken > kept)
            bucket_give_back(buckets[i], l, taken - kept);
    }
}

void rate_charge(struct worker *w, struct flow *f, size_t n) {
    struct bucket *buckets[RATE_LIMITS];

    if (f->paid) {
        give_back(f, &n, RATE_LIMITS);
        return;
    }
    buckets_of(f, buckets);
    (void) take(&f->client.set->settings, buckets, n, w->loop.now_usec);
}

void rate_release(struct flow *f) {
    if (f->paid)
        give_back(f, NULL, RATE_LIMITS);
}

void rate_lift(struct flow *f) {
    rate_release(f);
    f->unlimited = true;
}

bool rate_permits(const struct settings *set, struct bucket *const buckets[static RATE_LIMITS], size_t size,
                  uint64_t now_usec) {
    for (unsigned i = 0; i < RATE_LIMITS; i++) {
        const struct rate_limit *l = rate_limit_of(set, i);

        if (l->per_sec == 0 || !buckets[i] || bucket_try(buckets[i], l, units(l, size), now_usec))
            continue;
        while (i-- > 0)
            if (rate_limit_of(set, i)->per_sec > 0 && buckets[i])
                bucket_give_back(buckets[i], rate_limit_of(set, i), units(rate_limit_of(set, i), size));
        return false;
    }
    return true;
}

bool rate_permits_session(struct worker *w, struct flow *f, size_t size) {
    struct bucket *buckets[RATE_LIMITS];

    buckets_of(f, buckets);
    return rate_permits(&f->client.set->settings, buckets, size, w->loop.now_usec);
}

void rate_change(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set) {
    unsigned i = (unsigned) id - SETTING_RATE_LIMIT;
    struct bucket *buckets[RATE_LIMITS];

    if (i >= RATE_LIMITS)
        return;
    if (f->rests)
        worker_ready(w, f);
    /* The bucket of this one forgets what was taken ahead. */
    if (f->paid)
        give_back(f, NULL, i);
    buckets_of(f, buckets);
    if (i > 0) /* the listener's is changed with its view: others may have another limit there */
        bucket_change(buckets[i], rate_limit_of(set, i), w->loop.now_usec);
}

void rate_change_view(struct worker *w, const struct listener_view *from, const struct listener_view *to) {
    const struct setting *row = setting_by_id(SETTING_RATE_LIMIT);
    const union setting_value *a = &from->set->settings.v[row->id], *b = &to->set->settings.v[row->id];

    if (!setting_value_equal(row, a, b))
        bucket_change(&to->listener->bucket, &b->limit, w->loop.now_usec);
}
