/* SPDX-License-Identifier: MIT */
#include "removed.h"

#include "event.h"
#include "sweep.h"

/* How long flows that are finished in order may take to deliver their last bytes. */
#define CLOSING_USEC (3 * USEC_PER_SEC)

static void ignore_closed(unsigned n_flows, void *userdata) {
}

static void close_flows(struct net *n, struct listener *l, uint64_t now_usec) {
    const struct flow_selector all = { .listener = l };

    if (sweep_close(n, &all, !l->closing, ignore_closed, NULL) < 0)
        return; /* the next time */
    l->closing = true;
    l->drain_until_usec = now_usec + CLOSING_USEC;
}

static void tend(struct net *n, struct listener *l, uint64_t now_usec, uint64_t timeout_usec) {
    if (l->n_endpoints > 0)
        return; /* workers have not let go of them yet */
    if (listener_flows(l) == 0) {
        event_log(EVENT_LISTENER_REMOVED, EVENT_FIELDS({ FIELD_LISTENER, l->name }), "listener %s has gone", l->name);
        net_drop_listener(n, l);
    } else if (l->drain_until_usec == 0) {
        l->drain_until_usec = now_usec + timeout_usec;
    } else if (now_usec >= l->drain_until_usec) {
        close_flows(n, l, now_usec);
    }
}

void removed_tend(struct net *n, uint64_t now_usec, uint64_t timeout_usec) {
    for (size_t i = n->n_listeners; i-- > 0;)
        if (n->listeners[i]->draining)
            tend(n, n->listeners[i], now_usec, timeout_usec);
}
