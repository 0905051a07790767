/* SPDX-License-Identifier: MIT */
/*
 * What became of a change, key by key (KeyResult of org.sockq.Control).
 */
#pragma once

#include "output.h"
#include "status.h"

/* A table of the keys, then a line for each that has something to explain. 0 or -ENOMEM. */
int result_print(struct output *o, const json_t *keys) _must_check_;

/* Failed sockets beside others that took it: STATUS_PARTLY; failed alone: STATUS_FAILED. Deferred and not applicable
 * are no failure. */
enum status result_status(const json_t *keys);
