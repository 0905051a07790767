/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "event.h"
#include "forward.h"
#include "relay.h"
#include "session.h"

/* ---- events ---- */

static void tell(const struct forward *f, const struct upstream *u, enum upstream_turn turn, int error) {
    switch (turn) {
    case UPSTREAM_AS_BEFORE:
        return;
    case UPSTREAM_WENT_DOWN:
        event_log(EVENT_UPSTREAM_DOWN, EVENT_FIELDS({ FIELD_LISTENER, f->listener }, { FIELD_UPSTREAM, u->conf.text }),
                  "%s: upstream %s is put aside after %u failures: %s", f->listener, u->conf.text,
                  f->health.max_failures, strerror(-error));
        return;
    case UPSTREAM_CAME_UP:
        event_log(EVENT_UPSTREAM_UP, EVENT_FIELDS({ FIELD_LISTENER, f->listener }, { FIELD_UPSTREAM, u->conf.text }),
                  "%s: upstream %s is back", f->listener, u->conf.text);
        return;
    }
}

void forward_connected(struct forward *f, struct upstream *u, unsigned worker, uint64_t took_usec) {
    upstream_count(&u->counters[worker].connected, 1);
    upstream_count(&u->counters[worker].connect_usec, took_usec);
    tell(f, u, upstream_succeeded(u), 0);
}

void forward_failed(struct forward *f, struct upstream *u, unsigned worker, int error, uint64_t now_usec) {
    upstream_count(&u->counters[worker].failed, 1);
    event_log(EVENT_UPSTREAM_FAILED, EVENT_FIELDS({ FIELD_LISTENER, f->listener }, { FIELD_UPSTREAM, u->conf.text }),
              "%s: upstream %s did not take a flow: %s", f->listener, u->conf.text, strerror(-error));
    tell(f, u, upstream_failed(u, &f->health, now_usec), error);
}

/* ---- the target ---- */

static void stop(void *state) {
    struct forward *f = state;

    for (size_t i = 0; i < f->n_upstreams; i++)
        upstream_unref(f->upstreams[i]);
    free(f->upstreams);
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
        .upstreams = calloc(c->n_upstreams + 1, sizeof(*f->upstreams)),
    };
    memcpy(f->dscp_map, c->dscp_map, sizeof(f->dscp_map));
    pthread_mutex_init(&f->lock, NULL);
    if (!f->listener || !f->upstreams) {
        stop(f);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

/* What the listener forwarded to so far: its counters and its state go on. */
static struct upstream *find(const struct forward *f, const char *text) {
    for (size_t i = 0; f && i < f->n_upstreams; i++)
        if (streq(f->upstreams[i]->conf.text, text))
            return f->upstreams[i];
    return NULL;
}

static int take_over(void *state, const struct config_listener *conf, unsigned n_workers, void *before) {
    struct forward *f = state;

    for (size_t i = 0; i < conf->forward->n_upstreams; i++) {
        const struct config_upstream *c = &conf->forward->upstreams[i];
        struct upstream *u = find(before, c->text);
        int r = 0;

        if (u)
            upstream_ref(u);
        else
            r = upstream_new(c, n_workers, &u);
        if (r < 0)
            return r;
        f->upstreams[f->n_upstreams++] = u;
    }
    return 0;
}

const struct target_ops target_forward = {
    .name = "forward",
    .start = start,
    .take_over = take_over,
    .stop = stop,
    .engine = &relay_engine,
    .datagrams = &forward_datagrams,
};
