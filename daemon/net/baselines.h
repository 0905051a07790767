/* SPDX-License-Identifier: MIT */
/*
 * What was found on each passed socket, remembered across restarts of the daemon: systemd holds the sockets, so an
 * option that was set on one outlives the daemon that set it. Kept as JSON in a memfd in the service manager's file
 * descriptor store, by SO_COOKIE. Main thread.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "macro.h"
#include "qos.h"

/* Reads the memfd of an earlier run: an object, empty when there is none or it makes no sense. NULL: out of memory. */
json_t *baselines_read(int fd) _must_check_;
/* 0, or -ENOENT when this socket was not known to the earlier run. */
int baselines_find(const json_t *b, uint64_t cookie, struct qos_baseline *ret) _must_check_;
int baselines_add(json_t *b, uint64_t cookie, const struct qos_baseline *baseline) _must_check_;
/* Puts the object into the file descriptor store under `name` in place of the earlier one. 0 also without a service manager. */
int baselines_store(const json_t *b, const char *name) _must_check_;
