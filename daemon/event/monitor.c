/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "monitor.h"

/* Held during the call, so that event_set_monitor() returns only when the old callback does not run any more. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static event_monitor_fn monitor;
static void *monitor_userdata;

void event_set_monitor(event_monitor_fn fn, void *userdata) {
    pthread_mutex_lock(&lock);
    monitor = fn;
    monitor_userdata = userdata;
    pthread_mutex_unlock(&lock);
}

void monitor_call(const struct event_record *record) {
    pthread_mutex_lock(&lock);
    if (monitor)
        monitor(record, monitor_userdata);
    pthread_mutex_unlock(&lock);
}
