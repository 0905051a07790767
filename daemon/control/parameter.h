/* SPDX-License-Identifier: MIT */
/*
 * Reads the parameters of a call into a struct by a table, so that every method checks unknown, missing and ill-typed
 * parameters alike. Pure functions, any thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

/* The C type of the field is given in brackets. What is a pointer belongs to the message and lives as long as it. */
enum parameter_type {
    PARAMETER_STRING,      /* string (const char *, NULL when absent) */
    PARAMETER_BOOL,        /* bool (bool, false when absent) */
    PARAMETER_STRING_LIST, /* []string (const json_t *, NULL when absent): every element is a string */
    PARAMETER_STRING_MAP,  /* [string]string (const json_t *, NULL when absent): every value is a string */
    PARAMETER_TYPE_MAX,
};

struct parameter {
    const char *name;
    enum parameter_type type;
    bool required;
    size_t offset;
};

/* A row for field `field` of `type`, which has the parameter's name. */
#define PARAMETER(type, field, kind, required)                                                                         \
    { #field, (kind), (required), offsetof(type, field) }
#define PARAMETERS_END                                                                                                 \
    { NULL, PARAMETER_TYPE_MAX, false, 0 }

#define PARAMETERS_SIZE_MAX 128 /* of a struct that parameters are read into */

/* `parameters` is a JSON object or NULL, `table` ends with PARAMETERS_END (NULL: no parameters are allowed), `ret` is
 * zeroed memory of the struct. An optional parameter that is null counts as absent. Returns NULL, or the name of the
 * first parameter at fault (of the table or of the message). */
const char *parameters_read(json_t *parameters, const struct parameter *table, void *ret) _must_check_;

/* As the interface description spells the type: "[]string". */
const char *parameter_type_name(enum parameter_type type);
