/* SPDX-License-Identifier: MIT */
#include "handlers.h"

#define METHOD(name) VARLINK_INTERFACE "." name

const struct method control_methods[] = {
    { METHOD("Status"), ACCESS_LOOK, 0, handle_status, NULL },
    { METHOD("Listeners"), ACCESS_LOOK, 0, handle_listeners, NULL },
    { METHOD("Show"), ACCESS_LOOK, 0, handle_show, show_parameters },
    { METHOD("Get"), ACCESS_LOOK, 0, handle_get, get_parameters },
    { METHOD("Set"), ACCESS_CHANGE, 0, handle_set, set_parameters },
    { METHOD("Unset"), ACCESS_CHANGE, 0, handle_unset, unset_parameters },
    { METHOD("Flows"), ACCESS_LOOK, METHOD_MORE, handle_flows, flows_parameters },
    { METHOD("Close"), ACCESS_CHANGE, 0, handle_close, flows_parameters },
    { METHOD("Upstreams"), ACCESS_LOOK, 0, handle_upstreams, upstreams_parameters },
    { METHOD("SetUpstreamState"), ACCESS_CHANGE, 0, handle_set_upstream_state, set_upstream_state_parameters },
    { METHOD("AddUpstream"), ACCESS_CHANGE, 0, handle_add_upstream, change_upstream_parameters },
    { METHOD("RemoveUpstream"), ACCESS_CHANGE, 0, handle_remove_upstream, change_upstream_parameters },
    { METHOD("Stats"), ACCESS_LOOK, 0, handle_stats, stats_parameters },
    { METHOD("Monitor"), ACCESS_LOOK, METHOD_MORE, handle_monitor, monitor_parameters },
    { METHOD("Reload"), ACCESS_CHANGE, 0, handle_reload, NULL },
    { METHOD("SetLogLevel"), ACCESS_CHANGE, 0, handle_set_log_level, set_log_level_parameters },
    { NULL, ACCESS_ANY, 0, NULL, NULL },
};
