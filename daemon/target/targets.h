/* SPDX-License-Identifier: MIT */
/*
 * The targets: one file and one row each.
 */
#pragma once

#include "target_ops.h"

extern const struct target_ops target_ack, target_discard, target_echo, target_forward, target_journal;

/* All rows, NULL-terminated. */
extern const struct target_ops *const targets[];
/* Their names, NULL-terminated: for the configuration's check. */
const char *const *target_names(void);
