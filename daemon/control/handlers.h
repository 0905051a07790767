/* SPDX-License-Identifier: MIT */
/*
 * The methods of org.sockq.Control, one file a family. The table in table.c says who may call them and with what; each
 * handler's contract is its text in org.sockq.Control.varlink. Main thread.
 */
#pragma once

#include "methods.h"

/* Ends with a NULL name. The userdata of the handlers is the struct control. */
extern const struct method control_methods[];

/* look.c */
extern const struct parameter show_parameters[], get_parameters[], stats_parameters[];
void handle_status(struct call *call, const void *parameters, void *userdata);
void handle_listeners(struct call *call, const void *parameters, void *userdata);
void handle_show(struct call *call, const void *parameters, void *userdata);
void handle_get(struct call *call, const void *parameters, void *userdata);
void handle_stats(struct call *call, const void *parameters, void *userdata);

/* change.c */
extern const struct parameter set_parameters[], unset_parameters[], set_log_level_parameters[];
void handle_set(struct call *call, const void *parameters, void *userdata);
void handle_unset(struct call *call, const void *parameters, void *userdata);
void handle_reload(struct call *call, const void *parameters, void *userdata);
void handle_set_log_level(struct call *call, const void *parameters, void *userdata);

/* flows.c */
extern const struct parameter flows_parameters[];
void handle_flows(struct call *call, const void *parameters, void *userdata);
void handle_close(struct call *call, const void *parameters, void *userdata);

/* upstreams.c */
extern const struct parameter upstreams_parameters[], change_upstream_parameters[], set_upstream_state_parameters[];
void handle_upstreams(struct call *call, const void *parameters, void *userdata);
void handle_set_upstream_state(struct call *call, const void *parameters, void *userdata);
void handle_add_upstream(struct call *call, const void *parameters, void *userdata);
void handle_remove_upstream(struct call *call, const void *parameters, void *userdata);

/* monitor.c */
extern const struct parameter monitor_parameters[];
void handle_monitor(struct call *call, const void *parameters, void *userdata);
