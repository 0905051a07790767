/* SPDX-License-Identifier: MIT */
#include "sources.h"

#include <sys/random.h>

#define SETS 128
#define WAYS 8

struct source {
    uint8_t key[16];
    struct bucket bucket;
};

struct sources {
    struct rate_limit limit;
    uint64_t seed; /* sources cannot choose to share a set */
    struct source sets[SETS][WAYS];
};

struct sources *sources_new(void) {
    struct sources *t = calloc(1, sizeof(*t));

    if (t && getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        return sources_free(t);
    return t;
}

struct sources *sources_free(struct sources *t) {
    free(t);
    return NULL;
}

void sources_use(struct sources *t, const struct rate_limit *limit) {
    if (t->limit.per_sec == limit->per_sec && t->limit.payloads == limit->payloads && t->limit.burst == limit->burst)
        return;
    t->limit = *limit;
    memset(t->sets, 0, sizeof(t->sets));
}

static uint64_t mix(uint64_t h) {
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

struct bucket *sources_find(struct sources *t, const uint8_t key[static 16]) {
    struct source *set, *fullest;
    uint64_t words[2];

    memcpy(words, key, sizeof(words));
    set = t->sets[mix(mix(mix(t->seed ^ words[0]) + t->seed) ^ words[1]) % SETS];
    fullest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (memcmp(set[i].key, key, sizeof(set[i].key)) == 0)
            return &set[i].bucket;
        if (set[i].bucket.full_at < fullest->bucket.full_at)
            fullest = &set[i];
    }
    *fullest = (struct source){ 0 };
    memcpy(fullest->key, key, sizeof(fullest->key));
    return &fullest->bucket;
}
