/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdarg.h>

#include "text.h"

#define GAP_WIDE 2
#define GAP_NARROW 1

struct cell {
    char *text;
    enum style style;
};

struct table {
    const struct column *columns;
    size_t n_columns;
    struct cell *cells;
    size_t n_cells, allocated;
    unsigned widths[TABLE_COLUMNS_MAX]; /* natural: the widest cell so far */
    bool filled[TABLE_COLUMNS_MAX];     /* one of its cells says something */
    bool titled;
    int error;
};

struct table *table_new(const struct column *columns, size_t n) {
    struct table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->columns = columns;
    t->n_columns = n;
    for (size_t i = 0; i < n; i++)
        t->widths[i] = (unsigned) text_width(columns[i].title);
    return t;
}

static void forget_cells(struct table *t) {
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i].text);
    t->n_cells = 0;
}

struct table *table_free(struct table *t) {
    if (!t)
        return NULL;
    forget_cells(t);
    free(t->cells);
    free(t);
    return NULL;
}

static int reserve(struct table *t) {
    if (t->n_cells < t->allocated)
        return 0;
    size_t allocated = MAX(t->allocated * 2, (size_t) 64);
    struct cell *cells = reallocarray(t->cells, allocated, sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    t->cells = cells;
    t->allocated = allocated;
    return 0;
}

static bool is_left_out(const struct table *t, size_t column) {
    return t->columns[column].optional && !t->filled[column];
}

static void note_filled(struct table *t, size_t column) {
    if (is_left_out(t, column))
        t->titled = false;
    t->filled[column] = true;
}

void table_cell(struct table *t, enum style style, const char *format, ...) {
    char *text = NULL;
    va_list ap;

    if (t->error < 0)
        return;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    if (text && *text) {
        note_filled(t, t->n_cells % t->n_columns);
    } else if (text) {
        free(text);
        text = strdup("-");
        style = STYLE_PLAIN;
    }
    if (!text || reserve(t) < 0) {
        free(text);
        t->error = -ENOMEM;
        return;
    }

    unsigned *width = &t->widths[t->n_cells % t->n_columns];
    *width = MAX(*width, (unsigned) text_width(text));
    t->cells[t->n_cells++] = (struct cell){ .text = text, .style = style };
}

size_t table_rows(const struct table *t) {
    return t->n_cells / t->n_columns;
}

static unsigned total(const unsigned *widths, size_t n, unsigned gap) {
    unsigned sum = 0, shown = 0;
    for (size_t i = 0; i < n; i++) {
        sum += widths[i];
        shown += widths[i] > 0;
    }
    return sum + (shown > 0 ? (shown - 1) * gap : 0);
}

/* Cuts the widest column that may be cut, one step at a time, so that what is lost is shared. */
static void shrink(const struct column *columns, size_t n, unsigned width, unsigned gap, unsigned *widths) {
    while (total(widths, n, gap) > width) {
        size_t widest = n;
        for (size_t i = 0; i < n; i++)
            if (columns[i].width_min > 0 && widths[i] > columns[i].width_min &&
                (widest == n || widths[i] > widths[widest]))
                widest = i;
        if (widest == n)
            return;
        widths[widest]--;
    }
}

static bool drop_one(const struct column *columns, size_t n, unsigned *widths) {
    size_t first = n;
    for (size_t i = 0; i < n; i++)
        if (columns[i].drop > 0 && widths[i] > 0 && (first == n || columns[i].drop > columns[first].drop))
            first = i;
    if (first == n)
        return false;
    widths[first] = 0;
    return true;
}

/* The last resort: every column but the first gives way, down to one character, from the right. */
static void squeeze(size_t n, unsigned width, unsigned *widths) {
    for (size_t i = n; i-- > 0;)
        while (widths[i] > 1 && total(widths, n, GAP_NARROW) > width)
            widths[i]--;
}

unsigned table_fit(const struct column *columns, size_t n, unsigned width, unsigned *widths) {
    unsigned natural[TABLE_COLUMNS_MAX];

    if (width == 0 || total(widths, n, GAP_WIDE) <= width)
        return GAP_WIDE;
    memcpy(natural, widths, n * sizeof(*widths));
    do {
        for (size_t i = 0; i < n; i++)
            widths[i] = widths[i] > 0 ? natural[i] : 0;
        if (total(widths, n, GAP_WIDE) <= width)
            return GAP_WIDE;
        shrink(columns, n, width, GAP_NARROW, widths);
        if (total(widths, n, GAP_NARROW) <= width)
            return GAP_NARROW;
    } while (drop_one(columns, n, widths));
    squeeze(n, width, widths);
    return GAP_NARROW;
}

static void print_cell(struct output *o, const struct column *c, unsigned width, bool last, const struct cell *cell) {
    unsigned natural = (unsigned) text_width(cell->text);
    bool cut = natural > width;
    size_t bytes = cut ? text_cut(cell->text, width - 1) : strlen(cell->text);
    unsigned shown = cut ? width : natural;

    if (c->right)
        fprintf(o->file, "%*s", (int) (width - shown), "");
    fprintf(o->file, "%s%.*s%s%s", output_style(o, cell->style), (int) bytes, cell->text, cut ? "~" : "",
            cell->style == STYLE_PLAIN ? "" : output_plain(o));
    if (!c->right && !last)
        fprintf(o->file, "%*s", (int) (width - shown), "");
}

static void print_row(const struct table *t, struct output *o, const unsigned *widths, unsigned gap,
                      const struct cell *row) {
    size_t last = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        if (widths[i] > 0)
            last = i;
    for (size_t i = 0; i < t->n_columns; i++) {
        if (widths[i] == 0)
            continue;
        print_cell(o, &t->columns[i], widths[i], i == last, &row[i]);
        if (i != last)
            fprintf(o->file, "%*s", (int) gap, "");
    }
    putc('\n', o->file);
}

/* The titles of the columns that are missing, or how many, whatever fits. Owned by the caller, NULL when out of
 * memory. */
static char *left_out_text(const struct table *t, const unsigned *widths, unsigned width) {
    char *text = NULL;
    size_t size, n = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (size_t i = 0; i < t->n_columns; i++)
        if (widths[i] == 0 && !is_left_out(t, i))
            fprintf(f, "%s%s", n++ > 0 ? ", " : "(too narrow to show: ", t->columns[i].title);
    fputs(n > 0 ? ")" : "", f);
    if (fclose(f) != 0 || size <= width || n == 0)
        return text;
    free(text);
    return asprintf(&text, "(%zu left out)", n) < 0 ? NULL : text;
}

static void print_left_out(const struct table *t, struct output *o, const unsigned *widths) {
    _cleanup_free_ char *text = left_out_text(t, widths, o->width);

    if (text && *text && strlen(text) <= o->width)
        fprintf(o->file, "%s%s%s\n", output_style(o, STYLE_FAINT), text, output_plain(o));
}

int table_print(struct table *t, struct output *o) {
    unsigned widths[TABLE_COLUMNS_MAX];
    struct cell titles[TABLE_COLUMNS_MAX] = { 0 };

    if (t->error < 0)
        return t->error;
    for (size_t i = 0; i < t->n_columns; i++)
        widths[i] = is_left_out(t, i) ? 0 : t->widths[i];
    unsigned gap = table_fit(t->columns, t->n_columns, o->width, widths);

    if (!t->titled) {
        print_left_out(t, o, widths);
        for (size_t i = 0; i < t->n_columns; i++)
            titles[i] = (struct cell){ .text = (char *) t->columns[i].title, .style = STYLE_BOLD };
        print_row(t, o, widths, gap, titles);
        t->titled = true;
    }
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        print_row(t, o, widths, gap, &t->cells[i]);
    forget_cells(t);
    return 0;
}
