/* SPDX-License-Identifier: MIT */
/*
 * Listeners that a reload removed: they serve nobody new, and go with their last flow. Main thread.
 */
#pragma once

#include "net.h"

/* To be called about once a second. Flows that are left after `timeout_usec` are finished in order; those that do not
 * end even then, because their peer takes nothing, are closed. */
void removed_tend(struct net *n, uint64_t now_usec, uint64_t timeout_usec);
