/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "check.h"
#include "reason.h"
#include "suggest.h"

#define BIT(type) (1U << (type))
#define INTEGER_TEXT_MAX 24

/* How a value of each type may stand in a file beside a string, and what to say when it stands otherwise. */
static const struct {
    unsigned accepts; /* bits of enum node_type */
    const char *advice;
} forms[SETTING_TYPE_MAX] = {
    [SETTING_TYPE_DSCP] = { BIT(NODE_INTEGER), "write a name or a number, for example \"EF\" or 46" },
    [SETTING_TYPE_TOS] = { BIT(NODE_INTEGER), "write a byte, for example 0xb8" },
    [SETTING_TYPE_INTEGER] = { BIT(NODE_INTEGER), "write a whole number" },
    [SETTING_TYPE_MARK] = { BIT(NODE_INTEGER), "write a whole number, for example 0x2a" },
    [SETTING_TYPE_SIZE] = { 0, "write it as a string with a unit, for example \"256K\"" },
    [SETTING_TYPE_RATE] = { 0, "write it as a string with a unit, for example \"50Mbit\"" },
    [SETTING_TYPE_DURATION] = { 0, "write it as a string with a unit, for example \"10s\"" },
    [SETTING_TYPE_BOOL] = { BIT(NODE_BOOL), "write true or false" },
    [SETTING_TYPE_KEEPALIVE] = { 0, "write it as a string, for example \"60s,10s,5\"" },
    [SETTING_TYPE_NAME] = { 0, "write it as a string, for example \"cubic\"" },
    [SETTING_TYPE_WORD] = { 0, "write it as a string" },
    [SETTING_TYPE_CODING] = { 0, "write it as a string, for example \"zlib:6\"" },
    [SETTING_TYPE_CIDR_LIST] = { BIT(NODE_LIST), "write a list of strings, for example [ \"10.0.0.0/8\" ]" },
};

static const char *const doubts[] = {
    [SCAN_SURE] = NULL,
    [SCAN_TOO_WIDE] = "the number is too large to stand bare, write it as a string",
    [SCAN_LEADING_ZERO] = "the number begins with 0, write it without",
};

/* The text of a scalar as setting_parse() wants it: the node's own, or in `buf`. */
static int scalar_text(struct load *l, const struct node *n, const struct setting *row,
                       char buf[static INTEGER_TEXT_MAX], const char **ret) {
    if (n->type != NODE_STRING && !(forms[row->type].accepts & BIT(n->type))) {
        node_fault(l, n, "%s", forms[row->type].advice);
        return 0;
    }
    if (n->type == NODE_INTEGER && doubts[n->doubt]) {
        node_fault(l, n, "%s", doubts[n->doubt]);
        return 0;
    }

    if (n->type == NODE_STRING)
        *ret = n->text;
    else if (n->type == NODE_BOOL)
        *ret = n->number ? "true" : "false";
    else {
        snprintf(buf, INTEGER_TEXT_MAX, "%" PRId64, n->number);
        *ret = buf;
    }
    return 1;
}

/* A fault for what setting_parse() and its kin refused. 0 or -ENOMEM. */
static int tell(struct load *l, const struct node *n, int error, const char *reason) {
    if (error == -ENOMEM)
        return error;
    node_fault(l, n, "%s", reason);
    return 0;
}

int check_number(struct load *l, const struct node *n, const struct setting *row, int64_t *ret) {
    _cleanup_free_ char *reason = NULL;
    char buf[INTEGER_TEXT_MAX];
    union setting_value v = { 0 };
    const char *text;

    int r = scalar_text(l, n, row, buf, &text);
    if (r <= 0)
        return r;
    r = setting_parse(row, text, &v, &reason);
    if (r < 0)
        return tell(l, n, r, reason);
    *ret = v.number;
    return 1;
}

int check_word(struct load *l, const struct node *n, const char *what, const char *const *words, size_t *ret_index) {
    char quoted[REASON_QUOTE_MAX];

    if (n->type != NODE_STRING) {
        node_fault(l, n, "write a %s as a string, for example \"%s\"", what, words[0]);
        return 0;
    }
    for (size_t i = 0; words[i]; i++) {
        if (streq(words[i], n->text)) {
            *ret_index = i;
            return 1;
        }
    }

    const char *near = load_is_full(l) ? NULL : suggest_near(n->text, words);
    reason_quote(n->text, quoted);
    if (near) {
        node_fault(l, n, "unknown %s %s, did you mean '%s'?", what, quoted, near);
        return 0;
    }
    _cleanup_free_ char *all = check_join(words, ", ");
    if (!all)
        return -ENOMEM;
    node_fault(l, n, "unknown %s %s, choose one of %s", what, quoted, all);
    return 0;
}

char *check_join(const char *const *words, const char *separator) {
    size_t size = 1;

    for (size_t i = 0; words[i]; i++)
        size += strlen(words[i]) + strlen(separator);
    char *text = calloc(1, size);
    if (!text)
        return NULL;

    char *end = text;
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            end = stpcpy(end, separator);
        end = stpcpy(end, words[i]);
    }
    return text;
}

