/* SPDX-License-Identifier: MIT */
#include "health.h"

#include <errno.h>

#include "event.h"
#include "forward.h"

static void tell_down(const char *listener, const struct upstream *u, const struct upstream_health *health, int error) {
    event_log(EVENT_UPSTREAM_DOWN, EVENT_FIELDS({ FIELD_LISTENER, listener }, { FIELD_UPSTREAM, u->conf.text }),
              "%s: upstream %s is put aside after %u failure%s: %s", listener, u->conf.text, health->max_failures,
              health->max_failures == 1 ? "" : "s", strerror(-error));
}

void health_passed(const char *listener, struct upstream *u) {
    if (upstream_succeeded(u) == UPSTREAM_CAME_UP)
        event_log(EVENT_UPSTREAM_UP, EVENT_FIELDS({ FIELD_LISTENER, listener }, { FIELD_UPSTREAM, u->conf.text }),
                  "%s: upstream %s is back", listener, u->conf.text);
}

void health_failed(const char *listener, struct upstream *u, const struct upstream_health *health, int error,
                   uint64_t now_usec) {
    if (upstream_failed(u, health, error, now_usec) == UPSTREAM_WENT_DOWN)
        tell_down(listener, u, health, error);
}

/* ---- of flows ---- */

void forward_connected(struct forward *f, struct upstream *u, unsigned worker, uint64_t took_usec) {
    upstream_count(&u->counters[worker].connected, 1);
    upstream_count(&u->counters[worker].connect_usec, took_usec);
    health_passed(f->listener, u);
}

/* Something that we lack says nothing about the upstream. */
static bool is_ours(int error) {
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EPERM:
    case EACCES:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return true;
    default:
        return false;
    }
}

void forward_failed(struct forward *f, struct upstream *u, unsigned worker, int error, uint64_t now_usec) {
    upstream_count(&u->counters[worker].failed, 1);
    event_log(EVENT_UPSTREAM_FAILED, EVENT_FIELDS({ FIELD_LISTENER, f->listener }, { FIELD_UPSTREAM, u->conf.text }),
              "%s: upstream %s did not take a flow: %s%s", f->listener, u->conf.text, strerror(-error),
              error == -EPERM && f->source == FORWARD_SOURCE_CLIENT ? "; source = \"client\" needs CAP_NET_ADMIN" : "");
    if (!is_ours(error))
        health_failed(f->listener, u, &f->health, error, now_usec);
}
