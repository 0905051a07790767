/* SPDX-License-Identifier: MIT */
/* Sends each payload back. */
#include "targets.h"

static void on_payload(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
    *ret_reply = payload->span;
}

const struct target_ops target_echo = { .name = "echo", .replies = true, .payload = on_payload };
