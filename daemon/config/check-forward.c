/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "check.h"
#include "dscp.h"
#include "reason.h"

#define SEC ((int64_t) USEC_PER_SEC)
#define HOUR (3600 * SEC)

static struct config_forward *of(void *into) {
    return ((struct config_listener *) into)->forward;
}

int check_forward_begin(struct config_listener *into) {
    struct config_forward *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    into->forward = f;
    f->max_failures = 3;
    f->failure_window_usec = 10 * SEC;
    f->retry_after_usec = 10 * SEC;
    for (unsigned i = 0; i < ARRAY_SIZE(f->dscp_map); i++)
        f->dscp_map[i] = (uint8_t) i;
    r = cidr_list_parse("none", &f->accept_proxy, NULL);
    return MIN(r, 0);
}

static bool is_known(const struct config_forward *f, const char *text) {
    for (size_t i = 0; i < f->n_upstreams; i++)
        if (streq(f->upstreams[i].text, text))
            return true;
    return false;
}

static int take_upstream(struct load *l, const struct node *n, struct config_forward *f) {
    struct config_upstream *u = &f->upstreams[f->n_upstreams];
    _cleanup_free_ char *reason = NULL;
    int r;

    if (n->type != NODE_STRING) {
        node_fault(l, n, "write an upstream as a string, for example \"tcp:127.0.0.1:9000\"");
        return 0;
    }
    r = config_upstream_parse(n->text, u, &reason);
    if (r == -EINVAL)
        node_fault(l, n, "%s", reason);
    if (r < 0)
        return r == -EINVAL ? 0 : r;
    if (is_known(f, u->text)) {
        node_fault(l, n, "%s is listed twice", u->text);
        config_upstream_done(u);
        return 0;
    }
    u->where = n->where;
    f->n_upstreams++;
    return 0;
}

static int take_upstreams(struct load *l, const struct node *n, void *into) {
    struct config_forward *f = of(into);

    if (n->type != NODE_LIST) {
        node_fault(l, n, "write a list of strings, for example [ \"tcp:127.0.0.1:9000\" ]");
        return 0;
    }
    if (n->n_children > CONFIG_UPSTREAMS_MAX) {
        node_fault(l, n, "more than %d upstreams", CONFIG_UPSTREAMS_MAX);
        return 0;
    }
    f->upstreams = calloc(n->n_children + 1, sizeof(*f->upstreams));
    if (!f->upstreams)
        return -ENOMEM;
    for (size_t i = 0; i < n->n_children; i++) {
        int r = take_upstream(l, n->children[i], f);

        if (r < 0)
            return r;
    }
    return 0;
}

static int take_upstream_profile(struct load *l, const struct node *n, void *into) {
    int r = check_profile_name(l, n, &of(into)->profile);

    return MIN(r, 0);
}

static int take_balance(struct load *l, const struct node *n, void *into) {
    size_t i;
    int r = check_word(l, n, "balance", config_balance_names(), &i);

    if (r > 0)
        of(into)->balance = (enum balance) i;
    return MIN(r, 0);
}

static int take_proxy_protocol(struct load *l, const struct node *n, void *into) {
    static const char *const names[] = { [PROXY_OFF] = "off", [PROXY_V1] = "v1", [PROXY_V2] = "v2", NULL };
    size_t i;
    int r = check_word(l, n, "proxy_protocol", names, &i);

    if (r > 0)
        of(into)->proxy_protocol = (enum proxy_protocol) i;
    return MIN(r, 0);
}

static int take_accept_proxy(struct load *l, const struct node *n, void *into) {
    static const struct setting row = { .name = "accept_proxy", .type = SETTING_TYPE_CIDR_LIST, .syntax = "PREFIX" };
    union setting_value v;
    int r = check_prefixes(l, n, &row, &v);

    if (r <= 0)
        return r;
    cidr_list_unref(of(into)->accept_proxy);
    of(into)->accept_proxy = v.cidrs;
    return 0;
}

static int take_source(struct load *l, const struct node *n, void *into) {
    struct config_forward *f = of(into);
    char quoted[REASON_QUOTE_MAX];

    if (n->type == NODE_STRING && streq(n->text, "client")) {
        f->source = FORWARD_SOURCE_CLIENT;
        return 0;
    }
    if (n->type != NODE_STRING || address_parse_host(n->text, &f->source_address) < 0) {
        node_fault(l, n, "%s is no address, write \"client\" or for example \"192.0.2.1\"",
                   n->type == NODE_STRING ? reason_quote(n->text, quoted) : "this");
        return 0;
    }
    f->source = FORWARD_SOURCE_ADDRESS;
    return 0;
}

