/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <syslog.h>

#include "check.h"
#include "files.h"
#include "load.h"
#include "tree.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

DEFINE_CLEANUP(struct config *, config_unref)

static struct config *config_new(void) {
    struct config *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;

    c->refs = 1;
    c->daemon = (struct config_daemon){
        .drain_timeout_usec = 10 * USEC_PER_SEC,
        .stats_interval_usec = 60 * USEC_PER_SEC,
        .log_level = LOG_INFO,
    };
    return c;
}

static struct config_forward *forward_free(struct config_forward *f) {
    if (!f)
        return NULL;
    for (size_t i = 0; i < f->n_upstreams; i++)
        config_upstream_done(&f->upstreams[i]);
    free(f->upstreams);
    cidr_list_unref(f->accept_proxy);
    free(f);
    return NULL;
}

static void listener_done(struct config_listener *l) {
    for (size_t i = 0; i < l->n_listen; i++)
        free(l->listen[i].text);
    free(l->listen);
    forward_free(l->forward);
    free(l->reply);
    free(l->name);
    settings_done(&l->settings);
}

static void config_free(struct config *c) {
    for (size_t i = 0; i < c->n_listeners; i++)
        listener_done(&c->listeners[i]);
    for (size_t i = 0; i < c->n_profiles; i++) {
        free(c->profiles[i].name);
        settings_done(&c->profiles[i].settings);
    }
    for (size_t i = 0; c->files && c->files[i]; i++)
        free(c->files[i]);
    free(c->listeners);
    free(c->profiles);
    free(c->files);
    free(c);
}

struct config *config_ref(struct config *c) {
    c->refs++;
    return c;
}

struct config *config_unref(struct config *c) {
    if (c && --c->refs == 0)
        config_free(c);
    return NULL;
}

const struct config_profile *config_profile(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->n_profiles; i++)
        if (streq(c->profiles[i].name, name))
            return &c->profiles[i];
    return NULL;
}

const struct config_listener *config_listener(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->n_listeners; i++)
        if (streq(c->listeners[i].name, name))
            return &c->listeners[i];
    return NULL;
}

uint64_t config_listener_keys(const struct config_listener *l) {
    return l->forward ? SETTINGS_ALL : SETTINGS_ALL & ~SETTINGS_UPSTREAM;
}

bool config_name_valid(const char *name) {
    size_t n = strspn(name, LETTERS "0123456789_-");

    return n > 0 && n <= CONFIG_NAME_MAX && name[n] == '\0' && strchr(LETTERS, name[0]);
}

/* Lays the i-th file on what the earlier ones said. */
static int load_file(struct load *l, size_t i, struct node *root) {
    const char *file = l->config->files[i];
    _cleanup_(node_freep) struct node *tree = NULL;
    _cleanup_free_ char *text = NULL;
    size_t size;

    int r = file_read(l, file, &text, &size);
    if (r == 0)
        r = tree_parse(l, file, (unsigned) i, text, size, &tree);
    if (r == 0)
        r = tree_merge(l, root, tree);
    return r;
}

static int load_all(struct load *l, const char *path) {
    _cleanup_(node_freep) struct node *root = calloc(1, sizeof(*root));

    if (!root)
        return -ENOMEM;
    root->type = NODE_GROUP;

    int r = files_find(l, path);
    if (r < 0)
        return r;
    for (size_t i = 0; l->config->files[i]; i++) {
        r = load_file(l, i, root);
        if (r == -ENOMEM)
            return r;
        if (r < 0)
            l->partial = true;
    }
    return check_tree(l, root);
}

int config_load(const char *path, const struct config_schema *schema, struct config **ret,
                struct config_faults *faults) {
    _cleanup_(config_unrefp) struct config *c = config_new();
    size_t n_before = faults->n;

    if (!c)
        return -ENOMEM;
    struct load l = {
        .config = c,
        .schema = schema,
        .faults = faults,
        .budget = { .keys = SCAN_KEYS_MAX, .elements = SCAN_ELEMENTS_MAX },
    };
    int r = load_all(&l, path);
    faults_sort(faults, n_before);
    if (r < 0)
        return r;
    if (l.failed)
        return -EINVAL;
    *ret = TAKE_PTR(c);
    return 0;
}
