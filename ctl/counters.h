/* SPDX-License-Identifier: MIT */
/*
 * Counters of listeners (ListenerStats of org.sockq.Control) as one flat list, and what moved between two samples.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "macro.h"

/* All numbers of one listener by name, in the daemon's order: "flows", the counters, "dscp_received.EF",
 * "ecn_received.CE". NULL when out of memory. */
json_t *counters_flatten(const json_t *listener_stats) _must_check_;

/* Rises and falls; the others only rise, and start again at 0 with the daemon. */
bool counters_is_gauge(const char *name);

/* Array of { listener, counter, change, total } for what differs between two replies of Stats. A listener that was not
 * there before counts from 0. NULL when out of memory. */
json_t *counters_moved(const json_t *before, const json_t *now) _must_check_;
