/* SPDX-License-Identifier: MIT */
#include "bucket.h"

#define TICKS_PER_USEC UINT64_C(16000)
#define TICKS_PER_SEC (TICKS_PER_USEC * USEC_PER_SEC)

/* Of at most a burst, 1G: no product here is larger than 64 bits hold. Rounded down, so that a burst may be cut into any
 * pieces; a tick is far less than a byte. */
static uint64_t ticks_of(const struct rate_limit *limit, uint64_t n) {
    return n * TICKS_PER_SEC / limit->per_sec;
}

/* How long an empty bucket takes to be full. */
static uint64_t depth(const struct rate_limit *limit) {
    return ticks_of(limit, limit->burst);
}

uint64_t bucket_tokens(const struct bucket *b, const struct rate_limit *limit, uint64_t now_usec) {
    uint64_t now = now_usec * TICKS_PER_USEC, full_at = atomic_load_explicit(&b->full_at, memory_order_relaxed);
    uint64_t empty_until = now + depth(limit);

    if (full_at <= now)
        return limit->burst;
    return full_at >= empty_until ? 0 : (empty_until - full_at) * limit->per_sec / TICKS_PER_SEC;
}

bool bucket_try(struct bucket *b, const struct rate_limit *limit, uint64_t n, uint64_t now_usec) {
    uint64_t now = now_usec * TICKS_PER_USEC, full_at = atomic_load_explicit(&b->full_at, memory_order_relaxed), then;

    if (n > limit->burst)
        return false;
    do {
        then = MAX(full_at, now) + ticks_of(limit, n);
        if (then > now + depth(limit))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->full_at, &full_at, then, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

uint64_t bucket_take(struct bucket *b, const struct rate_limit *limit, uint64_t n, uint64_t now_usec) {
    uint64_t now = now_usec * TICKS_PER_USEC, full_at = atomic_load_explicit(&b->full_at, memory_order_relaxed), then;

    do
        then = MAX(full_at, now) + ticks_of(limit, n);
    while (!atomic_compare_exchange_weak_explicit(&b->full_at, &full_at, then, memory_order_relaxed,
                                                  memory_order_relaxed));
    return then <= now + depth(limit) ? now_usec : (then - depth(limit) + TICKS_PER_USEC - 1) / TICKS_PER_USEC;
}

void bucket_give_back(struct bucket *b, const struct rate_limit *limit, uint64_t n) {
    uint64_t full_at = atomic_load_explicit(&b->full_at, memory_order_relaxed), ticks = ticks_of(limit, n);

    while (!atomic_compare_exchange_weak_explicit(&b->full_at, &full_at, full_at > ticks ? full_at - ticks : 0,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void bucket_change(struct bucket *b, const struct rate_limit *limit, uint64_t now_usec) {
    uint64_t full_at = atomic_load_explicit(&b->full_at, memory_order_relaxed), most = now_usec * TICKS_PER_USEC;

    if (limit->per_sec > 0)
        most += depth(limit);
    while (full_at > most && !atomic_compare_exchange_weak_explicit(&b->full_at, &full_at, most, memory_order_relaxed,
                                                                    memory_order_relaxed))
        ;
}
