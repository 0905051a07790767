/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the top floor: daemon.c (start and stop), service.c (the service manager's view, timers), drain.c (the way
 * out), idle.c (the way out when nothing comes).
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "change.h"
#include "control.h"
#include "daemon.h"
#include "net.h"
#include "notify.h"
#include "stats.h"

struct daemon {
    sd_event *event;
    struct net *net;
    struct change *change;
    struct control *control;
    int file_log_level; /* as the files in force say */
    int control_fd;     /* passed, until the control room takes it */
    struct notify notify;
    /* service.c */
    char *status; /* last told */
    uint64_t status_usec, stats_usec;
    struct stats_snapshot status_totals;
    uint64_t watchdog_usec;
    bool ping_answered;
    /* idle.c */
    uint64_t idle_since_usec;
    struct stats_snapshot idle_totals;
    bool idle_asking;
    /* drain.c */
    bool stopping, closing;
    uint64_t drain_until_usec;
};

/* Timers: status line, listener summaries, watchdog, housekeeping. 0 or -errno. */
int service_begin(struct daemon *d) _must_check_;
void service_ready(struct daemon *d);
void service_reloading(struct daemon *d);

/* Calls `fn` again and again; it returns 0, or a negative errno to end the loop. */
int service_every(struct daemon *d, uint64_t usec, sd_event_time_handler_t fn) _must_check_;

/* Counters of all listeners, added up. */
void service_totals(const struct daemon *d, struct stats_snapshot *ret);

/* Looks whether exit_on_idle is over, and ends the event loop if nothing is left to be done; called every second. */
void idle_tend(struct daemon *d);

/* SIGTERM: stops accepting, lets flows finish, then ends the event loop. The second time: ends it now. */
void drain_begin(struct daemon *d);
