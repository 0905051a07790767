/* SPDX-License-Identifier: MIT */
/*
 * What the files say, as one tree in which every value knows its file and line. The only place that speaks to
 * libconfig. For this room only. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "load.h"

enum node_type { NODE_GROUP, NODE_LIST, NODE_STRING, NODE_INTEGER, NODE_BOOL, NODE_FLOAT };

#define NODE_KEY_MAX 256 /* bytes of a dotted key, NUL included; longer ones are cut */

struct node {
    char *name; /* NULL: the root, or an element of a list */
    struct node *parent;
    enum node_type type;       /* libconfig's arrays and lists are both NODE_LIST */
    unsigned order;            /* of the file: higher is later */
    struct config_where where; /* file: one of config.files */
    char *text;                /* NODE_STRING */
    int64_t number;            /* NODE_INTEGER; NODE_BOOL: 0 or 1 */
    enum scan_doubt doubt;     /* NODE_INTEGER */
    struct node **children;    /* NODE_GROUP, NODE_LIST */
    size_t n_children;
};

struct node *node_free(struct node *n); /* accepts NULL, returns NULL */
DEFINE_CLEANUP(struct node *, node_free)

/* Reads one file's text (see file_read()) into a tree. 0; -EINVAL: a fault was added; -ENOMEM. */
int tree_parse(struct load *l, const char *file, unsigned order, const char *text, size_t size,
               struct node **ret) _must_check_;
/* Lays `over` on top of `base`: groups key by key, everything else replaces. `over` is emptied, and still to be freed.
 * 0; -EINVAL: a fault was added; -ENOMEM. */
int tree_merge(struct load *l, struct node *base, struct node *over) _must_check_;

/* NULL if the group has no such key. */
const struct node *node_child(const struct node *group, const char *name);
/* "listeners.orders.dscp"; an element has its list's key, the root none (""). Returns `buf`. */
const char *node_key(const struct node *n, char buf[static NODE_KEY_MAX]);
/* load_fault() at the node. */
void node_fault(struct load *l, const struct node *n, const char *format, ...) _printf_(3, 4);
