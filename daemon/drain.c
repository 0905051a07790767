/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>

#include "event.h"
#include "internal.h"
#include "sweep.h"
#include "task.h"
#include "unit.h"

/* How often the drain looks whether flows are left. */
#define LOOK_USEC (50 * USEC_PER_MSEC)

/* How long flows that were closed may take to deliver their last bytes. */
#define CLOSING_USEC (3 * USEC_PER_SEC)

/* On top of what the drain may take: time for the way out. */
#define MARGIN_USEC (5 * USEC_PER_SEC)

static void refuse_new(struct task *task, struct worker *w) {
    for (struct endpoint_source *s = w->endpoints, *next; s; s = next) {
        next = s->next;
        if (s->endpoint->socket.type == SOCK_STREAM)
            worker_remove_endpoint(w, s->endpoint);
    }
}

/* Our own listening sockets go, so that clients are refused at once; those of systemd keep their queue for the next run. */
static void refused(struct task *task) {
    struct net *n = task->parts[0].worker->net;

    for (size_t i = 0; i < n->n_listeners; i++)
        for (size_t j = 0; j < n->listeners[i]->n_endpoints; j++) {
            struct endpoint *e = n->listeners[i]->endpoints[j];

            if (!e->passed && e->socket.type == SOCK_STREAM)
                endpoint_close(e);
        }
    task_end(task);
    free(task);
}

static int stop_accepting(struct net *n) {
    struct task *task = calloc(1, sizeof(*task));
    int r;

    if (!task)
        return -ENOMEM;
    *task = (struct task){ .begin = refuse_new, .done = refused };
    r = task_send_all(task, n);
    if (r < 0)
        free(task);
    return r;
}

static void on_closed(unsigned n_flows, void *userdata) {
    event_log(EVENT_DRAIN_ENDED, EVENT_NO_FIELDS, "drain_timeout is over: %u flow%s closed", n_flows,
              n_flows == 1 ? " was" : "s were");
}

static void close_flows(struct daemon *d) {
    const struct flow_selector all = { 0 };

    d->closing = true;
    d->drain_until_usec = loop_clock_usec() + CLOSING_USEC;
    if (sweep_close(d->net, &all, true, on_closed, d) < 0)
        (void) sd_event_exit(d->event, 0);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
    struct daemon *d = userdata;

    if (net_connections(d->net) == 0)
        return sd_event_exit(d->event, 0);
    if (loop_clock_usec() < d->drain_until_usec)
        return 0;
    if (d->closing)
        return sd_event_exit(d->event, 0);
    close_flows(d);
    return 0;
}

void drain_begin(struct daemon *d) {
    uint64_t timeout_usec = change_config(d->change)->daemon.drain_timeout_usec;
    char text[UNIT_TEXT_MAX];

    if (d->stopping) {
        event_log(EVENT_DRAIN_ENDED, EVENT_NO_FIELDS, "told to stop a second time: %u flow%s closed at once",
                  net_connections(d->net), net_connections(d->net) == 1 ? " is" : "s are");
        (void) sd_event_exit(d->event, 0);
        return;
    }
    d->stopping = true;
    notify_tell(&d->notify, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64, timeout_usec + CLOSING_USEC + MARGIN_USEC);
    event_log(EVENT_DAEMON_STOPPING, EVENT_NO_FIELDS, "stopping: %u flow%s may take %s to finish",
              net_connections(d->net), net_connections(d->net) == 1 ? "" : "s",
              unit_format_duration((int64_t) timeout_usec, text));
    control_set_state(d->control, CONTROL_DRAINING);
    change_stop(d->change);
    d->drain_until_usec = loop_clock_usec() + timeout_usec;
    if (stop_accepting(d->net) < 0 || service_every(d, LOOK_USEC, on_look) < 0)
        (void) sd_event_exit(d->event, 0);
}
