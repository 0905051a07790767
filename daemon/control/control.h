/* SPDX-License-Identifier: MIT */
/*
 * The control socket and its methods (org.sockq.Control), as daemon.c sees them. Main thread.
 */
#pragma once

#include <systemd/sd-event.h>

#include "change.h"
#include "net.h"
#include "server.h"
#include "session_limits.h"

struct control;

/* For `status`. */
enum control_state {
    CONTROL_SERVING,
    CONTROL_RELOADING,
    CONTROL_DRAINING,
    CONTROL_STATE_MAX,
};

/* `net` and `change` are borrowed; listen only after change_begin(). Looks the groups up. 0 or negative errno. */
int control_new(sd_event *event, const struct limits *limits, struct net *net, struct change *change,
                struct control **ret) _must_check_;
/* Where to listen: server_listen_fd() or server_listen_path(). */
struct server *control_server(struct control *c);
/* A reload over the socket sets RELOADING itself while it lasts. */
void control_set_state(struct control *c, enum control_state state);
/* Closes all sessions. What `net` and `change` were asked for must not be reported afterwards: stop them first
 * (change_stop(), net_stop()), free them later. Accepts NULL, returns NULL. */
struct control *control_free(struct control *c);
