/* SPDX-License-Identifier: MIT */
#include "flow_change.h"

#include <errno.h>

#include "engine.h"
#include "rate.h"

static int remember(struct transaction_worker *tw, const struct flow *f) {
    if (f->id.slot >= tw->n_before) {
        uint32_t n = MAX(f->id.slot + 1, tw->n_before * 2);
        struct flow_before *before = reallocarray(tw->before, n, sizeof(*before));

        if (!before)
            return -ENOMEM;
        memset(before + tw->n_before, 0, (n - tw->n_before) * sizeof(*before));
        tw->before = before;
        tw->n_before = n;
    }
    effective_unref(tw->before[f->id.slot].set);
    tw->before[f->id.slot] = (struct flow_before){ f->id.generation, effective_ref(f->client.set) };
    return 0;
}

static struct effective *make(struct effective *from, const struct transaction_item *item, uint64_t keys) {
    struct effective *to;

    /* The usual case: the flow had what its listener had. */
    if (item->view && from == item->from && keys == item->keys)
        return effective_ref(item->to);
    to = effective_copy(from);
    if (!to)
        return NULL;
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (keys & SETTING_BIT(id))
            effective_apply(to, &item->to->settings, SETTING_BIT(id), item->to->origin[id]);
    return to;
}

/* One reference; NULL when out of memory. */
static struct effective *derive(struct transaction_worker *tw, struct effective *from,
                                const struct transaction_item *item, uint64_t keys) {
    struct derived *d;
    struct effective *to;

    for (unsigned i = 0; i < DERIVED_MAX; i++)
        if (tw->derived[i].from == from && tw->derived[i].keys == keys)
            return effective_ref(tw->derived[i].to);
    to = make(from, item, keys);
    if (!to)
        return NULL;
    d = &tw->derived[tw->next_derived++ % DERIVED_MAX];
    effective_unref(d->from);
    effective_unref(d->to);
    *d = (struct derived){ effective_ref(from), effective_ref(to), keys };
    return to;
}

struct counting {
    struct transaction_worker *tw;
    bool narrow;
};

static void count(enum setting_id id, const struct qos_result *result, void *userdata) {
    struct counting *c = userdata;
    struct qos_result counted = *result;

    /* A change of this flow alone has no new flows to wait for. */
    if (c->narrow && result->outcome == QOS_DEFERRED)
        counted.outcome = QOS_NOT_APPLICABLE;
    tally_add(&c->tw->tally, id, &counted, false);
}

static bool is_daemon_setting(enum setting_id id) {
    return setting_by_id(id)->carriers == CARRIER_DAEMON;
}

/* Asked when a flow begins, and not again. */
#define ADMISSION_KEYS                                                                                                 \
    (SETTING_BIT(SETTING_MAX_CONNECTIONS) | SETTING_BIT(SETTING_MAX_CONNECTIONS_PER_SOURCE) |                          \
     SETTING_BIT(SETTING_ALLOW) | SETTING_BIT(SETTING_DENY))

static void apply_daemon_setting(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                                 struct qos_result *ret) {
    const struct engine *engine = engine_of(f);

    rate_change(w, f, id, set);
    if (engine->unused & SETTING_BIT(id))
        *ret = (struct qos_result){ .outcome = QOS_NOT_APPLICABLE };
    else if (ADMISSION_KEYS & SETTING_BIT(id))
        *ret = (struct qos_result){ .outcome = QOS_DEFERRED,
                                    .reason = "counts when a flow begins; established flows stay" };
    else
        engine->apply(w, f, id, set, ret);
}

/* Returns the keys that the flow keeps as they were. */
static uint64_t apply_daemon_settings(struct worker *w, struct flow *f, const struct settings *set, uint64_t keys,
                                      struct counting *c) {
    uint64_t kept = 0;

    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        struct qos_result result;

        if (!(keys & SETTING_BIT(id)) || !is_daemon_setting(id))
            continue;
        apply_daemon_setting(w, f, id, set, &result);
        if (result.outcome == QOS_DEFERRED)
            kept |= SETTING_BIT(id);
        if (c)
            count(id, &result, c);
    }
    return kept;
}

/* Socket options of the client leg. */
static uint64_t client_keys(uint64_t keys) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (is_daemon_setting(id))
            keys &= ~SETTING_BIT(id);
    return keys & ~SETTINGS_UPSTREAM;
}

/* A session of UDP has no socket of its own there: its endpoint's is changed with the listener. */
static int apply_client(const struct flow *f, const struct effective *to, uint64_t keys, qos_each_fn each,
                        void *userdata) {
    struct qos_socket s = flow_qos_socket(f, f->endpoint->socket.domain);

    return f->datagrams ? 0 : qos_apply(&s, &to->settings, client_keys(keys), &f->endpoint->baseline, each, userdata);
}

static void count_upstream(enum setting_id id, const struct qos_result *result, void *userdata) {
    count(SETTING_UPSTREAM + id, result, userdata);
}

