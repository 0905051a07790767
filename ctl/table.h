/* SPDX-License-Identifier: MIT */
/*
 * Tables that fit the terminal. On a terminal that is too narrow, in this order: the gap between columns shrinks,
 * columns that may be cut are cut (marked "~"), columns that can be missed are left out (and a line says which).
 * Without a terminal nothing is cut.
 */
#pragma once

#include "output.h"

#define TABLE_COLUMNS_MAX 20

struct column {
    const char *title;
    bool right;         /* numbers */
    unsigned width_min; /* may be cut to this width; 0: never */
    unsigned drop;      /* may be left out, the highest first; 0: never */
    bool optional;      /* is left out as long as all its cells are empty */
};

struct table;

/* `columns` is borrowed and outlives the table. NULL when out of memory. */
struct table *table_new(const struct column *columns, size_t n) _must_check_;
struct table *table_free(struct table *t);
DEFINE_CLEANUP(struct table *, table_free);

/* The next cell, row by row; an empty one shows "-". Running out of memory shows in table_print(). */
void table_cell(struct table *t, enum style style, const char *format, ...) _printf_(3, 4);
/* Complete rows that have not been printed. */
size_t table_rows(const struct table *t);
/* Prints the rows added since the last time; the header comes with the first, and again where an optional column joins.
 * Column widths of earlier calls are kept as the least. 0 or -ENOMEM. */
int table_print(struct table *t, struct output *o) _must_check_;

/* Which width each column gets: in: what it would like; out: what it gets, 0 left out. Returns the gap between
 * columns, 1 or 2. `width` 0: no limit. */
unsigned table_fit(const struct column *columns, size_t n, unsigned width, unsigned *widths);
