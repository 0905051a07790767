/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include <stdbool.h>

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HEX_DIGITS DIGITS "ABCDEFabcdef"
#define NAME_START LETTERS "*"
#define NAME_REST NAME_START DIGITS "-_"

struct scanner {
    const char *p, *end;
    unsigned line;
    unsigned depth;
    unsigned group_keys[SCAN_DEPTH_MAX + 1]; /* by depth, of the group that is open there */
    bool after_string;                       /* the last token was a string */
    struct scan_budget *budget;
    struct scan found;
    size_t room_strings, room_integers;
    unsigned fault_line;
    const char *fault;
};

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c);
}

static int refuse(struct scanner *s, unsigned line, const char *reason) {
    s->fault_line = line;
    s->fault = reason;
    return -EINVAL;
}

/* Makes room for one more item behind `n`. */
static int make_room(void **items, size_t *room, size_t n, size_t item_size) {
    if (n < *room)
        return 0;

    size_t want = *room > 0 ? *room * 2 : 64;
    void *larger = realloc(*items, want * item_size);
    if (!larger)
        return -ENOMEM;
    *items = larger;
    *room = want;
    return 0;
}

static int note_string(struct scanner *s) {
    struct scan *f = &s->found;

    if (s->after_string)
        return 0;
    int r = make_room((void **) &f->string_lines, &s->room_strings, f->n_strings, sizeof(unsigned));
    if (r < 0)
        return r;
    f->string_lines[f->n_strings++] = s->line;
    return 0;
}

static int note_integer(struct scanner *s, enum scan_doubt doubt) {
    struct scan *f = &s->found;

    int r = make_room((void **) &f->integers, &s->room_integers, f->n_integers, sizeof(uint8_t));
    if (r < 0)
        return r;
    f->integers[f->n_integers++] = (uint8_t) doubt;
    return 0;
}

static void skip_line_comment(struct scanner *s) {
    while (s->p < s->end && *s->p != '\n')
        s->p++;
}

static int skip_comment(struct scanner *s) {
    unsigned line = s->line;

    for (s->p += 2; s->p < s->end; s->p++) {
        if (s->p[0] == '*' && s->p[1] == '/') {
            s->p += 2;
            return 0;
        }
        if (*s->p == '\n')
            s->line++;
    }
    return refuse(s, line, "the comment that begins here is not closed");
}

static int scan_string(struct scanner *s) {
    unsigned line = s->line;

    int r = note_string(s);
    if (r < 0)
        return r;
    for (s->p++; s->p < s->end; s->p++) {
        if (*s->p == '"') {
            s->p++;
            return 0;
        }
        if (*s->p == '\n')
            s->line++;
        if (*s->p != '\\')
            continue;
        if (is_one_of(s->p[1], "xX") && s->p[2] == '0' && s->p[3] == '0')
            return refuse(s, s->line, "a string cannot hold a NUL byte");
        if (is_one_of(s->p[1], "\\\""))
            s->p++;
    }
    return refuse(s, line, "the string that begins here is not closed");
}

static enum scan_doubt doubt_hex(const char *start, bool wide) {
    errno = 0;
    unsigned long long v = strtoull(start, NULL, 16);
    return errno != 0 || v > (wide ? INT64_MAX : UINT32_MAX) ? SCAN_TOO_WIDE : SCAN_SURE;
}

static enum scan_doubt doubt_decimal(const char *start, const char *digits, size_t n_digits, bool wide) {
    if (n_digits > 1 && digits[0] == '0')
        return SCAN_LEADING_ZERO;

    errno = 0;
    long long v = strtoll(start, NULL, 10);
    return errno != 0 || (!wide && (v < INT32_MIN || v > INT32_MAX)) ? SCAN_TOO_WIDE : SCAN_SURE;
}

/* Skips the suffix "L" or "LL". */
static bool skip_suffix(struct scanner *s) {
    const char *before = s->p;

    for (int i = 0; i < 2 && *s->p == 'L'; i++)
        s->p++;
    return s->p > before;
}

