/* SPDX-License-Identifier: MIT */
/*
 * What became of a change on many sockets: counts per key and the distinct values read back. Workers fill one each,
 * the main thread merges them. Plain data, one thread at a time; fixed size.
 */
#pragma once

#include "qos.h"

#define TALLY_VALUES_MAX 4 /* distinct values kept a key; further ones count into the last */

struct tally_key {
    unsigned applied_endpoints, applied_flows;
    unsigned deferred, not_applicable, failed;
    int error;          /* the first one */
    const char *reason; /* static; the first one */
    struct {
        union setting_value value;
        unsigned sockets;
    } values[TALLY_VALUES_MAX];
    unsigned n_values;
};

struct tally {
    struct tally_key key[SETTING_MAX];
};

/* Zero-initialised is empty. */
void tally_add(struct tally *t, enum setting_id id, const struct qos_result *result, bool endpoint);
void tally_merge(struct tally *into, const struct tally *from);
unsigned tally_failed(const struct tally *t);
/* The outcome of a key: failed if any failed; deferred if flows were deferred and none took it; applied if any took
 * it. */
enum qos_outcome tally_outcome(const struct tally_key *k);
/* Empties it, and releases what the values own. */
void tally_key_done(struct tally_key *k, enum setting_id id);
void tally_done(struct tally *t);
