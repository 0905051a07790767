/* SPDX-License-Identifier: MIT */
/*
 * Helpers to build answers. All of them pass NULL through as "out of memory", so that a handler need not look before
 * it answers (call_reply() takes NULL). Pure functions, any thread.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "macro.h"

/* A string from bytes that may be anything (names of files, payloads, text of a faulty file): what is not UTF-8 comes
 * out as C escapes. A NULL text gives NULL. */
json_t *build_text(const char *text) _must_check_;
json_t *build_bytes(const void *data, size_t size) _must_check_;
/* The same of a text that is handed over. */
json_t *build_owned(char *text) _must_check_;
json_t *build_number(uint64_t n) _must_check_;

/* Append and hand over; a NULL on either side frees the other and gives NULL. */
json_t *build_add(json_t *list, json_t *item) _must_check_;
json_t *build_member(json_t *object, const char *key, json_t *value) _must_check_;
/* A list of texts from a NULL-terminated list; NULL counts as empty. */
json_t *build_texts(const char *const *texts) _must_check_;
