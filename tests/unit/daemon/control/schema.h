/* SPDX-License-Identifier: MIT */
/* Holds answers against the interface description that the daemon embeds. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* The embedded text of org.sockq.Control. */
const char *schema_text(void);
/* Where the signature of a method or error begins (its first parenthesis), NULL if there is none of that name. */
const char *schema_find(const char *keyword, const char *name);
/* Fails the test unless the parameters (NULL: none) are what `method` answers, or what `error` carries. */
void schema_check_answer(const char *method, const json_t *parameters);
void schema_check_error(const char *error, const json_t *parameters);
