/* SPDX-License-Identifier: MIT */
#include "admission.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#define BUCKETS_MIN 16

int admission_init(struct admission *a) {
    *a = (struct admission){ 0 };
    if (getrandom(&a->seed, sizeof(a->seed), 0) != sizeof(a->seed))
        return -errno;
    for (unsigned i = 0; i < ADMISSION_SHARDS; i++)
        pthread_mutex_init(&a->shards[i].lock, NULL);
    return 0;
}

void admission_done(struct admission *a) {
    for (unsigned i = 0; i < ADMISSION_SHARDS; i++) {
        struct admission_shard *s = &a->shards[i];

        for (unsigned b = 0; b < s->n_buckets; b++)
            for (struct admission_source *source = s->buckets[b], *next; source; source = next) {
                next = source->next;
                free(source);
            }
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
}

bool admission_enter(struct admission *a, unsigned limit, unsigned worker) {
    uint64_t bit = UINT64_C(1) << (worker % 64);

    if (limit == 0) {
        atomic_fetch_add(&a->flows, 1);
        return true;
    }
    while (atomic_fetch_add(&a->flows, 1) >= limit) {
        /* Full. The bit is set before the place is given back: a flow that closes now sees it, or we see its place. */
        atomic_fetch_or(&a->paused_mask[worker / 64], bit);
        if (atomic_fetch_sub(&a->flows, 1) > limit)
            return false;
        atomic_fetch_and(&a->paused_mask[worker / 64], ~bit);
    }
    return true;
}

bool admission_leave(struct admission *a) {
    atomic_fetch_sub(&a->flows, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(a->paused_mask); i++)
        if (atomic_load(&a->paused_mask[i]))
            return true;
    return false;
}

void admission_take_paused(struct admission *a, uint64_t ret_mask[static 4]) {
    for (unsigned i = 0; i < ARRAY_SIZE(a->paused_mask); i++)
        ret_mask[i] = atomic_exchange(&a->paused_mask[i], 0);
}

static uint64_t mix(uint64_t h) {
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static uint64_t hash_of(const struct admission *a, const uint8_t key[static 16]) {
    uint64_t words[2];

    memcpy(words, key, sizeof(words));
    return mix(mix(mix(a->seed ^ words[0]) + a->seed) ^ words[1]);
}

static struct admission_source **find(struct admission_shard *s, uint64_t hash, const uint8_t key[static 16]) {
    struct admission_source **at = &s->buckets[hash / ADMISSION_SHARDS % s->n_buckets];

    while (*at && memcmp((*at)->key, key, 16) != 0)
        at = &(*at)->next;
    return at;
}

static int resize(const struct admission *a, struct admission_shard *s) {
    struct admission_shard larger = { .n_buckets = MAX(s->n_buckets * 2, (unsigned) BUCKETS_MIN) };

    larger.buckets = calloc(larger.n_buckets, sizeof(*larger.buckets));
    if (!larger.buckets)
        return -ENOMEM;
    for (unsigned b = 0; b < s->n_buckets; b++)
        for (struct admission_source *source = s->buckets[b], *next; source; source = next) {
            struct admission_source **at = find(&larger, hash_of(a, source->key), source->key);

            next = source->next;
            source->next = NULL;
            *at = source;
        }
    free(s->buckets);
    s->buckets = larger.buckets;
    s->n_buckets = larger.n_buckets;
    return 0;
}

static struct admission_source *find_or_add(const struct admission *a, struct admission_shard *s, uint64_t hash,
                                            const uint8_t key[static 16]) {
    struct admission_source **at;

    if (s->n_sources >= s->n_buckets && resize(a, s) < 0 && s->n_buckets == 0)
        return NULL;
    at = find(s, hash, key);
    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (!*at)
            return NULL;
        memcpy((*at)->key, key, 16);
        s->n_sources++;
    }
    return *at;
}

struct admission_source *admission_source_enter(struct admission *a, const uint8_t key[static 16], unsigned limit) {
    uint64_t hash = hash_of(a, key);
    struct admission_shard *s = &a->shards[hash % ADMISSION_SHARDS];
    struct admission_source *source;

    pthread_mutex_lock(&s->lock);
    source = find_or_add(a, s, hash, key);
    if (source && limit > 0 && source->flows >= limit)
        source = NULL;
    if (source)
        source->flows++;
    pthread_mutex_unlock(&s->lock);
    return source;
}

void admission_source_leave(struct admission *a, struct admission_source *source) {
    uint64_t hash = hash_of(a, source->key);
    struct admission_shard *s = &a->shards[hash % ADMISSION_SHARDS];
    struct admission_source **at;

    pthread_mutex_lock(&s->lock);
    if (--source->flows == 0) {
        at = find(s, hash, source->key);
        assert(*at == source);
        *at = source->next;
        s->n_sources--;
        free(source);
    }
    pthread_mutex_unlock(&s->lock);
}
