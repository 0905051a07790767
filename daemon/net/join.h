/* SPDX-License-Identifier: MIT */
/*
 * Multicast groups that UDP endpoints belong to, from a listener's `join` list: ip(7), ipv6(7). An IPv4 group fits IPv4
 * sockets and those of IPv6 that take IPv4 as well. Main thread.
 *
 * Like all of a plan in two steps: join_prepare() joins what is new; then join_commit() leaves what is not wanted any
 * more, or join_abort() what is new.
 */
#pragma once

#include "listener.h"

/* The groups of `list` that fit the endpoint. A socket that belongs to one already, from an earlier run, is fine. 0, or
 * -errno with *ret_failed, the entry that cannot be joined, or NULL. */
int join_prepare(struct endpoint *e, const struct config_join *list, size_t n,
                 const struct config_join **ret_failed) _must_check_;
/* Would this endpoint take part in the group? */
bool join_fits(const struct endpoint *e, const struct config_join *join);
void join_commit(struct endpoint *e);
void join_abort(struct endpoint *e);
/* The endpoint does not belong to the listener any more: leaves every group. */
void join_leave_all(struct endpoint *e);
