/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

/* One `set` or `unset` on its way. */
struct submission {
    struct job job;
    struct change_request request;
    char *target_name; /* request.target.name points here */
    struct overlays next;
    struct transaction transaction;
    unsigned n_concerned; /* listeners of the target, touched or not */
    uint64_t concerned;   /* keys of any of them that the target is about */
    bool all_keys;        /* unset named none */
    struct settings old, requested;
    change_done_fn done;
    void *userdata;
};

static struct submission *of_job(struct job *job) {
    return CONTAINER_OF(job, struct submission, job);
}

static bool is_narrow(const struct change_request *r) {
    return r->has_flow || r->has_source;
}

static void submission_free(struct submission *s) {
    transaction_end(&s->transaction);
    overlays_done(&s->next);
    settings_done(&s->request.settings);
    settings_done(&s->old);
    settings_done(&s->requested);
    free(s->target_name);
    free(s);
}

static void describe(const struct change_request *r, char *narrowing, size_t size, struct change_scope *ret) {
    char text[ADDRESS_TEXT_MAX], id[FLOW_ID_TEXT_MAX];
    const char *flow = r->has_flow ? flow_id_format(r->flow, id) : NULL;
    const char *source = r->has_source ? cidr_format(&r->source, text) : NULL;

    snprintf(narrowing, size, "%s%s%s%s%s%s", flow ? "flow " : "", flow ? flow : "", flow && source ? ", " : "",
             source ? "source " : "", source ? source : "", r->new_only ? "new flows only" : "");
    *ret = (struct change_scope){ .narrowing = narrowing, .unset = r->unset };
}

static void answer(struct submission *s, enum change_status status, const char *reason) {
    struct change *c = s->job.change;
    char narrowing[192], target[CONFIG_NAME_MAX + 16];
    struct change_scope scope;
    struct change_answer a = {
        .status = status,
        .reason = reason,
        .id = s->job.id,
        .flows = s->transaction.n_flows,
        .undo_failed = s->transaction.undo_failed,
        .keys = s->request.keys,
        .old = &s->old,
        .requested = &s->requested,
        .tally = &s->transaction.tally,
    };

    if (status == CHANGE_DONE || status == CHANGE_FAILED) {
        describe(&s->request, narrowing, sizeof(narrowing), &scope);
        snprintf(target, sizeof(target), "%s%s", s->request.target.profile ? "profile:" : "", s->target_name);
        scope.target = target;
        report_change(&scope, &a, &s->request.who);
    }
    s->done(&a, s->userdata);
    submission_free(s);
    if (c->active)
        change_job_done(c);
}

static void refuse(struct job *job, enum change_status status, const char *reason) {
    struct submission *s = of_job(job);
    const struct change_answer a = { .status = status, .reason = reason, .id = job->id };

    s->done(&a, s->userdata);
    submission_free(s);
}

/* ---- what the change comes to ---- */

/* NULL, or why the parts of the request do not go together. */
static const char *conflict(const struct change_request *r) {
    if (r->new_only && is_narrow(r))
        return "new_only is about flows to come, flow and source about flows that exist";
    return NULL;
}

static bool is_named(const struct config_profile *p, const char *name) {
    return p && streq(p->name, name);
}

/* The keys of a listener that the target of the change is about: all, those of the upstream leg, or none. */
static uint64_t keys_concerned(const struct submission *s, const struct config_listener *conf) {
    const struct change_target *target = &s->request.target;

    if (target->profile ? is_named(conf->profile, target->name) : streq(conf->name, target->name))
        return config_listener_keys(conf);
    if (target->profile && conf->forward && is_named(conf->forward->profile, target->name))
        return SETTINGS_UPSTREAM;
    return 0;
}

/* Keys in which the upstream leg's own profile has a runtime value, which wins over that of the target. */
static uint64_t keys_masked(const struct submission *s, const struct config_listener *conf) {
    const struct config_profile *own = conf->forward ? conf->forward->profile : NULL;

    if (!own || !s->request.target.profile || is_named(own, s->target_name))
        return 0;
    return SETTINGS_UPSTREAM & overlays_keys(&s->next, &(struct change_target){ true, own->name });
}

static struct effective *resolve_narrow(struct submission *s, struct effective *now) {
    struct effective *to = effective_copy(now);

    if (to && !s->request.unset)
        effective_apply(to, &s->request.settings, s->request.keys, ORIGIN_FLOW);
    return to;
}

