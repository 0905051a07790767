/* SPDX-License-Identifier: MIT */
/*
 * The command line, taken apart: options (before or after the verb), the verb, its words. One table of all options;
 * which verb takes which is in the verb's row. Does not print.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

enum option_id {
    OPTION_CONTROL,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_NO_COLOR,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_NEW_ONLY,
    OPTION_FLOW,
    OPTION_SOURCE,
    OPTION_LEGS,
    OPTION_WATCH,
    OPTION_LEVEL,
    OPTION_DSCP,
    OPTION_TOS,
    OPTION_COUNT,
    OPTION_INTERVAL,
    OPTION_SIZE,
    OPTION_TEXT,
    OPTION_STDIN,
    OPTION_NO_REPLY,
    OPTION_MAX,
};

#define OPTION_BIT(id) (UINT32_C(1) << (id))
#define OPTIONS_GLOBAL                                                                                                 \
    (OPTION_BIT(OPTION_CONTROL) | OPTION_BIT(OPTION_TIMEOUT) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_NO_COLOR) | \
     OPTION_BIT(OPTION_HELP) | OPTION_BIT(OPTION_VERSION))

struct option_row {
    const char *name;     /* without the dashes */
    char letter;          /* 0: none */
    const char *argument; /* its placeholder; NULL: a switch */
    const char *help;     /* one line */
};

const struct option_row *option_row(enum option_id id);
/* The option that a word of the command line names, "--level", "--level=debug" or "-h": its id, or -EINVAL. */
int option_find(const char *word) _must_check_;

struct args {
    const char *option[OPTION_MAX]; /* the argument, "" for a switch; NULL: not given */
    const char *verb;               /* NULL: none given */
    const char **words;             /* what follows the verb; strings borrowed from argv */
    size_t n_words;
};

/* Takes argv apart. 0; -EINVAL with *ret_reason (one clause, owned by the caller); -ENOMEM. */
int args_parse(int argc, const char *const *argv, struct args *ret, char **ret_reason) _must_check_;
void args_done(struct args *a);

/* A duration as people type it on a command line: "2" and "0.5" are seconds, "200ms" has a unit.
 * 0, -EINVAL, -ERANGE. */
int args_duration(const char *text, int64_t *ret_usec) _must_check_;

/* Splits "KEY=VALUE" words into an object of strings. 0; -EINVAL with *ret_reason: no "=", no key, a key twice;
 * -ENOMEM. */
int args_settings(const char *const *words, size_t n, json_t **ret, char **ret_reason) _must_check_;