static const struct qos_baseline *fresh_baseline(struct transaction_worker *tw, int domain) {
    struct qos_socket s = { .fd = -EBADF, .domain = domain, .type = SOCK_STREAM };

    if (tw->fresh_domain == domain)
        return &tw->fresh;
    s.fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s.fd < 0)
        return NULL; /* what is inherited stays as it is */
    qos_baseline_capture(&s, &tw->fresh);
    tw->fresh_domain = domain;
    close_fd(s.fd);
    return &tw->fresh;
}

/* The upstream leg's options, under the client leg's ids. */
static int apply_upstream(struct transaction_worker *tw, const struct flow *f, const struct effective *to,
                          uint64_t keys, struct counting *c) {
    struct qos_socket s;
    socklen_t size = sizeof(s.domain);

    keys = client_keys(keys >> SETTING_UPSTREAM);
    if (!keys || !engine_of(f)->upstream)
        return 0;
    s = engine_of(f)->upstream(f);
    if (s.fd < 0 || getsockopt(s.fd, SOL_SOCKET, SO_DOMAIN, &s.domain, &size) < 0 || s.domain == AF_UNIX)
        return 0; /* one that is connected later has it then; a Unix socket has none of this */
    return qos_apply(&s, &to->upstream, keys, fresh_baseline(tw, s.domain), c ? count_upstream : NULL, c);
}

/* With dscp = reflect the mark received wins over the socket's base mark. */
static void reflect(struct flow *f) {
    struct qos_socket s = flow_qos_socket(f, f->endpoint->socket.domain);
    const struct settings *set = &f->client.set->settings;

    if (!settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT &&
        f->received_label != QOS_MARK_NONE)
        (void) qos_set_tos(&s, f->received_tos & 0xfc, set, &f->endpoint->baseline);
}

static void swap(struct worker *w, struct flow *f, struct effective *to) {
    effective_unref(f->client.set);
    f->client.set = to;
    engine_of(f)->changed(w, f);
}

static uint64_t keys_for(const struct flow *f, const struct transaction_item *item) {
    uint64_t keys = item->keys;

    for (enum setting_id id = 0; item->overrides_only && id < SETTING_MAX; id++)
        if (f->client.set->origin[id] != ORIGIN_FLOW)
            keys &= ~SETTING_BIT(id);
    return keys;
}

void flow_change_apply(struct transaction_worker *tw, struct worker *w, struct flow *f,
                       const struct transaction_item *item) {
    const struct qos_result no_memory = { .outcome = QOS_FAILED, .error = -ENOMEM };
    struct counting c = { tw, item->view == NULL };
    uint64_t keys = keys_for(f, item), kept;
    struct effective *to;

    if (item->view && f->client.set == item->to)
        return; /* born since, with the new settings */
    tw->n_flows++;
    if (keys == 0)
        return;
    if (remember(tw, f) < 0) {
        count((enum setting_id) __builtin_ctzll(keys), &no_memory, &c);
        return;
    }
    if (c.narrow)
        settings_merge(&tw->old, &f->client.set->settings, keys & ~tw->old.set_mask);
    kept = apply_daemon_settings(w, f, &item->to->settings, keys, &c);
    to = derive(tw, f->client.set, item, keys & ~kept);
    if (!to) {
        count((enum setting_id) __builtin_ctzll(keys), &no_memory, &c);
        return;
    }
    /* From the flow's own set: the priority that stands behind a new mark may be this flow's alone. */
    (void) apply_client(f, to, keys, count, &c);
    (void) apply_upstream(tw, f, to, keys, &c);
    swap(w, f, to);
    if (keys & SETTING_BIT(SETTING_DSCP))
        reflect(f);
}

void flow_change_undo(struct transaction_worker *tw, struct worker *w, struct flow *f,
                      const struct transaction_item *item) {
    struct flow_before *before = f->id.slot < tw->n_before ? &tw->before[f->id.slot] : NULL;
    struct effective *to = NULL;

    if (before && before->set && before->generation == f->id.generation)
        to = before->set;
    else if (item->view && f->client.set == item->to)
        to = item->from;
    if (!to)
        return;
    if (apply_client(f, to, item->keys, NULL, NULL) < 0 || apply_upstream(tw, f, to, item->keys, NULL) < 0)
        tw->undo_failed++;
    (void) apply_daemon_settings(w, f, &to->settings, item->keys, NULL);
    swap(w, f, effective_ref(to));
    if (item->keys & SETTING_BIT(SETTING_DSCP))
        reflect(f);
}

void transaction_worker_done(struct transaction_worker *tw) {
    for (uint32_t i = 0; i < tw->n_before; i++)
        effective_unref(tw->before[i].set);
    free(tw->before);
    for (unsigned i = 0; i < DERIVED_MAX; i++) {
        effective_unref(tw->derived[i].from);
        effective_unref(tw->derived[i].to);
    }
    tally_done(&tw->tally);
    settings_done(&tw->old);
}