/* Those of `concerned` in which this change decides for the listener: that nothing of higher precedence covers. */
static uint64_t keys_decided(const struct submission *s, const struct config_listener *conf, uint64_t concerned,
                             const struct effective *from, const struct effective *to) {
    enum origin origin = s->request.target.profile ? ORIGIN_PROFILE_RUNTIME : ORIGIN_LISTENER_RUNTIME;
    const struct effective *decides = s->request.unset ? from : to;
    uint64_t keys = 0;

    concerned &= s->request.keys;
    if (is_narrow(&s->request))
        return concerned;
    if (s->request.unset)
        concerned &= overlays_keys(&s->job.change->overlays, &s->request.target);
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (concerned & SETTING_BIT(id) && decides->origin[id] == origin)
            keys |= SETTING_BIT(id);
    return keys & ~keys_masked(s, conf);
}

static int add_item(struct submission *s, const struct config_listener *conf, struct listener *l, uint64_t concerned) {
    struct transaction_item *item = &s->transaction.items[s->transaction.n_items];
    struct effective *from = l->view->set;

    s->n_concerned++;
    s->concerned |= concerned;
    item->listener = l;
    item->to = is_narrow(&s->request) ? resolve_narrow(s, from) : overlays_resolve(&s->next, conf);
    if (!item->to)
        return -ENOMEM;
    item->keys = keys_decided(s, conf, concerned, from, item->to);
    if (item->keys == 0) { /* what this listener says itself covers all of it */
        item->to = effective_unref(item->to);
        return 0;
    }
    item->from = effective_ref(from);
    item->overrides_only = is_narrow(&s->request) && s->request.unset;
    s->transaction.n_items++;
    if (is_narrow(&s->request))
        return 0;
    item->view = listener_view_new(l, item->to, l->view->target, l->view->framing);
    return item->view ? 0 : -ENOMEM;
}

static int add_items(struct submission *s) {
    const struct config *config = s->job.change->config;

    s->transaction.items = calloc(MAX(config->n_listeners, (size_t) 1), sizeof(*s->transaction.items));
    if (!s->transaction.items)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_listeners; i++) {
        const struct config_listener *conf = &config->listeners[i];
        struct listener *l = net_listener(s->job.change->net, conf->name);
        uint64_t concerned = keys_concerned(s, conf);
        int r = concerned && l ? add_item(s, conf, l, concerned) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* The values of `keys` for a profile: what it says, or what holds where it says nothing. */
static void note_profile_values(struct submission *s, const struct overlays *overlays, struct settings *ret) {
    const struct config_profile *p = config_profile(s->job.change->config, s->target_name);
    struct config_listener probe = { .name = (char[]){ "" }, .profile = p }; /* no listener has this name */
    struct effective *e = overlays_resolve(overlays, &probe);

    if (e)
        settings_merge(ret, &e->settings, s->request.keys);
    effective_unref(e);
}

/* What was and what shall be, for the answer and the journal. */
static void note_values(struct submission *s) {
    const struct transaction_item *first = s->transaction.n_items > 0 ? &s->transaction.items[0] : NULL;
    const struct effective *now;

    if (s->request.target.profile) {
        note_profile_values(s, &s->job.change->overlays, &s->old);
        if (is_narrow(&s->request))
            settings_merge(&s->requested, &s->request.settings, s->request.keys);
        else
            note_profile_values(s, &s->next, &s->requested);
        return;
    }
    now = net_listener(s->job.change->net, s->target_name)->view->set;
    settings_merge(&s->old, &now->settings, s->request.keys);
    if (!s->request.unset)
        settings_merge(&s->requested, &s->request.settings, s->request.keys);
    else
        settings_merge(&s->requested, first ? &first->to->settings : &now->settings, s->request.keys);
}

static const char *untouched_reason(const struct submission *s, enum setting_id id) {
    const struct change_request *r = &s->request;

    if (s->n_concerned == 0)
        return "no listener uses the profile";
    if (id >= SETTING_UPSTREAM && !(s->concerned & SETTING_BIT(id)))
        return "there is no upstream leg: the target is not forward";
    if (!(s->concerned & SETTING_BIT(id)))
        return "listeners use the profile for their upstream leg only";
    if (r->unset && !(overlays_keys(&s->job.change->overlays, &r->target) & SETTING_BIT(id)))
        return "it has no runtime value here";
    return "every listener of the profile says otherwise itself";
}

static void explain_untouched(struct submission *s) {
    uint64_t touched = 0;

    for (size_t i = 0; i < s->transaction.n_items; i++)
        touched |= s->transaction.items[i].keys;
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (s->request.keys & ~touched & SETTING_BIT(id))
            s->transaction.tally.key[id].reason = untouched_reason(s, id);
}

static int prepare_overlays(struct submission *s) {
    const struct change_request *r = &s->request;
    int result = overlays_copy(&s->job.change->overlays, &s->next);

    if (result < 0 || is_narrow(r))
        return result;
    if (!r->unset)
        return overlays_set(&s->next, s->job.id, &r->who, &r->target, &r->settings);
    overlays_unset(&s->next, &r->target, r->keys);
    return 0;
}

/* What took before another key failed has been taken back: the answer must not claim it. */
static void explain_undone(struct submission *s) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        struct tally_key *k = &s->transaction.tally.key[id];

        if (!(s->request.keys & SETTING_BIT(id)) || k->failed > 0)
            continue;
        tally_key_done(k, id);
        k->reason = "not changed, because another key of the change failed";
    }
}

