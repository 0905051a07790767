/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told (sd_notify(3), the protocol). sd_notify() opens a socket each time, which fails when
 * clients have taken every descriptor: then the watchdog would end a daemon that works. This one keeps its socket.
 * Main thread.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "macro.h"

struct notify {
    int fd; /* negative: nobody is to be told */
    struct sockaddr_un address;
    socklen_t address_size;
};

/* Reads $NOTIFY_SOCKET. 0, also where there is none; -EINVAL: neither a path nor an abstract name; -E2BIG: too long;
 * -errno. After an error nobody is told. */
int notify_open(struct notify *n) _must_check_;
void notify_close(struct notify *n);
/* "KEY=value" lines. Nothing can be done about a failure. */
_printf_(2, 3) void notify_tell(const struct notify *n, const char *format, ...);
