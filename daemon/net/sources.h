/* SPDX-License-Identifier: MIT */
/*
 * Buckets of rate_limit_per_source where no flow exists that could hold them: UDP endpoints whose target takes payloads. A table
 * of fixed size: a source that is not in it takes the place of the one whose bucket is the fullest of its set, and a full
 * bucket is like none. One worker.
 */
#pragma once

#include "bucket.h"

struct sources;

struct sources *sources_new(void) _must_check_;  /* NULL when out of memory */
struct sources *sources_free(struct sources *t); /* accepts NULL, returns NULL */
/* Before others: the limit that its buckets have. When it is another one than before, all are full again. */
void sources_use(struct sources *t, const struct rate_limit *limit);
/* By address_key(); valid until the next call. */
struct bucket *sources_find(struct sources *t, const uint8_t key[static 16]);
