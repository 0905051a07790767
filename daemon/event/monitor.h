/* SPDX-License-Identifier: MIT */
/*
 * The one subscriber of event_set_monitor(), called with what is told.
 */
#pragma once

#include "event.h"

/* Event thread. */
void monitor_call(const struct event_record *record);
