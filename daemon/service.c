/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "event.h"
#include "internal.h"
#include "removed.h"
#include "sweep.h"
#include "unit.h"

#define HOUSEKEEPING_USEC USEC_PER_SEC

/* ---- STATUS= ---- */

void service_totals(const struct daemon *d, struct stats_snapshot *ret) {
    struct stats_snapshot totals = { 0 };

    for (size_t i = 0; i < d->net->n_listeners; i++) {
        struct stats_snapshot one;

        listener_stats(d->net->listeners[i], &one);
        for (unsigned k = 0; k < STAT_MAX; k++)
            totals.counter[k] += one.counter[k];
    }
    *ret = totals;
}

static double rate(const struct daemon *d, const struct stats_snapshot *now, enum counter id, uint64_t now_usec) {
    uint64_t passed_usec = MAX(now_usec - d->status_usec, (uint64_t) 1);

    /* A listener that went takes its counters along. */
    if (now->counter[id] < d->status_totals.counter[id])
        return 0;
    return (double) (now->counter[id] - d->status_totals.counter[id]) * (double) USEC_PER_SEC / (double) passed_usec;
}

static void tell_status(struct daemon *d) {
    uint64_t now_usec = loop_clock_usec();
    struct stats_snapshot totals;
    char *text;

    service_totals(d, &totals);
    if (asprintf(&text, "%s: %zu listener%s, %u flow%s, %.0f payloads/s, %.1f kB/s in, %.1f kB/s out",
                 d->stopping ? "Draining" : "Serving", d->net->n_listeners, d->net->n_listeners == 1 ? "" : "s",
                 net_flows(d->net), net_flows(d->net) == 1 ? "" : "s", rate(d, &totals, STAT_PAYLOADS, now_usec),
                 rate(d, &totals, STAT_RX_BYTES, now_usec) / 1000,
                 rate(d, &totals, STAT_TX_BYTES, now_usec) / 1000) < 0)
        return;
    if (!d->status || !streq(text, d->status))
        notify_tell(&d->notify, "STATUS=%s", text);
    free(d->status);
    d->status = text;
    d->status_usec = now_usec;
    d->status_totals = totals;
}

/* ---- summaries ---- */

static void tell_stats(struct listener *l) {
    struct event_field fields[STAT_MAX + 3] = { { FIELD_LISTENER, l->name, 0 } };
    char names[STAT_MAX][48], values[STAT_MAX][24], flows[16];
    struct stats_snapshot now;
    unsigned n = 1;

    listener_stats(l, &now);
    if (!stats_differ(&now, &l->reported))
        return;
    for (unsigned id = 0; id < STAT_MAX; id++) {
        if (now.counter[id] == 0)
            continue;
        snprintf(names[id], sizeof(names[id]), "SOCKQ_%s", stat_name(id));
        for (char *c = names[id]; *c; c++)
            if (*c >= 'a' && *c <= 'z')
                *c = (char) (*c - 'a' + 'A');
        snprintf(values[id], sizeof(values[id]), "%" PRIu64, now.counter[id]);
        fields[n++] = (struct event_field){ names[id], values[id], 0 };
    }
    snprintf(flows, sizeof(flows), "%u", listener_flows(l));
    fields[n] = (struct event_field){ "SOCKQ_FLOWS", flows, 0 };
    event_log(EVENT_STATS, fields,
              "%s: %s flows, %" PRIu64 " payloads (+%" PRIu64 "), %" PRIu64 " bytes in (+%" PRIu64 "), %" PRIu64
              " bytes out (+%" PRIu64 ")",
              l->name, flows, now.counter[STAT_PAYLOADS],
              now.counter[STAT_PAYLOADS] - l->reported.counter[STAT_PAYLOADS], now.counter[STAT_RX_BYTES],
              now.counter[STAT_RX_BYTES] - l->reported.counter[STAT_RX_BYTES], now.counter[STAT_TX_BYTES],
              now.counter[STAT_TX_BYTES] - l->reported.counter[STAT_TX_BYTES]);
    l->reported = now;
}

