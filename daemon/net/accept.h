/* SPDX-License-Identifier: MIT */
/*
 * Accepting connections. Runs on every worker that watches the listening socket.
 */
#pragma once

#include "worker.h"

/* A listening endpoint signals: accepts what waits, within admission and limits. */
void accept_turn(struct endpoint_source *from);
/* Accepts and resets what connects to an endpoint that no listener claims. */
void accept_refuse(struct endpoint_source *from);

/* May a peer (its address_key()) come in, by allow and deny? Any thread. */
bool accept_permits(const struct settings *set, const uint8_t key[static 16]);
