/* SPDX-License-Identifier: MIT */
/*
 * Endpoints that the daemon binds itself, from a listener's `listen` list. Main thread.
 */
#pragma once

#include "listener.h"

/* A bound socket, marks armed, settings applied, listening if it is TCP. On failure *ret_reason (owned by the caller,
 * may be NULL) says what went wrong in words. 0 or -errno. `listener` is a name, for the log. */
int endpoint_bind(const struct config_listen *listen, const char *listener, const struct settings *set,
                  struct endpoint **ret, char **ret_reason) _must_check_;

/* Applies every key of `set` to an endpoint; the same errors. What only lacks a capability is told (EVENT_SETTING_FAILED) and is
 * no failure: the endpoint serves without it. */
int endpoint_prepare(struct endpoint *e, const char *listener, const struct settings *set,
                     char **ret_reason) _must_check_;
