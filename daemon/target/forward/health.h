/* SPDX-License-Identifier: MIT */
/*
 * What follows from reaching an upstream, or not: it is put aside and comes back, and the journal is told when that
 * changes. Any thread. What flows find out goes through forward_connected() and forward_failed().
 */
#pragma once

#include "upstream.h"

void health_passed(const char *listener, struct upstream *u);
void health_failed(const char *listener, struct upstream *u, const struct upstream_health *health, int error,
                   uint64_t now_usec);
