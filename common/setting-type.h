/* SPDX-License-Identifier: MIT */
/*
 * How values of each type are parsed, written, compared and owned: behind setting_parse() and its kin, for the
 * setting*.c files only. Pure functions, any thread.
 */
#pragma once

#include "setting.h"

struct setting_type_ops {
    int (*parse)(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason);
    char *(*format)(const struct setting *s, const union setting_value *v);
    bool (*equal)(const union setting_value *a, const union setting_value *b); /* NULL: by number */
    void (*ref)(union setting_value *v);                                       /* after a copy; NULL: plain data */
    void (*done)(union setting_value *v);                                      /* NULL: plain data */
};

/* Never NULL for a valid type. */
const struct setting_type_ops *setting_type_ops(enum setting_type type);

/* The types whose value is `number`, for the table. */
int setting_parse_number(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason);
char *setting_format_number(const struct setting *s, const union setting_value *v);
int setting_parse_dscp(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason);
char *setting_format_dscp(const struct setting *s, const union setting_value *v);
int setting_parse_tos(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason);
char *setting_format_tos(const struct setting *s, const union setting_value *v);
int setting_parse_bool(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason);
char *setting_format_bool(const struct setting *s, const union setting_value *v);
int setting_parse_word(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason);
char *setting_format_word(const struct setting *s, const union setting_value *v);
