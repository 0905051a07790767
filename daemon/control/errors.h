/* SPDX-License-Identifier: MIT */
/*
 * The errors of org.sockq.Control: each ends the call. Main thread.
 */
#pragma once

#include <jansson.h>

#include "call.h"
#include "change.h"
#include "config.h"
#include "listener.h"

/* With the nearest name of the configuration. */
void error_no_such_listener(struct call *call, const struct config *config, const char *name);
void error_no_such_profile(struct call *call, const struct config *config, const char *name);
void error_no_such_setting(struct call *call, const char *name);
void error_no_such_flow(struct call *call, const char *flow);
/* With the nearest one of the listener, whose target is forward. */
void error_no_such_upstream(struct call *call, const struct listener *l, const char *name);
void error_invalid_upstream(struct call *call, const char *upstream, const char *reason);
/* The lists are handed over; NULL: out of memory. */
void error_invalid_settings(struct call *call, json_t *faults);
void error_change_failed(struct call *call, json_t *keys, unsigned undo_failed);
void error_configuration_invalid(struct call *call, const struct config_faults *faults);
void error_invalid_selector(struct call *call, const char *selector, const char *reason);
void error_busy(struct call *call, const char *reason);
