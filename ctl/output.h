/* SPDX-License-Identifier: MIT */
/*
 * Where results go and how they look: text or JSON, colour, width. Complaints go to stderr.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "macro.h"

enum style {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_FAINT,
    STYLE_MAX,
};

struct output {
    FILE *file; /* borrowed */
    bool json;
    bool color;     /* only on a terminal, without NO_COLOR, and TERM not "dumb" */
    unsigned width; /* columns of the terminal; 0: not a terminal, nothing is ever cut */
    size_t items;   /* of the open JSON list */
    int error;      /* the first write error, negative errno */
};

/* COLUMNS counts before the terminal's own word, but only on a terminal. */
void output_init(struct output *ret, FILE *file, bool json, bool no_color);

/* Terminal sequences that switch a style on and off; "" without colour. */
const char *output_style(const struct output *o, enum style style);
const char *output_plain(const struct output *o);

/* "label  text": the text begins at column `indent` (at most 31) and is wrapped between words, or within a word that
 * is too long, so that it fits the terminal. */
void output_words(struct output *o, const char *label, unsigned indent, enum style style, const char *text);

/* A whole JSON value, indented; or on one line. */
void output_json(struct output *o, const json_t *v);
void output_json_line(struct output *o, const json_t *v);

/* One JSON object with one long list, written piece by piece: the members of `head` (may be NULL), the list under
 * `name`, the members of `tail` (may be NULL). */
void output_list_open(struct output *o, const json_t *head, const char *name);
void output_list_item(struct output *o, const json_t *item);
void output_list_close(struct output *o, const json_t *tail);

/* Writes out what is buffered. 0 or the first error: -EPIPE when the reader has gone. */
int output_flush(struct output *o) _must_check_;

/* One line on stderr, "sockqctl: ..." */
void output_complain(const char *format, ...) _printf_(1, 2);
