/* SPDX-License-Identifier: MIT */
/*
 * A bounded queue of byte records with several lanes, the first lane first: many threads put, one takes. The lanes'
 * memory is taken once; putting copies and never waits for the taker. One mutex and one condition guard all of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "macro.h"

struct ring;

/* A ring with a lane of each of these sizes. `record_max` is the longest record, which fits into every lane.
 * 0, -EINVAL, or -ENOMEM. */
int ring_new(const size_t *lane_bytes, size_t n_lanes, size_t record_max, struct ring **ret) _must_check_;
/* Nobody may use it any more. Accepts NULL, returns NULL. */
struct ring *ring_free(struct ring *ring);
DEFINE_CLEANUP(struct ring *, ring_free)

/* Appends a record gathered from `iov`. 0, -ENOBUFS (lane full: dropped and counted), -EMSGSIZE (longer than
 * record_max), or -ESHUTDOWN (closed). Any thread. */
int ring_put(struct ring *ring, size_t lane, const struct iovec *iov, size_t n_iov) _must_check_;

/* Takes the oldest record of the first lane that has one into `buf` (record_max bytes) and returns its length. Waits
 * until `deadline_usec` (CLOCK_MONOTONIC, UINT64_MAX: for ever): -ETIMEDOUT. -ESHUTDOWN when closed and empty.
 * Taking thread only. */
ssize_t ring_take(struct ring *ring, void *buf, uint64_t deadline_usec) _must_check_;

/* How many records a full lane dropped since the last call. With `only_if_empty`, 0 as long as records wait in it. */
uint64_t ring_take_drops(struct ring *ring, size_t lane, bool only_if_empty);

/* Accepts no more records; the taker still gets those that wait. Any thread. */
void ring_close(struct ring *ring);
/* Closes, forgets what waits, and returns how many records are lost: waiting, and dropped but not asked for yet. */
uint64_t ring_discard(struct ring *ring);
