/* SPDX-License-Identifier: MIT */
/* Answers each payload with a fixed reply. */
#include <errno.h>

#include "targets.h"

static int start(const struct config_listener *conf, void **ret) {
    struct span *reply = malloc(sizeof(*reply) + strlen(conf->reply));

    if (!reply)
        return -ENOMEM;
    *reply = (struct span){ reply + 1, strlen(conf->reply) };
    memcpy(reply + 1, conf->reply, reply->size);
    *ret = reply;
    return 0;
}

static void on_payload(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
    *ret_reply = *(const struct span *) state;
}

const struct target_ops target_ack = {
    .name = "ack", .replies = true, .start = start, .stop = free, .payload = on_payload
};