/* Each prefix on its own, so that a fault has its line. */
static int check_prefix(struct load *l, const struct node *n, const struct setting *row) {
    _cleanup_free_ char *reason = NULL;
    union setting_value v = { 0 };

    if (n->type != NODE_STRING) {
        node_fault(l, n, "%s", forms[row->type].advice);
        return 0;
    }
    int r = setting_parse(row, n->text, &v, &reason);
    if (r < 0)
        return tell(l, n, r, reason);
    bool single = v.cidrs->n == 1;
    setting_value_done(row, &v);
    if (!single)
        node_fault(l, n, "write one address prefix in each string of the list");
    return single;
}

/* A list of prefixes as the text that settings_set_text() wants. */
static int list_text(struct load *l, const struct node *n, const struct setting *row, char **ret) {
    bool good = true;

    _cleanup_free_ const char **words = calloc(n->n_children + 1, sizeof(char *));
    if (!words)
        return -ENOMEM;
    for (size_t i = 0; i < n->n_children; i++) {
        int r = check_prefix(l, n->children[i], row);
        if (r < 0)
            return r;
        good = good && r > 0;
        words[i] = n->children[i]->text;
    }
    if (!good)
        return 0;
    *ret = check_join(words, ",");
    return *ret ? 1 : -ENOMEM;
}

int check_prefixes(struct load *l, const struct node *n, const struct setting *row, union setting_value *ret) {
    _cleanup_free_ char *reason = NULL, *list = NULL;
    int r;

    if (n->type != NODE_LIST) {
        node_fault(l, n, "%s", forms[row->type].advice);
        return 0;
    }
    r = list_text(l, n, row, &list);
    if (r <= 0)
        return r;
    r = setting_parse(row, list, ret, &reason);
    return r < 0 ? tell(l, n, r, reason) : 1;
}

/* The same setting under its other name in the same group, or NULL. */
static const struct node *other_spelling(const struct node *group, const struct setting *row) {
    const struct setting *s;

    for (size_t i = 0; (s = setting_row(i)); i++) {
        bool other = s->id == row->id && s != row && s->leg == SETTING_LEG_ALL;
        const struct node *n = other ? node_child(group, s->name) : NULL;

        if (n)
            return n;
    }
    return NULL;
}

/* In one file two spellings contradict each other; of two files the later one wins, as for any key. */
static bool is_overridden(struct load *l, const struct node *group, const struct node *n, const struct setting *row) {
    const struct node *other = other_spelling(group, row);

    if (other && other->order == n->order && row->alias)
        node_fault(l, n, "%s and %s are two spellings of one setting", row->name, other->name);
    return other && other->order > n->order;
}

/* Into the keys of `row`, which is `plain` or its row on one leg. */
static int take_setting(struct load *l, const struct node *group, const struct node *n, const struct setting *plain,
                        const struct setting *row, struct settings *into) {
    _cleanup_free_ char *reason = NULL, *list = NULL;
    char buf[INTEGER_TEXT_MAX];
    const char *text;
    int r;

    if (is_overridden(l, group, n, plain))
        return 0;
    if (row->type == SETTING_TYPE_CIDR_LIST && n->type == NODE_LIST) {
        r = list_text(l, n, row, &list);
        text = list;
    } else
        r = scalar_text(l, n, row, buf, &text);
    if (r <= 0)
        return r;
    r = settings_set_text(into, row, text, &reason);
    return r < 0 ? tell(l, n, r, reason) : 0;
}

const char *const check_leg_names[] = { "client_leg", "upstream_leg", NULL };
static const enum setting_leg legs[] = { SETTING_LEG_CLIENT, SETTING_LEG_UPSTREAM }; /* in that order */

static bool is_leg(const char *name) {
    for (size_t i = 0; check_leg_names[i]; i++)
        if (streq(check_leg_names[i], name))
            return true;
    return false;
}

static int take_leg(struct load *l, const struct node *group, enum setting_leg leg, struct settings *into) {
    static const char *const none[] = { NULL };
    int r = 0;

    if (!check_is_group(l, group))
        return 0;
    for (size_t i = 0; i < group->n_children && r >= 0; i++) {
        const struct node *n = group->children[i];
        const struct setting *plain = setting_find(n->name), *row = setting_find_on_leg(n->name, leg);

        if (row)
            r = take_setting(l, group, n, plain, row, into);
        else if (plain)
            node_fault(l, n, "%s is a setting of the listener as a whole, not of a leg", n->name);
        else
            check_unknown_key(l, n, none, true);
    }
    return r;
}

int check_settings(struct load *l, const struct node *group, void (*other)(struct load *l, const struct node *n),
                   struct settings *into) {
    int r = 0;

    for (size_t i = 0; i < group->n_children && r >= 0; i++) {
        const struct node *n = group->children[i];
        const struct setting *row = setting_find(n->name);

        if (row)
            r = take_setting(l, group, n, row, row, into);
        else if (!is_leg(n->name))
            other(l, n);
    }
    /* What is said of one leg wins over what is said of both, wherever it stands. */
    for (size_t i = 0; i < ARRAY_SIZE(legs) && r >= 0; i++) {
        const struct node *n = node_child(group, check_leg_names[i]);

        if (n)
            r = take_leg(l, n, legs[i], into);
    }
    return r;
}
