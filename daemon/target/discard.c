/* SPDX-License-Identifier: MIT */
/* Counts and drops: the counting is done by whoever hands payloads over. */
#include "targets.h"

static void on_payload(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
}

const struct target_ops target_discard = { .name = "discard", .payload = on_payload };
