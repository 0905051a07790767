/* SPDX-License-Identifier: MIT */
/*
 * The clients that watch events. The event thread copies each record into a bounded queue; the main thread hands it to
 * every client that asked for its level. A client that is slow loses events, and is told how many; so does everybody
 * when the queue is full. Payload entries are left out: they are contents, and would crowd out what happens.
 * Main thread.
 */
#pragma once

#include <systemd/sd-event.h>

#include "call.h"
#include "macro.h"

#define MONITORS_QUEUE_BYTES (512 * 1024)

struct monitors;

/* 0 or negative errno. */
int monitors_new(sd_event *event, struct monitors **ret) _must_check_;
/* Watches from now on, records of `max_priority` or more important. Owns the call. */
void monitors_add(struct monitors *m, struct call *call, int max_priority);
/* All sessions must be gone. Accepts NULL, returns NULL. */
struct monitors *monitors_free(struct monitors *m);
