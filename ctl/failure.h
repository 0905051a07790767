/* SPDX-License-Identifier: MIT */
/*
 * What went wrong, said so that it helps, and the exit status that it means. Everything here goes to stderr, beside
 * the keys of a failed change and, with --json, the error itself.
 */
#pragma once

#include "client.h"
#include "output.h"
#include "status.h"

/* A negative errno of client_connect(), client_call() or client_stream(). `connected`: it was not the connecting. */
enum status failure_connection(const char *path, int error, bool connected, uint64_t timeout_usec);

/* An error reply of the daemon. */
enum status failure_report(struct output *o, const struct answer *a);