/* Skips "e+10". */
static bool skip_exponent(struct scanner *s) {
    const char *p = s->p;

    if (!is_one_of(*p, "eE"))
        return false;
    p++;
    if (is_one_of(*p, "+-"))
        p++;
    size_t n = strspn(p, DIGITS);
    if (n == 0)
        return false;
    s->p = p + n;
    return true;
}

/* Takes exactly what libconfig takes as one number, so that both count the same integers. */
static int scan_number(struct scanner *s) {
    const char *start = s->p;

    if (start[0] == '0' && is_one_of(start[1], "xX") && is_one_of(start[2], HEX_DIGITS)) {
        s->p += 2 + strspn(start + 2, HEX_DIGITS);
        return note_integer(s, doubt_hex(start, skip_suffix(s)));
    }

    const char *digits = start + (is_one_of(*start, "+-") ? 1 : 0);
    size_t n = strspn(digits, DIGITS);
    s->p = digits + n;
    if (*s->p == '.') {
        s->p++;
        s->p += strspn(s->p, DIGITS);
        skip_exponent(s);
        return 0;
    }
    if (n == 0 || skip_exponent(s))
        return 0;
    return note_integer(s, doubt_decimal(start, digits, n, skip_suffix(s)));
}

static int spend(struct scanner *s, unsigned *left, const char *reason) {
    if (*left == 0)
        return refuse(s, s->line, reason);
    (*left)--;
    return 0;
}

static int count_key(struct scanner *s) {
    if (++s->group_keys[s->depth] > SCAN_GROUP_KEYS_MAX)
        return refuse(s, s->line, "too many keys in one group");
    return spend(s, &s->budget->keys, "too many keys");
}

static int open_group(struct scanner *s) {
    if (s->depth == SCAN_DEPTH_MAX)
        return refuse(s, s->line, "nested too deeply");
    s->group_keys[++s->depth] = 0;
    return 0;
}

static int scan_mark(struct scanner *s) {
    char c = *s->p++;

    switch (c) {
    case '@':
        return refuse(s, s->line, "@include is not supported, put the other file among the drop-ins");
    case '=':
    case ':':
        return count_key(s);
    case ',':
        return spend(s, &s->budget->elements, "too many elements");
    case '{':
    case '[':
    case '(':
        return open_group(s);
    case '}':
    case ']':
    case ')':
        if (s->depth > 0)
            s->depth--;
        return 0;
    default:
        return 0;
    }
}

static int scan_token(struct scanner *s) {
    bool string = *s->p == '"';
    int r = 0;

    if (string)
        r = scan_string(s);
    else if (is_one_of(*s->p, NAME_START))
        s->p += strspn(s->p, NAME_REST);
    else if (is_one_of(*s->p, DIGITS "+-."))
        r = scan_number(s);
    else
        r = scan_mark(s);
    s->after_string = string;
    return r;
}

static int scan_all(struct scanner *s) {
    int r = 0;

    while (r == 0 && s->p < s->end) {
        if (*s->p == '\n')
            s->line++;
        if (is_one_of(*s->p, " \t\r\f\n"))
            s->p++;
        else if (*s->p == '#' || (s->p[0] == '/' && s->p[1] == '/'))
            skip_line_comment(s);
        else if (s->p[0] == '/' && s->p[1] == '*')
            r = skip_comment(s);
        else
            r = scan_token(s);
    }
    return r;
}

static unsigned line_of(const char *text, const char *p) {
    unsigned line = 1;

    for (; text < p; text++)
        line += *text == '\n';
    return line;
}

int scan_text(const char *text, size_t size, struct scan_budget *budget, struct scan *ret, unsigned *ret_line,
              const char **ret_reason) {
    struct scanner s = { .p = text, .end = text + size, .line = 1, .budget = budget };
    const char *nul = memchr(text, '\0', size);

    int r = nul ? refuse(&s, line_of(text, nul), "not a text file, there is a NUL byte") : scan_all(&s);
    if (r < 0) {
        scan_done(&s.found);
        if (r == -EINVAL) {
            *ret_line = s.fault_line;
            *ret_reason = s.fault;
        }
        return r;
    }
    *ret = s.found;
    return 0;
}

void scan_done(struct scan *s) {
    free(s->string_lines);
    free(s->integers);
    *s = (struct scan){ 0 };
}
