/* SPDX-License-Identifier: MIT */
/* Answers each payload with a fixed reply. */
#include <errno.h>

#include "targets.h"

static int start(const struct config_listener *conf, void **ret) {
    *ret = strdup(conf->reply);
    return *ret ? 0 : -ENOMEM;
}

static void on_payload(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
    *ret_reply = (struct span){ state, strlen(state) };
}

const struct target_ops target_ack = { .name = "ack", .start = start, .stop = free, .payload = on_payload };
