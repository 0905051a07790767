/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "text.h"

#define WIDTH_UNKNOWN 80

static unsigned terminal_width(int fd) {
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (columns) {
        char *end;
        unsigned long n = strtoul(columns, &end, 10);
        if (*end == 0 && n > 0 && n < 10000)
            return (unsigned) n;
    }
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_UNKNOWN;
}

void output_init(struct output *ret, FILE *file, bool json, bool no_color) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    int fd = fileno(file);
    bool terminal = fd >= 0 && isatty(fd);

    *ret = (struct output){
        .file = file,
        .json = json,
        .color = terminal && !no_color && !(no && *no) && !(term && streq(term, "dumb")),
        .width = terminal ? terminal_width(fd) : 0,
    };
}

const char *output_style(const struct output *o, enum style style) {
    static const char *const sequences[STYLE_MAX] = {
        [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m", [STYLE_GOOD] = "\033[32m",
        [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m", [STYLE_FAINT] = "\033[2m",
    };
    return o->color ? sequences[style] : "";
}

const char *output_plain(const struct output *o) {
    return o->color ? "\033[0m" : "";
}

#define WORDS_WIDTH_MIN 10

/* Bytes of the next line of at most `width` columns: up to a space if there is one. */
static size_t line_length(const char *text, size_t width) {
    size_t most = text_cut(text, width), length = most;

    if (!text[most] || text[most] == ' ')
        return most;
    while (length > 0 && text[length] != ' ')
        length--;
    return length > 0 ? length : most;
}

void output_words(struct output *o, const char *label, unsigned indent, enum style style, const char *text) {
    size_t width = o->width > indent + WORDS_WIDTH_MIN ? o->width - indent : WORDS_WIDTH_MIN;

    fprintf(o->file, "%-*s", (int) indent, label);
    for (bool first = true; first || *text; first = false) {
        size_t length = o->width == 0 ? strlen(text) : line_length(text, width);

        fprintf(o->file, "%*s%s%.*s%s\n", first ? 0 : (int) indent, "", output_style(o, style), (int) length, text,
                style == STYLE_PLAIN ? "" : output_plain(o));
        text += length;
        text += strspn(text, " ");
    }
}

/* ASCII only: what the daemon passes on from strangers must not steer a terminal in this format either. */
static void dump(struct output *o, const json_t *v, size_t flags) {
    if (json_dumpf(v, o->file, flags | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER) < 0 &&
        !ferror(o->file) && o->error == 0)
        o->error = -ENOMEM;
}

void output_json(struct output *o, const json_t *v) {
    dump(o, v, JSON_INDENT(2));
    putc('\n', o->file);
}

void output_json_line(struct output *o, const json_t *v) {
    dump(o, v, JSON_COMPACT);
    putc('\n', o->file);
}

static void dump_member(struct output *o, const char *key, json_t *value) {
    json_t *name = json_string(key);
    dump(o, name, 0);
    fputs(": ", o->file);
    dump(o, value, 0);
    json_decref(name);
}

void output_list_open(struct output *o, const json_t *head, const char *name) {
    const char *key;
    json_t *value;

    o->items = 0;
    fputs("{\n", o->file);
    json_object_foreach((json_t *) head, key, value) {
        fputs("  ", o->file);
        dump_member(o, key, value);
        fputs(",\n", o->file);
    }
    fprintf(o->file, "  \"%s\": [", name);
}

void output_list_item(struct output *o, const json_t *item) {
    fputs(o->items++ > 0 ? ",\n    " : "\n    ", o->file);
    dump(o, item, 0);
}

void output_list_close(struct output *o, const json_t *tail) {
    const char *key;
    json_t *value;

    fputs(o->items > 0 ? "\n  ]" : "]", o->file);
    json_object_foreach((json_t *) tail, key, value) {
        fputs(",\n  ", o->file);
        dump_member(o, key, value);
    }
    fputs("\n}\n", o->file);
}

/* stdio keeps no errno for a buffer that it wrote out by itself: ask the pipe. */
static int write_error(FILE *file) {
    struct pollfd p = { .fd = fileno(file), .events = POLLOUT };
    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR) ? -EPIPE : -EIO;
}

int output_flush(struct output *o) {
    errno = 0;
    if ((fflush(o->file) != 0 || ferror(o->file)) && o->error == 0)
        o->error = errno > 0 ? -errno : write_error(o->file);
    return o->error;
}

void output_complain(const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    fputs("sockqctl: ", stderr);
    vfprintf(stderr, format, ap);
    putc('\n', stderr);
    va_end(ap);
}
