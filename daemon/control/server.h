/* SPDX-License-Identifier: MIT */
/*
 * The control socket: listens, lets clients in within the limits, owns their sessions. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "access.h"
#include "call.h"
#include "macro.h"
#include "session_limits.h"

struct server;

struct server_config {
    struct limits limits;
    struct access_policy policy;
    call_fn dispatch; /* gets every call that is well-formed, and owns it */
    void *userdata;
};

/* Serves nobody yet. The config is copied. 0 or negative errno. */
int server_new(sd_event *event, const struct server_config *config, struct server **ret) _must_check_;

/* Listens on the socket that systemd passed: taken on success, left alone in the file system.
 * -EINVAL: not a listening Unix stream socket. -EBUSY: it listens already. */
int server_listen_fd(struct server *s, int fd) _must_check_;
/* Binds `path` (mode 0666: access is decided for each call). With make_directory, a missing parent directory is made,
 * 0755. A socket that nobody answers on is replaced. -EADDRINUSE: somebody does; -EEXIST: something else than a socket
 * is there; -ENAMETOOLONG; -EBUSY as above; or another negative errno. */
int server_listen_path(struct server *s, const char *path, bool make_directory) _must_check_;

/* Makes a session of a connected socket, taken in any case. -EUSERS: no room for this client (told in the log). */
int server_add(struct server *s, int fd) _must_check_;
size_t server_sessions(const struct server *s);
/* No session, and nobody waits for one. */
bool server_idle(const struct server *s);

/* Ends all sessions and removes the path if it is still the socket that was bound. Accepts NULL, returns NULL. */
struct server *server_free(struct server *s);
