/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>

struct builder {
    struct load *load;
    const char *file;
    unsigned order;
    const struct scan *scan;
    size_t next_string, next_integer; /* of `scan` */
};

struct node *node_free(struct node *n) {
    if (!n)
        return NULL;

    for (size_t i = 0; i < n->n_children; i++)
        node_free(n->children[i]);
    free(n->children);
    free(n->name);
    free(n->text);
    free(n);
    return NULL;
}

const struct node *node_child(const struct node *group, const char *name) {
    for (size_t i = 0; i < group->n_children; i++)
        if (streq(group->children[i]->name, name))
            return group->children[i];
    return NULL;
}

const char *node_key(const struct node *n, char buf[static NODE_KEY_MAX]) {
    const char *names[SCAN_DEPTH_MAX + 2];
    size_t depth = 0, size = 0;

    for (; n; n = n->parent)
        if (n->name)
            names[depth++] = n->name;
    buf[0] = '\0';
    while (depth > 0 && size < NODE_KEY_MAX) {
        int k = snprintf(buf + size, NODE_KEY_MAX - size, "%s%s", size > 0 ? "." : "", names[--depth]);
        size += (size_t) k;
    }
    return buf;
}

void node_fault(struct load *l, const struct node *n, const char *format, ...) {
    char key[NODE_KEY_MAX];
    _cleanup_free_ char *text = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);

    node_key(n, key);
    load_fault(l, &n->where, key[0] != '\0' ? key : NULL, "%s", text ? text : "out of memory");
}

static enum node_type type_of(const config_setting_t *s) {
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_GROUP:
        return NODE_GROUP;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return NODE_LIST;
    case CONFIG_TYPE_STRING:
        return NODE_STRING;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return NODE_INTEGER;
    case CONFIG_TYPE_BOOL:
        return NODE_BOOL;
    default:
        return NODE_FLOAT;
    }
}

/* 0xffffffff arrives as -1. */
static int64_t integer_of(const config_setting_t *s) {
    if (config_setting_type(s) == CONFIG_TYPE_INT64)
        return config_setting_get_int64(s);
    if (config_setting_get_format(s) == CONFIG_FORMAT_HEX)
        return (uint32_t) config_setting_get_int(s);
    return config_setting_get_int(s);
}

static int take_value(struct builder *b, const config_setting_t *s, struct node *n) {
    const struct scan *scan = b->scan;

    switch (n->type) {
    case NODE_STRING:
        if (b->next_string < scan->n_strings && !n->name)
            n->where.line = scan->string_lines[b->next_string];
        b->next_string++;
        n->text = strdup(config_setting_get_string(s));
        return n->text ? 0 : -ENOMEM;
    case NODE_INTEGER:
        n->doubt = b->next_integer < scan->n_integers ? scan->integers[b->next_integer] : SCAN_TOO_WIDE;
        b->next_integer++;
        n->number = integer_of(s);
        return 0;
    case NODE_BOOL:
        n->number = config_setting_get_bool(s) != 0;
        return 0;
    default:
        return 0;
    }
}

static int build(struct builder *b, const config_setting_t *s, struct node *parent, struct node **ret);

static int build_children(struct builder *b, const config_setting_t *s, struct node *n) {
    int n_elements = config_setting_length(s);

    n->children = calloc((size_t) n_elements + 1, sizeof(struct node *));
    if (!n->children)
        return -ENOMEM;
    for (int i = 0; i < n_elements; i++) {
        int r = build(b, config_setting_get_elem(s, (unsigned) i), n, &n->children[n->n_children]);
        if (r < 0)
            return r;
        n->n_children++;
    }
    return 0;
}

/* Depth is bounded by SCAN_DEPTH_MAX. */
static int build(struct builder *b, const config_setting_t *s, struct node *parent, struct node **ret) {
    _cleanup_(node_freep) struct node *n = calloc(1, sizeof(*n));

    if (!n)
        return -ENOMEM;
    n->parent = parent;
    n->type = type_of(s);
    n->order = b->order;
    n->where = (struct config_where){ .file = b->file, .line = config_setting_source_line(s) };
    if (config_setting_name(s) && parent) {
        n->name = strdup(config_setting_name(s));
        if (!n->name)
            return -ENOMEM;
    }

    int r = config_setting_is_aggregate(s) ? build_children(b, s, n) : take_value(b, s, n);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(n);
    return 0;
}

int tree_parse(struct load *l, const char *file, unsigned order, const char *text, size_t size, struct node **ret) {
    _cleanup_(config_destroy) config_t parsed;
    _cleanup_(scan_done) struct scan scan = { 0 };
    struct builder b = { .load = l, .file = file, .order = order, .scan = &scan };
    struct config_where where = { .file = file };
    const char *reason;

    config_init(&parsed);
    int r = scan_text(text, size, &l->budget, &scan, &where.line, &reason);
    if (r == -EINVAL)
        load_fault(l, &where, NULL, "%s", reason);
    if (r < 0)
        return r;

    if (config_read_string(&parsed, text) != CONFIG_TRUE) {
        where.line = (unsigned) config_error_line(&parsed);
        load_fault(l, &where, NULL, "%s", config_error_text(&parsed));
        return -EINVAL;
    }
    return build(&b, config_root_setting(&parsed), NULL, ret);
}

/* Gives `child` to `base`. */
static int adopt(struct load *l, struct node *base, struct node **child) {
    if (base->n_children == SCAN_GROUP_KEYS_MAX) {
        node_fault(l, *child, "too many keys in one group");
        return -EINVAL;
    }
    struct node **larger = realloc(base->children, (base->n_children + 1) * sizeof(struct node *));
    if (!larger)
        return -ENOMEM;
    base->children = larger;
    (*child)->parent = base;
    base->children[base->n_children++] = TAKE_PTR(*child);
    return 0;
}

/* Puts `child` in the place of the key of the same name. */
static void replace(struct node *base, struct node **child) {
    for (size_t i = 0; i < base->n_children; i++) {
        if (!streq(base->children[i]->name, (*child)->name))
            continue;
        node_free(base->children[i]);
        (*child)->parent = base;
        base->children[i] = TAKE_PTR(*child);
        return;
    }
}

int tree_merge(struct load *l, struct node *base, struct node *over) {
    int r = 0;

    for (size_t i = 0; i < over->n_children && r == 0; i++) {
        struct node *mine = (struct node *) node_child(base, over->children[i]->name);

        if (!mine)
            r = adopt(l, base, &over->children[i]);
        else if (mine->type == NODE_GROUP && over->children[i]->type == NODE_GROUP)
            r = tree_merge(l, mine, over->children[i]);
        else
            replace(base, &over->children[i]);
    }
    return r;
}
