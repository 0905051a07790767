/* SPDX-License-Identifier: MIT */
/*
 * The settings of a change, as they come in a call and go back in its answer. Main thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "call.h"
#include "change.h"
#include "setting.h"

/* Names and values (strings) into settings and their keys. False: the call was ended with InvalidSettings, which names
 * every unknown name and every value at fault. */
bool keys_parse(struct call *call, const json_t *map, struct settings *ret, uint64_t *ret_keys) _must_check_;

/* What became of each key: a list of KeyResult, NULL when out of memory. `asked` is the object or list of names as the
 * caller spelled them (tos and dscp are one setting), or NULL. */
json_t *keys_results(const struct change_answer *answer, const json_t *asked) _must_check_;
