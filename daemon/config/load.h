/* SPDX-License-Identifier: MIT */
/*
 * One run of config_load(), shared by the files of this room only: scan, parse, merge, check. Main thread.
 */
#pragma once

#include <stdbool.h>

#include "config.h"
#include "scan.h"

struct load {
    struct config *config; /* being filled */
    const struct config_schema *schema;
    struct config_faults *faults;
    struct scan_budget budget; /* what all files together may still hold */
    bool failed;               /* at least one fault, even if there was no memory to keep it */
    bool partial;              /* a file could not be used: what seems to be missing may be in it */
};

/* config_faults_add(), and remembers that the load failed. `key` may be NULL. */
void load_fault(struct load *l, const struct config_where *where, const char *key, const char *format, ...)
        _printf_(4, 5);
/* So many faults that another one is not told: no need to look for a suggestion. */
bool load_is_full(const struct load *l);
/* Puts what follows the first `from` faults in the order of files and lines; the one that says that there were more
 * stays last. */
void faults_sort(struct config_faults *f, size_t from);