static void tell_all_stats(struct daemon *d) {
    uint64_t interval_usec = change_config(d->change)->daemon.stats_interval_usec;
    uint64_t now_usec = loop_clock_usec();

    if (interval_usec == 0 || now_usec - d->stats_usec < interval_usec)
        return;
    d->stats_usec = now_usec;
    for (size_t i = 0; i < d->net->n_listeners; i++)
        tell_stats(d->net->listeners[i]);
}

/* ---- housekeeping ---- */

static int on_housekeeping(sd_event_source *source, uint64_t usec, void *userdata) {
    struct daemon *d = userdata;

    for (size_t i = 0; i < d->net->n_listeners; i++) {
        struct listener *l = d->net->listeners[i];

        if (l->view && l->view->target->ops->tick)
            l->view->target->ops->tick(l->view->target->state);
    }
    removed_tend(d->net, loop_clock_usec(), change_config(d->change)->daemon.drain_timeout_usec);
    tell_status(d);
    tell_all_stats(d);
    idle_tend(d);
    return 0;
}

/* ---- watchdog ---- */

static void on_pinged(unsigned n_flows, void *userdata) {
    struct daemon *d = userdata;

    d->ping_answered = true;
    notify_tell(&d->notify, "WATCHDOG=1");
}

/* The service manager hears of us only when every worker has answered. */
static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata) {
    struct daemon *d = userdata;

    if (!d->ping_answered) {
        event_log(EVENT_WORKER_STUCK, EVENT_NO_FIELDS,
                  "a worker has not answered for %" PRIu64 " ms; the watchdog is not told that all is well",
                  d->watchdog_usec / USEC_PER_MSEC);
        return 0;
    }
    d->ping_answered = false;
    if (sweep_ping(d->net, on_pinged, d) < 0)
        d->ping_answered = true;
    return 0;
}

/* ---- */

struct repeating {
    struct daemon *daemon;
    uint64_t usec;
    sd_event_time_handler_t fn;
};

static int on_repeat(sd_event_source *source, uint64_t usec, void *userdata) {
    struct repeating *r = userdata;
    int result = r->fn(source, usec, r->daemon);

    if (result < 0)
        return result;
    /* From now, not from when it was due: after a pause of the machine once is enough. */
    return sd_event_source_set_time_relative(source, r->usec);
}

int service_every(struct daemon *d, uint64_t usec, sd_event_time_handler_t fn) {
    struct repeating *r = malloc(sizeof(*r));
    sd_event_source *source;
    int result;

    if (!r)
        return -ENOMEM;
    *r = (struct repeating){ d, usec, fn };
    result = sd_event_add_time_relative(d->event, &source, CLOCK_MONOTONIC, usec, usec / 10, on_repeat, r);
    if (result < 0) {
        free(r);
        return result;
    }
    (void) sd_event_source_set_destroy_callback(source, free);
    (void) sd_event_source_set_enabled(source, SD_EVENT_ON);
    (void) sd_event_source_set_floating(source, true);
    sd_event_source_unref(source);
    return 0;
}

int service_begin(struct daemon *d) {
    uint64_t usec;
    int r = sd_watchdog_enabled(0, &usec);

    if (r > 0) {
        d->ping_answered = true;
        d->watchdog_usec = usec / 3;
        r = service_every(d, d->watchdog_usec, on_watchdog);
    }
    if (r < 0)
        return r;
    d->status_usec = d->stats_usec = d->idle_since_usec = loop_clock_usec();
    return service_every(d, HOUSEKEEPING_USEC, on_housekeeping);
}

void service_ready(struct daemon *d) {
    notify_tell(&d->notify, "READY=1");
    tell_status(d);
}

void service_reloading(struct daemon *d) {
    notify_tell(&d->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, loop_clock_usec());
}
