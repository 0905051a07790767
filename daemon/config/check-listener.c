/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "check.h"
#include "reason.h"
#include "suggest.h"

int check_profile_name(struct load *l, const struct node *n, const struct config_profile **ret) {
    char quoted[REASON_QUOTE_MAX];

    if (n->type != NODE_STRING) {
        node_fault(l, n, "write a profile's name as a string");
        return 0;
    }
    *ret = config_profile(l->config, n->text);
    if (*ret || l->partial)
        return *ret != NULL;

    const char *names[CONFIG_PROFILES_MAX + 1] = { NULL };
    for (size_t i = 0; i < l->config->n_profiles; i++)
        names[i] = l->config->profiles[i].name;
    const char *near = load_is_full(l) ? NULL : suggest_near(n->text, names);
    reason_quote(n->text, quoted);
    if (near)
        node_fault(l, n, "there is no profile %s, did you mean '%s'?", quoted, near);
    else
        node_fault(l, n, "there is no profile %s", quoted);
    return 0;
}

static int take_profile(struct load *l, const struct node *n, void *into) {
    int r = check_profile_name(l, n, &((struct config_listener *) into)->profile);

    return MIN(r, 0);
}

static int take_target(struct load *l, const struct node *n, void *into) {
    struct config_listener *listener = into;
    size_t i;

    int r = check_word(l, n, "target", l->schema->targets, &i);
    if (r <= 0)
        return r;
    listener->target = l->schema->targets[i];
    return streq(listener->target, "forward") ? check_forward_begin(listener) : 0;
}

static int take_framing(struct load *l, const struct node *n, void *into) {
    struct config_listener *listener = into;
    size_t i;

    int r = check_word(l, n, "framing", frame_names(), &i);
    if (r > 0)
        listener->framing = (enum framing) i;
    return r < 0 ? r : 0;
}

static int take_reply(struct load *l, const struct node *n, void *into) {
    struct config_listener *listener = into;

    if (n->type != NODE_STRING) {
        node_fault(l, n, "write a reply as a string, for example \"Received\"");
        return 0;
    }
    if (n->text[0] == '\0') {
        node_fault(l, n, "the reply is empty, target \"discard\" answers nothing");
        return 0;
    }
    if (strlen(n->text) > CONFIG_REPLY_MAX) {
        node_fault(l, n, "the reply is longer than %d bytes", CONFIG_REPLY_MAX);
        return 0;
    }
    struct frame_wrap wrap;
    if (frame_wrap(frame_ops(listener->framing), n->text, strlen(n->text), &wrap) < 0) {
        node_fault(l, n, "framing '%s' cannot carry this reply: %s", frame_names()[listener->framing], wrap.reason);
        return 0;
    }
    listener->reply = strdup(n->text);
    return listener->reply ? 0 : -ENOMEM;
}

static int take_journal_rate(struct load *l, const struct node *n, void *into) {
    static const struct setting row = {
        .name = "journal_rate", .type = SETTING_TYPE_INTEGER, .min = 1, .max = CONFIG_JOURNAL_RATE_MAX
    };
    struct config_listener *listener = into;

    int r = check_number(l, n, &row, &listener->journal_rate);
    return r < 0 ? r : 0;
}

static int take_journal_size(struct load *l, const struct node *n, void *into) {
    static const struct setting row = {
        .name = "journal_size", .type = SETTING_TYPE_SIZE, .min = 1, .max = CONFIG_JOURNAL_SIZE_MAX
    };
    struct config_listener *listener = into;

    int r = check_number(l, n, &row, &listener->journal_size);
    return r < 0 ? r : 0;
}

/* 1: *ret is filled. */
static int take_endpoint(struct load *l, const struct node *n, struct config_listen *ret) {
    char quoted[REASON_QUOTE_MAX], text[ADDRESS_TEXT_MAX];

    if (n->type != NODE_STRING) {
        node_fault(l, n, "write an endpoint as a string, for example \"tcp:127.0.0.1:8000\"");
        return 0;
    }
    if (address_parse_endpoint(n->text, &ret->type, &ret->address) < 0) {
        node_fault(l, n, "%s is not an endpoint, write for example tcp:127.0.0.1:8000 or udp:[::1]:8000",
                   reason_quote(n->text, quoted));
        return 0;
    }
    if (asprintf(&ret->text, "%s:%s", ret->type == SOCK_STREAM ? "tcp" : "udp", address_format(&ret->address, text)) <
        0) {
        ret->text = NULL;
        return -ENOMEM;
    }
    ret->where = n->where;
    return 1;
}

static int take_listen(struct load *l, const struct node *n, void *into) {
    struct config_listener *listener = into;

    if (n->type != NODE_LIST) {
        node_fault(l, n, "write a list of strings, for example [ \"tcp:127.0.0.1:8000\" ]");
        return 0;
    }
    if (n->n_children > CONFIG_LISTEN_MAX) {
        node_fault(l, n, "more than %d endpoints", CONFIG_LISTEN_MAX);
        return 0;
    }
    listener->where_listen = n->where;
    listener->listen = calloc(n->n_children + 1, sizeof(struct config_listen));
    if (!listener->listen)
        return -ENOMEM;
    for (size_t i = 0; i < n->n_children; i++) {
        int r = take_endpoint(l, n->children[i], &listener->listen[listener->n_listen]);
        if (r < 0)
            return r;
        listener->n_listen += (size_t) r;
    }
    return 0;
}

