/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "forward.h"
#include "relay.h"
#include "session.h"

static void stop(void *state) {
    struct forward *f = state;

    forward_drop_all(f);
    cidr_list_unref(f->accept_proxy);
    pthread_mutex_destroy(&f->lock);
    free(f->listener);
    free(f);
}

static int start(const struct config_listener *conf, void **ret) {
    const struct config_forward *c = conf->forward;
    struct forward *f = calloc(1, sizeof(*f));

    if (!f)
        return -ENOMEM;
    *f = (struct forward){
        .listener = strdup(conf->name),
        .balance = c->balance,
        .proxy_protocol = c->proxy_protocol,
        .accept_proxy = cidr_list_ref(c->accept_proxy),
        .source = c->source,
        .source_address = c->source_address,
        .health = { (unsigned) c->max_failures, (uint64_t) c->failure_window_usec, (uint64_t) c->retry_after_usec },
        .check_interval_usec = (uint64_t) c->check_interval_usec,
    };
    memcpy(f->dscp_map, c->dscp_map, sizeof(f->dscp_map));
    pthread_mutex_init(&f->lock, NULL);
    if (!f->listener) {
        stop(f);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

static int take_over(void *state, const struct config_listener *conf, unsigned n_workers, void *before) {
    struct forward *f = state;

    f->n_workers = n_workers;
    return forward_fill(f, conf->forward, before);
}

const struct target_ops target_forward = {
    .name = "forward",
    .start = start,
    .take_over = take_over,
    .stop = stop,
    .engine = &relay_engine,
    .datagrams = &forward_datagrams,
};

struct forward *forward_of_target(const struct target *t) {
    return t->ops == &target_forward ? t->state : NULL;
}
