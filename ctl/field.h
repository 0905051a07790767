/* SPDX-License-Identifier: MIT */
/*
 * Fields of a reply. A field that is absent or of another type reads as empty: the daemon may be older or newer.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "macro.h"

const char *field_text(const json_t *o, const char *name); /* "" when absent */
int64_t field_number(const json_t *o, const char *name);   /* 0 when absent */
bool field_has(const json_t *o, const char *name);         /* present and not null */
/* The strings of an array joined by `separator`, "" when there are none. Owned by the caller, NULL when out of
 * memory. */
char *field_join(const json_t *o, const char *name, const char *separator) _must_check_;
