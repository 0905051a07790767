/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "level.h"
#include "suggest.h"

static int take_workers(struct load *l, const struct node *n, void *into) {
    static const struct setting row = {
        .name = "workers", .type = SETTING_TYPE_INTEGER, .min = 1, .max = CONFIG_WORKERS_MAX, .zero_word = "auto"
    };
    struct config_daemon *d = into;
    int64_t workers;

    int r = check_number(l, n, &row, &workers);
    if (r <= 0)
        return r;
    d->workers = (unsigned) workers;
    return 0;
}

static int take_drain_timeout(struct load *l, const struct node *n, void *into) {
    static const struct setting row = { .name = "drain_timeout",
                                        .type = SETTING_TYPE_DURATION,
                                        .max = CONFIG_DRAIN_TIMEOUT_USEC_MAX };
    struct config_daemon *d = into;
    int64_t usec;

    int r = check_number(l, n, &row, &usec);
    if (r <= 0)
        return r;
    d->drain_timeout_usec = (uint64_t) usec;
    return 0;
}

static int take_stats_interval(struct load *l, const struct node *n, void *into) {
    static const struct setting row = { .name = "stats_interval",
                                        .type = SETTING_TYPE_DURATION,
                                        .min = CONFIG_STATS_INTERVAL_USEC_MIN,
                                        .max = CONFIG_STATS_INTERVAL_USEC_MAX,
                                        .zero_word = "off" };
    struct config_daemon *d = into;
    int64_t usec;

    int r = check_number(l, n, &row, &usec);
    if (r <= 0)
        return r;
    d->stats_interval_usec = (uint64_t) usec;
    return 0;
}

static int take_exit_on_idle(struct load *l, const struct node *n, void *into) {
    static const struct setting row = { .name = "exit_on_idle",
                                        .type = SETTING_TYPE_DURATION,
                                        .min = CONFIG_EXIT_ON_IDLE_USEC_MIN,
                                        .max = CONFIG_EXIT_ON_IDLE_USEC_MAX,
                                        .zero_word = "off" };
    struct config_daemon *d = into;
    int64_t usec;

    int r = check_number(l, n, &row, &usec);
    if (r <= 0)
        return r;
    d->exit_on_idle_usec = (uint64_t) usec;
    return 0;
}

static int take_log_level(struct load *l, const struct node *n, void *into) {
    struct config_daemon *d = into;
    size_t level;

    int r = check_word(l, n, "log level", level_names(), &level);
    if (r <= 0)
        return r;
    d->log_level = (int) level;
    return 0;
}

static const struct check_key daemon_keys[] = {
    { "workers", NULL, take_workers },
    { "drain_timeout", NULL, take_drain_timeout },
    { "stats_interval", NULL, take_stats_interval },
    { "exit_on_idle", NULL, take_exit_on_idle },
    { "log_level", NULL, take_log_level },
};

bool check_is_group(struct load *l, const struct node *n) {
    if (n->type == NODE_GROUP)
        return true;
    node_fault(l, n, "write a group: %.64s = { ... };", n->name);
    return false;
}

/* Files name the settings of one leg in a group of its own, without the dot. */
static const char *suggest_setting(const char *name) {
    const char *names[SETTING_OWN_MAX + 8] = { NULL }; /* and aliases */
    const struct setting *row;
    size_t n = 0;

    for (size_t i = 0; (row = setting_row(i)) && n + 1 < ARRAY_SIZE(names); i++)
        if (row->leg == SETTING_LEG_ALL)
            names[n++] = row->name;
    return suggest_near(name, names);
}

void check_unknown_key(struct load *l, const struct node *n, const char *const *words, bool settings) {
    bool full = load_is_full(l);
    const char *near = full ? NULL : suggest_near(n->name, words);

    if (!near && settings && !full)
        near = suggest_setting(n->name);
    if (near)
        node_fault(l, n, "unknown key, did you mean '%s'?", near);
    else
        node_fault(l, n, "unknown key");
}

