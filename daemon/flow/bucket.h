/* SPDX-License-Identifier: MIT */
/*
 * Token buckets by the generic cell rate algorithm (ITU-T I.371, annex A): all that a bucket holds is when it will be
 * full, and nobody has to fill it. Zeros are a full one. What it holds is of its limit (common/setting.h) and in the
 * unit of that: bytes or payloads.
 * Safe from any thread: several flows may share one. No function blocks or allocates. Times are CLOCK_MONOTONIC.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "macro.h"
#include "setting.h"

struct bucket {
    _Atomic uint64_t full_at; /* theoretical arrival time, in 1/16 ns: 1 byte at 10Gbit is 0.8 ns */
};

/* How much could be taken now; at most the burst. */
uint64_t bucket_tokens(const struct bucket *b, const struct rate_limit *limit, uint64_t now_usec) _must_check_;
/* Takes `n`, at most the burst, if it is there. */
bool bucket_try(struct bucket *b, const struct rate_limit *limit, uint64_t n, uint64_t now_usec) _must_check_;
/* Takes `n` that may not be there yet. Returns the time at which it is: now, or later. Whoever takes next comes after. */
uint64_t bucket_take(struct bucket *b, const struct rate_limit *limit, uint64_t n, uint64_t now_usec);
/* Gives back what was taken and not used. */
void bucket_give_back(struct bucket *b, const struct rate_limit *limit, uint64_t n);
/* The limit is another one from now on: what the bucket owed by the old one must not outlast an empty one of the new. */
void bucket_change(struct bucket *b, const struct rate_limit *limit, uint64_t now_usec);
