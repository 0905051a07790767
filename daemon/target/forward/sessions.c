/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/random.h>

#include "session.h"

#define BUCKETS_MIN 64

static uint64_t mix(uint64_t h) {
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* By the client only: that it speaks to several of our addresses is rare. */
static uint64_t hash_of(const struct sessions *t, const struct address *peer) {
    uint64_t words[2];
    uint8_t key[16];

    address_key(peer, key);
    memcpy(words, key, sizeof(words));
    return mix(mix(mix(t->seed ^ words[0]) + words[1]) ^ peer->in.sin_port);
}

struct sessions *sessions_new(void) {
    struct sessions *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->n_buckets = BUCKETS_MIN;
    t->buckets = calloc(t->n_buckets, sizeof(struct session *));
    if (!t->buckets || getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        return sessions_free(t);
    return t;
}

struct sessions *sessions_free(struct sessions *t) {
    if (t)
        free(t->buckets);
    free(t);
    return NULL;
}

static struct session **bucket_of(const struct sessions *t, const struct address *peer) {
    return &t->buckets[hash_of(t, peer) & (t->n_buckets - 1)];
}

static bool same_local(const struct datagram_meta *a, const struct datagram_meta *b) {
    if (a->info_family != b->info_family)
        return false;
    switch (a->info_family) {
    case AF_INET:
        return a->info4.ipi_spec_dst.s_addr == b->info4.ipi_spec_dst.s_addr;
    case AF_INET6:
        return memcmp(&a->info6.ipi6_addr, &b->info6.ipi6_addr, sizeof(a->info6.ipi6_addr)) == 0;
    default:
        return true;
    }
}

struct session *sessions_find(const struct sessions *t, const struct address *peer, const struct datagram_meta *meta) {
    for (struct session *s = *bucket_of(t, peer); s; s = s->next)
        if (s->flow->peer.size == peer->size && memcmp(&s->flow->peer.in6, &peer->in6, peer->size) == 0 &&
            same_local(&s->local, meta))
            return s;
    return NULL;
}

static int grow(struct sessions *t) {
    struct session **old = t->buckets, *next;
    size_t n_old = t->n_buckets;

    t->buckets = calloc(2 * n_old, sizeof(struct session *));
    if (!t->buckets) {
        t->buckets = old;
        return -ENOMEM;
    }
    t->n_buckets = 2 * n_old;
    for (size_t i = 0; i < n_old; i++)
        for (struct session *s = old[i]; s; s = next) {
            struct session **at = bucket_of(t, &s->flow->peer);

            next = s->next;
            s->next = *at;
            *at = s;
        }
    free(old);
    return 0;
}

static void link_newest(struct sessions *t, struct session *s) {
    s->older = t->newest;
    s->newer = NULL;
    *(t->newest ? &t->newest->newer : &t->oldest) = s;
    t->newest = s;
}

static void unlink_age(struct sessions *t, struct session *s) {
    *(s->older ? &s->older->newer : &t->oldest) = s->newer;
    *(s->newer ? &s->newer->older : &t->newest) = s->older;
}

int sessions_add(struct sessions *t, struct session *s) {
    struct session **at;

    if (t->n >= t->n_buckets && grow(t) < 0 && t->n >= 8 * t->n_buckets)
        return -ENOMEM;
    at = bucket_of(t, &s->flow->peer);
    s->next = *at;
    *at = s;
    link_newest(t, s);
    t->n++;
    return 0;
}

static void forget_paused(struct sessions *t, struct session *s) {
    struct session **at = &t->paused;

    while (*at && *at != s)
        at = &(*at)->next_paused;
    if (*at)
        *at = s->next_paused;
}

void sessions_remove(struct sessions *t, struct session *s) {
    struct session **at = bucket_of(t, &s->flow->peer);

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    unlink_age(t, s);
    if (s->paused)
        forget_paused(t, s);
    t->n--;
}

void sessions_touch(struct sessions *t, struct session *s) {
    if (t->newest == s)
        return;
    unlink_age(t, s);
    link_newest(t, s);
}