static bool is_word(const char *name, const char *const *words) {
    for (size_t i = 0; words[i]; i++)
        if (streq(words[i], name))
            return true;
    return false;
}

static void refuse_other_keys(struct load *l, const struct node *group, const char *const *words) {
    for (size_t i = 0; i < group->n_children; i++)
        if (!is_word(group->children[i]->name, words))
            check_unknown_key(l, group->children[i], words, false);
}

static int check_daemon(struct load *l, const struct node *group) {
    const char *words[ARRAY_SIZE(daemon_keys) + 1] = { NULL };

    for (size_t i = 0; i < ARRAY_SIZE(daemon_keys); i++) {
        words[i] = daemon_keys[i].name;
        const struct node *n = node_child(group, daemon_keys[i].name);
        int r = n ? daemon_keys[i].take(l, n, &l->config->daemon) : 0;
        if (r < 0)
            return r;
    }
    refuse_other_keys(l, group, words);
    return 0;
}

/* False, after a fault, if `n` is not a named group. */
static bool check_entry(struct load *l, const struct node *n) {
    if (!config_name_valid(n->name)) {
        node_fault(l, n, "not a name: a letter, then letters, digits, '_' and '-', at most %d in all", CONFIG_NAME_MAX);
        return false;
    }
    return check_is_group(l, n);
}

static void refuse_in_profile(struct load *l, const struct node *n) {
    if (check_is_listener_key(n->name))
        node_fault(l, n, "%s belongs to a listener, not to a profile", n->name);
    else
        check_unknown_key(l, n, check_leg_names, true);
}

static int check_profiles(struct load *l, const struct node *group) {
    struct config *c = l->config;

    c->profiles = calloc(group->n_children + 1, sizeof(struct config_profile));
    if (!c->profiles)
        return -ENOMEM;
    for (size_t i = 0; i < group->n_children; i++) {
        const struct node *n = group->children[i];
        if (c->n_profiles == CONFIG_PROFILES_MAX) {
            node_fault(l, n, "more than %d profiles", CONFIG_PROFILES_MAX);
            return 0;
        }
        if (!check_entry(l, n))
            continue;
        struct config_profile *p = &c->profiles[c->n_profiles++];
        p->where = n->where;
        p->name = strdup(n->name);
        if (!p->name)
            return -ENOMEM;
        int r = check_settings(l, n, refuse_in_profile, &p->settings);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_listeners(struct load *l, const struct node *group) {
    struct config *c = l->config;

    c->listeners = calloc(group->n_children + 1, sizeof(struct config_listener));
    if (!c->listeners)
        return -ENOMEM;
    for (size_t i = 0; i < group->n_children; i++) {
        const struct node *n = group->children[i];
        if (c->n_listeners == CONFIG_LISTENERS_MAX) {
            node_fault(l, n, "more than %d listeners", CONFIG_LISTENERS_MAX);
            break;
        }
        if (!check_entry(l, n))
            continue;
        struct config_listener *listener = &c->listeners[c->n_listeners++];
        listener->where = n->where;
        listener->journal_rate = CONFIG_JOURNAL_RATE_DEFAULT;
        listener->journal_size = CONFIG_JOURNAL_SIZE_DEFAULT;
        listener->name = strdup(n->name);
        if (!listener->name)
            return -ENOMEM;
        int r = check_listener(l, n, listener);
        if (r < 0)
            return r;
    }
    return check_duplicate_endpoints(l);
}

/* Profiles come before the listeners that name them. */
static const struct {
    const char *name;
    int (*check)(struct load *l, const struct node *group);
} sections[] = { { "daemon", check_daemon }, { "profiles", check_profiles }, { "listeners", check_listeners } };

int check_tree(struct load *l, const struct node *root) {
    const char *words[ARRAY_SIZE(sections) + 1] = { NULL };

    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        words[i] = sections[i].name;
        const struct node *n = node_child(root, sections[i].name);
        int r = n && check_is_group(l, n) ? sections[i].check(l, n) : 0;
        if (r < 0)
            return r;
    }
    refuse_other_keys(l, root, words);
    return 0;
}
