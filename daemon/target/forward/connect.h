/* SPDX-License-Identifier: MIT */
/*
 * What reaching an upstream is for TCP and UDP alike.
 */
#pragma once

#include "forward.h"

/* Binds a socket of this family to the source that the upstream shall see: nothing, an address, or the client's own. Before
 * connect(). 0; -EAFNOSUPPORT: the source is of another family; -EPERM: transparent sockets need CAP_NET_ADMIN; -errno. */
int connect_bind_source(const struct forward *forward, const struct address *client, int fd, int domain) _must_check_;