static bool was_touched(const struct tally_key *k) {
    return k->applied_endpoints + k->applied_flows + k->deferred + k->not_applicable + k->failed > 0;
}

/* What only the flows could tell: which keys they had of their own, and which values. */
static void explain_flows(struct submission *s) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        struct tally_key *k = &s->transaction.tally.key[id];

        if (!s->request.unset || !(s->request.keys & SETTING_BIT(id)) || was_touched(k))
            continue;
        if (s->all_keys)
            s->request.keys &= ~SETTING_BIT(id);
        else
            k->reason = "no flow has a value of its own";
    }
    settings_merge(&s->old, &s->transaction.old, s->request.keys);
}

/* ---- the way through ---- */

static void commit(struct submission *s) {
    struct change *c = s->job.change;

    for (size_t i = 0; i < s->transaction.n_items; i++) {
        struct transaction_item *item = &s->transaction.items[i];

        if (!item->view)
            continue;
        listener_view_unref(item->listener->view);
        item->listener->view = listener_view_ref(item->view);
    }
    if (!is_narrow(&s->request)) {
        overlays_done(&c->overlays);
        c->overlays = s->next;
        s->next = (struct overlays){ 0 };
    }
}

static void on_transaction(struct transaction *t) {
    struct submission *s = t->userdata;

    if (t->failed) {
        explain_undone(s);
        answer(s, CHANGE_FAILED, NULL);
        return;
    }
    if (s->request.has_flow && t->n_flows == 0) {
        answer(s, CHANGE_NO_SUCH_FLOW, NULL);
        return;
    }
    if (is_narrow(&s->request))
        explain_flows(s);
    commit(s);
    answer(s, CHANGE_DONE, NULL);
}

static enum change_status find_target(const struct submission *s) {
    struct change *c = s->job.change;

    if (s->request.target.profile)
        return config_profile(c->config, s->target_name) ? CHANGE_DONE : CHANGE_NO_SUCH_PROFILE;
    return net_listener(c->net, s->target_name) ? CHANGE_DONE : CHANGE_NO_SUCH_LISTENER;
}

static void run(struct job *job) {
    struct submission *s = of_job(job);
    struct change_request *r = &s->request;
    enum change_status found = find_target(s);
    const char *reason = conflict(r);

    if (found != CHANGE_DONE || reason) {
        answer(s, reason ? CHANGE_CONFLICT : found, reason);
        return;
    }
    if (!r->unset)
        r->keys = r->settings.set_mask;
    else if (r->keys == 0) {
        s->all_keys = true;
        r->keys = is_narrow(r) ? SETTINGS_ALL : overlays_keys(&job->change->overlays, &r->target);
    }
    if (prepare_overlays(s) < 0 || add_items(s) < 0) {
        answer(s, CHANGE_NO_MEMORY, NULL);
        return;
    }
    if (!(s->concerned & SETTINGS_UPSTREAM))
        r->keys = settings_named(r->keys);
    note_values(s);
    explain_untouched(s);
    s->transaction.net = job->change->net;
    s->transaction.flows = !r->new_only;
    s->transaction.selector = (struct flow_selector){
        .has_flow = r->has_flow,
        .flow = r->flow,
        .has_source = r->has_source,
        .source = r->source,
    };
    transaction_run(&s->transaction, on_transaction, s);
}

void change_submit(struct change *c, struct change_request *request, change_done_fn done, void *userdata) {
    struct submission *s = calloc(1, sizeof(*s));
    const struct change_answer no_memory = { .status = CHANGE_NO_MEMORY };

    if (s)
        s->target_name = strdup(request->target.name);
    if (!s || !s->target_name) {
        free(s);
        settings_done(&request->settings);
        done(&no_memory, userdata);
        return;
    }
    s->request = *request;
    s->request.target.name = s->target_name;
    request->settings = (struct settings){ 0 };
    s->done = done;
    s->userdata = userdata;
    s->job.run = run;
    s->job.refuse = refuse;
    change_queue(c, &s->job, &request->who);
}