/* The target comes first: what other keys mean depends on it. */
static const struct check_key keys[] = {
    { "target", NULL, take_target },
    { "profile", NULL, take_profile },
    { "listen", NULL, take_listen },
    { "framing", NULL, take_framing }, /* before the reply, which it must carry */
    { "reply", "ack", take_reply },
    { "journal_rate", "journal", take_journal_rate },
    { "journal_size", "journal", take_journal_size },
};

#define N_WORDS_MAX (ARRAY_SIZE(keys) + 32)

/* Those above, then those of target forward. */
static const struct check_key *key_row(size_t i) {
    if (i < ARRAY_SIZE(keys))
        return &keys[i];
    i -= ARRAY_SIZE(keys);
    return i < n_forward_keys ? &forward_keys[i] : NULL;
}

bool check_is_listener_key(const char *name) {
    const struct check_key *key;

    for (size_t i = 0; (key = key_row(i)); i++)
        if (streq(key->name, name))
            return true;
    return false;
}

static int take_own_keys(struct load *l, const struct node *group, struct config_listener *into) {
    const struct check_key *key;

    for (size_t i = 0; (key = key_row(i)); i++) {
        const struct node *n = node_child(group, key->name);
        int r;

        if (!n)
            continue;
        if (key->target && into->target && !streq(key->target, into->target)) {
            node_fault(l, n, "%s belongs to target '%s', this listener has '%s'", key->name, key->target, into->target);
            continue;
        }
        if (key->target && streq(key->target, "forward") && !into->forward)
            continue; /* there is a fault about the target already */
        r = key->take(l, n, into);
        if (r < 0)
            return r;
    }
    return 0;
}

static void refuse_in_listener(struct load *l, const struct node *n) {
    const char *words[N_WORDS_MAX] = { NULL };
    const struct check_key *key;
    size_t n_words = 0;

    while ((key = key_row(n_words)))
        words[n_words++] = key->name;
    for (size_t i = 0; check_leg_names[i]; i++)
        words[n_words++] = check_leg_names[i];
    if (!check_is_listener_key(n->name))
        check_unknown_key(l, n, words, true);
}

static int require_target(struct load *l, const struct node *group) {
    if (l->partial || node_child(group, "target"))
        return 0;

    _cleanup_free_ char *all = check_join(l->schema->targets, ", ");
    if (!all)
        return -ENOMEM;
    node_fault(l, group, "the target is missing, choose one of %s", all);
    return 0;
}

int check_listener(struct load *l, const struct node *group, struct config_listener *into) {
    int r = require_target(l, group);
    if (r == 0)
        r = take_own_keys(l, group, into);
    if (r == 0)
        r = check_settings(l, group, refuse_in_listener, &into->settings);
    if (r == 0 && into->forward)
        check_forward_end(l, group, into);
    if (r == 0 && !into->reply && into->target && streq(into->target, "ack")) {
        into->reply = strdup("Received");
        if (!into->reply)
            return -ENOMEM;
    }
    return r;
}

struct claim {
    const struct config_listener *listener;
    const struct config_listen *listen;
};

/* By endpoint, then in the order of the files' text. */
static int compare_claims(const void *a, const void *b) {
    const struct claim *x = a, *y = b;

    int r = strcmp(x->listen->text, y->listen->text);
    if (r == 0 && x->listener != y->listener)
        return x->listener < y->listener ? -1 : 1;
    if (r == 0)
        return x->listen < y->listen ? -1 : 1;
    return r;
}

/* Port 0: each entry gets a port of its own. */
static bool asks_for_any_port(const struct config_listen *l) {
    return (l->address.sa.sa_family == AF_INET ? l->address.in.sin_port : l->address.in6.sin6_port) == 0;
}

static int tell_duplicate(struct load *l, const struct claim *first, const struct claim *second) {
    _cleanup_free_ char *key = NULL;

    if (asprintf(&key, "listeners.%s.listen", second->listener->name) < 0) {
        key = NULL;
        return -ENOMEM;
    }
    if (first->listener == second->listener)
        load_fault(l, &second->listen->where, key, "%s is listed twice", second->listen->text);
    else
        load_fault(l, &second->listen->where, key, "%s is already listed by listener '%s'", second->listen->text,
                   first->listener->name);
    return 0;
}

int check_duplicate_endpoints(struct load *l) {
    const struct config *c = l->config;
    size_t n = 0, room = 1;

    for (size_t i = 0; i < c->n_listeners; i++)
        room += c->listeners[i].n_listen;
    _cleanup_free_ struct claim *claims = calloc(room, sizeof(*claims));
    if (!claims)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_listeners; i++)
        for (size_t k = 0; k < c->listeners[i].n_listen; k++)
            if (!asks_for_any_port(&c->listeners[i].listen[k]))
                claims[n++] = (struct claim){ &c->listeners[i], &c->listeners[i].listen[k] };

    qsort(claims, n, sizeof(*claims), compare_claims);
    for (size_t i = 1; i < n; i++) {
        if (!streq(claims[i].listen->text, claims[i - 1].listen->text))
            continue;
        int r = tell_duplicate(l, &claims[i - 1], &claims[i]);
        if (r < 0)
            return r;
    }
    return 0;
}
