/* SPDX-License-Identifier: MIT */
/*
 * Decompression of one leg: its stream may be several members (RFC 1952, 2.2), one after the other, and each has a decoder of its
 * own. On the worker that owns the flow.
 */
#pragma once

#include "flow.h"

/* Before more is decoded: begins a member if none is under way. 0, -ENOMEM. */
int members_next(struct leg_coding *c, enum coding id) _must_check_;
/* After some was decoded, out of `in` bytes of the leg: NULL, or which setting of `set` that is too much for ("more than
 * decompression_max_ratio in", to be followed by what it was; static). */
const char *members_exceed(const struct leg_coding *c, const struct settings *set, uint64_t in);
/* The stream ends: is a member under way? */
bool members_truncated(const struct leg_coding *c);
