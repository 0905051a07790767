/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "config.h"
#include "load.h"

#define TEXT_MAX 512 /* bytes of a text or key that are kept: values may be megabytes */

static void fault_done(struct config_fault *f) {
    free(f->file);
    free(f->key);
    free(f->text);
    *f = (struct config_fault){ 0 };
}

/* The length of the UTF-8 sequence at `p`, 0 if there is none. RFC 3629, section 4. */
static size_t sequence_length(const unsigned char *p) {
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* Texts quote what files say, and end up in the journal and in JSON: replaces control characters and what is not
 * UTF-8. */
static void clean(char *text) {
    for (unsigned char *p = (unsigned char *) text; *p;) {
        size_t n = sequence_length(p);
        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            *p = '?';
            n = 1;
        }
        p += n;
    }
}

static void cut(char *text) {
    if (strlen(text) > TEXT_MAX)
        memcpy(text + TEXT_MAX - 3, "...", sizeof("..."));
}

/* Moves `new` to `ret` if it is whole. */
static int fault_store(struct config_fault *new, bool with_key, struct config_fault *ret) {
    if (!new->text || !new->file || (with_key && !new->key)) {
        fault_done(new);
        return -ENOMEM;
    }
    clean(new->file);
    cut(new->text);
    clean(new->text);
    if (new->key) {
        cut(new->key);
        clean(new->key);
    }
    *ret = *new;
    return 0;
}

_printf_(4, 0) static int fault_new(const struct config_where *where, const char *key, struct config_fault *ret,
                                    const char *format, va_list ap) {
    struct config_fault new = { .file = strdup(where->file), .line = where->line, .key = key ? strdup(key) : NULL };

    if (vasprintf(&new.text, format, ap) < 0)
        new.text = NULL;
    return fault_store(&new, key, ret);
}

/* Turns the last fault into the one that says that there were more. */
static void say_more(struct config_fault *last, const struct config_where *where) {
    struct config_fault more = { .file = strdup(where->file) }, stored;

    if (asprintf(&more.text, "more than %d faults, the others are left out", CONFIG_FAULTS_MAX - 1) < 0)
        more.text = NULL;
    if (fault_store(&more, false, &stored) < 0)
        return;
    fault_done(last);
    *last = stored;
}

_printf_(4, 0) static void add(struct config_faults *f, const struct config_where *where, const char *key,
                               const char *format, va_list ap) {
    if (f->n == CONFIG_FAULTS_MAX) {
        say_more(&f->items[f->n - 1], where);
        return;
    }

    struct config_fault *items = realloc(f->items, (f->n + 1) * sizeof(*items));
    if (!items)
        return;
    f->items = items;
    if (fault_new(where, key, &items[f->n], format, ap) == 0)
        f->n++;
}

void config_faults_add(struct config_faults *f, const struct config_where *where, const char *key, const char *format,
                       ...) {
    va_list ap;

    va_start(ap, format);
    add(f, where, key, format, ap);
    va_end(ap);
}

void load_fault(struct load *l, const struct config_where *where, const char *key, const char *format, ...) {
    va_list ap;

    l->failed = true;
    va_start(ap, format);
    add(l->faults, where, key, format, ap);
    va_end(ap);
}

bool load_is_full(const struct load *l) {
    return l->faults->n == CONFIG_FAULTS_MAX;
}

static bool is_before(const struct config_fault *a, const struct config_fault *b) {
    int r = strcmp(a->file, b->file);

    return r < 0 || (r == 0 && a->line < b->line);
}

/* Keeps the order of what stands in one line, which qsort() does not promise. */
void faults_sort(struct config_faults *f, size_t from) {
    size_t end = f->n == CONFIG_FAULTS_MAX ? f->n - 1 : f->n;

    for (size_t i = from + 1; i < end; i++) {
        struct config_fault moving = f->items[i];
        size_t k = i;

        for (; k > from && is_before(&moving, &f->items[k - 1]); k--)
            f->items[k] = f->items[k - 1];
        f->items[k] = moving;
    }
}

char *config_fault_format(const struct config_fault *f) {
    char *text = NULL, line[16] = "";

    if (f->line > 0)
        snprintf(line, sizeof(line), ":%u", f->line);
    if (asprintf(&text, "%s%s: %s%s%s", f->file, line, f->key ? f->key : "", f->key ? ": " : "", f->text) < 0)
        return NULL;
    return text;
}

void config_faults_done(struct config_faults *f) {
    for (size_t i = 0; i < f->n; i++)
        fault_done(&f->items[i]);
    free(f->items);
    *f = (struct config_faults){ 0 };
}
