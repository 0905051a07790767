/* SPDX-License-Identifier: MIT */
/*
 * Sentences that say why something was refused. Any thread.
 */
#pragma once

#include "macro.h"

#define REASON_QUOTE_MAX 72

/* Stores a formatted sentence in *ret_reason (if not NULL), owned by the caller. Returns `error`, or -ENOMEM. */
int reason_set(char **ret_reason, int error, const char *format, ...) _printf_(3, 4) _must_check_;

/* Hostile text in quotes, fit for a terminal and a log: printable ASCII, anything else as "?", cut off with "...".
 * Returns `buf`. */
const char *reason_quote(const char *text, char buf[static REASON_QUOTE_MAX]);
