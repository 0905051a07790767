/* SPDX-License-Identifier: MIT */
#include "event.h"
#include "internal.h"
#include "quiet.h"
#include "unit.h"

/* What has not to do with the sockets of listeners. A runtime change would be lost. */
static bool has_work(const struct daemon *d) {
    return d->stopping || !change_idle(d->change) || change_runtime_values(d->change) > 0 ||
           !server_idle(control_server(d->control));
}

/* Has anything been counted since the last look? */
static bool has_moved(struct daemon *d) {
    struct stats_snapshot now;
    bool moved;

    service_totals(d, &now);
    moved = stats_differ(&now, &d->idle_totals);
    d->idle_totals = now;
    return moved;
}

static bool on_quiet(bool quiet, void *userdata) {
    struct daemon *d = userdata;
    char text[UNIT_TEXT_MAX];

    d->idle_asking = false;
    if (has_moved(d) || !quiet || has_work(d)) {
        d->idle_since_usec = loop_clock_usec();
        return false;
    }
    notify_tell(&d->notify, "STOPPING=1");
    event_log(EVENT_DAEMON_IDLE, EVENT_NO_FIELDS, "no flows and no traffic for %s: ending until something comes",
              unit_format_duration((int64_t) change_config(d->change)->daemon.exit_on_idle_usec, text));
    (void) sd_event_exit(d->event, 0);
    return true;
}

void idle_tend(struct daemon *d) {
    uint64_t limit_usec = change_config(d->change)->daemon.exit_on_idle_usec, now_usec = loop_clock_usec();

    if (d->idle_asking)
        return;
    if (has_moved(d) || limit_usec == 0 || net_flows(d->net) > 0 || has_work(d))
        d->idle_since_usec = now_usec;
    else if (now_usec - d->idle_since_usec >= limit_usec)
        d->idle_asking = quiet_ask(d->net, on_quiet, d) >= 0;
}
