/* SPDX-License-Identifier: MIT */
#include <net/if.h>
#include <stdio.h>

#include "check.h"
#include "reason.h"

static bool is_multicast(const struct address *a) {
    return a->sa.sa_family == AF_INET ? IN_MULTICAST(ntohl(a->in.sin_addr.s_addr))
                                      : IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
}

/* "239.1.2.3", "ff02::1%eth0": the interface is looked for when the group is joined. */
static int parse(const char *text, struct config_join *ret) {
    size_t n = strcspn(text, "%"), n_interface = text[n] ? strlen(text + n + 1) : 0;
    char host[ADDRESS_TEXT_MAX];

    if (n >= sizeof(host) || n_interface >= sizeof(ret->interface) || (text[n] && n_interface == 0))
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';
    if (n_interface > 0)
        memcpy(ret->interface, text + n + 1, n_interface + 1);
    return address_parse_host(host, &ret->group);
}

static bool is_known(const struct config_listener *l, const char *text) {
    for (size_t i = 0; i < l->n_joins; i++)
        if (streq(l->joins[i].text, text))
            return true;
    return false;
}

/* 1: *ret is filled. */
static int take(struct load *l, const struct node *n, struct config_listener *into, struct config_join *ret) {
    char quoted[REASON_QUOTE_MAX], text[ADDRESS_TEXT_MAX];

    if (n->type != NODE_STRING) {
        node_fault(l, n, "write a group as a string, for example \"239.1.2.3\"");
        return 0;
    }
    if (parse(n->text, ret) < 0 || !is_multicast(&ret->group)) {
        node_fault(l, n, "%s is not a multicast address, write for example 239.1.2.3, 239.1.2.3%%eth0 or ff02::1%%eth0",
                   reason_quote(n->text, quoted));
        return 0;
    }
    if (asprintf(&ret->text, "%s%s%s", address_format_host(&ret->group, text), ret->interface[0] ? "%" : "",
                 ret->interface) < 0) {
        ret->text = NULL;
        return -ENOMEM;
    }
    ret->where = n->where;
    if (!is_known(into, ret->text))
        return 1;
    node_fault(l, n, "%s is listed twice", ret->text);
    free(ret->text);
    return 0;
}

int check_join_list(struct load *l, const struct node *n, void *into) {
    struct config_listener *listener = into;

    if (n->type != NODE_LIST) {
        node_fault(l, n, "write a list of strings, for example [ \"239.1.2.3\" ]");
        return 0;
    }
    if (n->n_children > CONFIG_JOINS_MAX) {
        node_fault(l, n, "more than %d groups", CONFIG_JOINS_MAX);
        return 0;
    }
    listener->joins = calloc(n->n_children + 1, sizeof(*listener->joins));
    if (!listener->joins)
        return -ENOMEM;
    for (size_t i = 0; i < n->n_children; i++) {
        struct config_join join = { 0 };
        int r = take(l, n->children[i], listener, &join);

        if (r < 0)
            return r;
        if (r > 0)
            listener->joins[listener->n_joins++] = join;
    }
    return 0;
}
