/* SPDX-License-Identifier: MIT */
/*
 * Who may come in: counts of open flows a listener and a source, shared by all workers and touched only at accept and
 * close. Safe from any thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "macro.h"

#define ADMISSION_SHARDS 16

/* An address that has flows, and exists as long as it has. */
struct admission_source {
    struct admission_source *next;
    uint8_t key[16];
    unsigned flows;
    struct bucket bucket; /* of rate_limit_per_source */
};

struct admission_shard {
    pthread_mutex_t lock;
    struct admission_source **buckets;
    unsigned n_buckets, n_sources;
};

/* One a listener. */
struct admission {
    _Atomic unsigned flows;          /* open, or being accepted */
    _Atomic uint64_t paused_mask[4]; /* bit per worker that waits for room */
    uint64_t seed;                   /* of the hash: sources cannot choose to collide */
    struct admission_shard shards[ADMISSION_SHARDS];
};

int admission_init(struct admission *a) _must_check_;
void admission_done(struct admission *a);

/* Reserves a place for a flow; `limit` 0 is unlimited. False: full, and the worker's paused bit is set; it is woken by
 * whoever makes room. */
bool admission_enter(struct admission *a, unsigned limit, unsigned worker);
/* Gives a place back. True: workers wait; take them with admission_take_paused() and wake them. */
bool admission_leave(struct admission *a);
/* The workers that wait, cleared: bits into ret_mask. */
void admission_take_paused(struct admission *a, uint64_t ret_mask[static 4]);

/* Counts a flow of a source, and returns that. NULL: over `limit` (0 is unlimited), nothing counted. So it is without
 * memory. */
struct admission_source *admission_source_enter(struct admission *a, const uint8_t key[static 16],
                                                unsigned limit) _must_check_;
void admission_source_leave(struct admission *a, struct admission_source *source);
