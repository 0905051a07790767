/* SPDX-License-Identifier: MIT */
/*
 * Where an unfinished command line stands, and what may come there by the tables: the synopsis of the verb, or the
 * placeholder of an option. Pure.
 */
#pragma once

#include <stdbool.h>

#include "verb.h"

struct place {
    const struct verb *verb; /* NULL: none yet, or an unknown one */
    const char *first;       /* the first word after it, finished; or NULL */
    const char *control;     /* the argument of --control, or NULL */
    const char *word;        /* the unfinished word; it may be empty */
    const char *current;     /* the part of it that is to be completed: of "--level=de" it is "de" */
    bool option;             /* an option is expected */
    const char *expects;     /* otherwise: one word of a synopsis ("[LISTENER|profile:NAME]", ends with NUL or a space);
                                NULL: nothing */
};

/* `words` follow "sockqctl"; the last one is the unfinished one. Strings are borrowed. */
void place_find(const char *const *words, size_t n, struct place *ret);

/* The alternatives of a synopsis word or of a setting's syntax, one after the other: moves *at past it and gives the
 * length of the name that *ret begins with ("zlib" of "zlib[:1-9]"). False: there are no more. */
bool place_alternative(const char **at, const char **ret, size_t *ret_length);
