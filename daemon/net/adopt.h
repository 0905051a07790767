/* SPDX-License-Identifier: MIT */
/*
 * Taking over the sockets that the service manager passed: sd_listen_fds_with_names(3). Main thread, once, before
 * listeners are made.
 */
#pragma once

#include "net.h"

#define ADOPT_CONTROL_NAME "varlink"           /* the control socket's FileDescriptorName */
#define ADOPT_BASELINES_NAME "sockq-baselines" /* the memfd in the file descriptor store */

struct adopted {
    int control_fd;   /* -EBADF: none was passed; otherwise owned by the caller */
    unsigned refused; /* fds of the wrong kind: told by EVENT_SOCKET_REFUSED, by name */
};

/* Fills n->unclaimed. Options that an earlier run of the daemon left on a passed socket are put back first; what is found is
 * remembered in a memfd in the file descriptor store. 0 or -errno. */
int adopt_sockets(struct net *n, struct adopted *ret) _must_check_;