/* "EF=AF41" */
static bool parse_mapping(const char *text, int *ret_from, int *ret_to) {
    const char *sign = strchr(text, '=');
    char from[DSCP_TEXT_MAX + 8];

    if (!sign || (size_t) (sign - text) >= sizeof(from))
        return false;
    memcpy(from, text, (size_t) (sign - text));
    from[sign - text] = '\0';
    *ret_from = dscp_parse(from);
    *ret_to = dscp_parse(sign + 1);
    return *ret_from >= 0 && *ret_to >= 0;
}

static int take_dscp_map(struct load *l, const struct node *n, void *into) {
    struct config_forward *f = of(into);
    char quoted[REASON_QUOTE_MAX], name[DSCP_TEXT_MAX];
    bool seen[64] = { false };
    int from, to;

    if (n->type != NODE_LIST) {
        node_fault(l, n, "write a list of strings, for example [ \"EF=AF41\", \"CS1=LE\" ]");
        return 0;
    }
    for (size_t i = 0; i < n->n_children; i++) {
        const struct node *item = n->children[i];

        if (item->type != NODE_STRING || !parse_mapping(item->text, &from, &to)) {
            node_fault(l, item, "%s maps no mark, write two names or numbers, for example \"EF=AF41\"",
                       item->type == NODE_STRING ? reason_quote(item->text, quoted) : "this");
            continue;
        }
        if (seen[from])
            node_fault(l, item, "%s is mapped twice", dscp_format((unsigned) from, name));
        seen[from] = true;
        f->dscp_map[from] = (uint8_t) to;
    }
    return 0;
}

/* Keys that are a number, by where it goes. */
static int take_number(struct load *l, const struct node *n, const struct setting *row, int64_t *into) {
    int r = check_number(l, n, row, into);

    return MIN(r, 0);
}

static int take_check_interval(struct load *l, const struct node *n, void *into) {
    static const struct setting row = {
        .name = "check_interval", .type = SETTING_TYPE_DURATION, .min = SEC / 10, .max = HOUR, .zero_word = "off"
    };

    return take_number(l, n, &row, &of(into)->check_interval_usec);
}

static int take_max_failures(struct load *l, const struct node *n, void *into) {
    static const struct setting row = { .name = "max_failures", .type = SETTING_TYPE_INTEGER, .min = 1, .max = 1000 };

    return take_number(l, n, &row, &of(into)->max_failures);
}

static int take_failure_window(struct load *l, const struct node *n, void *into) {
    static const struct setting row = {
        .name = "failure_window", .type = SETTING_TYPE_DURATION, .min = SEC / 10, .max = HOUR
    };

    return take_number(l, n, &row, &of(into)->failure_window_usec);
}

static int take_retry_after(struct load *l, const struct node *n, void *into) {
    static const struct setting row = {
        .name = "retry_after", .type = SETTING_TYPE_DURATION, .min = SEC / 10, .max = HOUR
    };

    return take_number(l, n, &row, &of(into)->retry_after_usec);
}

const struct check_key forward_keys[] = {
    { "upstream", "forward", take_upstreams },        { "upstream_profile", "forward", take_upstream_profile },
    { "balance", "forward", take_balance },           { "proxy_protocol", "forward", take_proxy_protocol },
    { "accept_proxy", "forward", take_accept_proxy }, { "source", "forward", take_source },
    { "dscp_map", "forward", take_dscp_map },         { "check_interval", "forward", take_check_interval },
    { "max_failures", "forward", take_max_failures }, { "failure_window", "forward", take_failure_window },
    { "retry_after", "forward", take_retry_after },
};
const size_t n_forward_keys = ARRAY_SIZE(forward_keys);

void check_forward_end(struct load *l, const struct node *group, const struct config_listener *listener) {
    const struct node *n = node_child(group, "upstream");

    if (!n && !l->partial)
        node_fault(l, group, "the upstream is missing: upstream = [ \"tcp:ADDRESS:PORT\" ]");
    else if (n && n->type == NODE_LIST && n->n_children == 0)
        node_fault(l, n, "the list of upstreams is empty");
    if (listener->framing != FRAMING_CHUNK)
        node_fault(l, node_child(group, "framing"), "target 'forward' passes bytes on as they come, without framing");
}
