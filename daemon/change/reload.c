/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "event.h"
#include "faults_log.h"
#include "helper.h"
#include "internal.h"
#include "plan.h"

/* One reload on its way. */
struct reload {
    struct job job;
    struct config *config;
    struct config_faults faults;
    struct plan *plan;
    struct transaction transaction;
    struct message settled;
    struct settings requested;
    uint64_t keys;
    const char **added, **removed, **changed;
    reload_done_fn done;
    void *userdata;
};

static struct reload *of_job(struct job *job) {
    return CONTAINER_OF(job, struct reload, job);
}

static void reload_free(struct reload *r) {
    transaction_end(&r->transaction);
    plan_free(r->plan);
    config_unref(r->config);
    config_faults_done(&r->faults);
    settings_done(&r->requested);
    free(r->added);
    free(r->removed);
    free(r->changed);
    free(r);
}

static void log_refused(const struct reload *r) {
    faults_log(&r->faults);
    event_log(EVENT_CONFIG_KEPT, EVENT_NO_FIELDS, "reload refused: the earlier configuration stays in force");
}

static void log_loaded(const struct reload *r) {
    const struct change_who *who = &r->job.who;
    unsigned n = change_runtime_values(r->job.change);
    char uid[16], pid[16];

    snprintf(uid, sizeof(uid), "%u", who->uid);
    snprintf(pid, sizeof(pid), "%d", who->pid);
    event_log(EVENT_CONFIG_LOADED, EVENT_FIELDS({ FIELD_UID, uid }, { FIELD_PID, pid }),
              "configuration loaded: %zu listener%s%s, by uid %s", r->config->n_listeners,
              r->config->n_listeners == 1 ? "" : "s", n ? "; runtime changes stay in force on top" : "", uid);
    for (size_t i = 0; i < r->transaction.n_items; i++) {
        const struct transaction_item *item = &r->transaction.items[i];
        const struct change_scope scope = { .target = item->listener->name, .narrowing = "", .reload = true };
        const struct change_answer a = {
            .keys = item->keys,
            .old = &item->from->settings,
            .requested = &item->to->settings,
            .tally = &r->transaction.tally,
        };

        report_change(&scope, &a, who);
    }
}

static bool needs_restart(const struct reload *r) {
    const struct net *net = r->job.change->net;

    return r->config && r->config->daemon.workers != 0 && r->config->daemon.workers != net->n_workers;
}

static void answer(struct reload *r, enum change_status status, const char *reason) {
    struct change *c = r->job.change;
    static const char *const none[] = { NULL }, *const workers[] = { "daemon.workers", NULL };
    const struct reload_answer a = {
        .status = status,
        .reason = reason,
        .faults = &r->faults,
        .tally = &r->transaction.tally,
        .keys = r->keys,
        .requested = &r->requested,
        .added = r->added ? r->added : none,
        .removed = r->removed ? r->removed : none,
        .changed = r->changed ? r->changed : none,
        .restart = needs_restart(r) ? workers : none,
    };

    if (status == CHANGE_DONE)
        log_loaded(r);
    else
        log_refused(r);
    if (c->on_reload)
        c->on_reload(false, c->on_reload_userdata);
    r->done(&a, r->userdata);
    reload_free(r);
    if (c->active)
        change_job_done(c);
}

static void refuse(struct job *job, enum change_status status, const char *reason) {
    struct reload *r = of_job(job);
    const struct reload_answer a = { .status = status, .reason = reason };

    r->done(&a, r->userdata);
    reload_free(r);
}

static bool same_text(const char *a, const char *b) {
    return a && b ? streq(a, b) : a == b;
}

static bool same_listen(const struct config_listener *a, const struct config_listener *b) {
    if (a->n_listen != b->n_listen)
        return false;
    for (size_t i = 0; i < a->n_listen; i++)
        if (!streq(a->listen[i].text, b->listen[i].text))
            return false;
    return true;
}

/* Do the files say something else of a listener that stays, or does its profile? */
static bool has_changed(const struct reload *r, const struct plan_listener *pl) {
    const struct config_listener *now = pl->conf, *before = config_listener(r->job.change->config, now->name);

    if (pl->added || !before)
        return false;
    return (settings_diff(&pl->listener->view->set->settings, &pl->view->set->settings) & config_listener_keys(now)) ||
           !same_text(before->target, now->target) || before->framing != now->framing ||
           !same_text(before->reply, now->reply) || before->journal_rate != now->journal_rate ||
           before->journal_size != now->journal_size ||
           !same_text(before->profile ? before->profile->name : NULL, now->profile ? now->profile->name : NULL) ||
           !config_forward_equal(before->forward, now->forward) || !same_listen(before, now);
}

/* Names of what came, went and changed, for the answer. */
static int note_names(struct reload *r) {
    size_t n = r->plan->n_listeners, n_added = 0, n_changed = 0;

    r->added = calloc(n + 1, sizeof(*r->added));
    r->changed = calloc(n + 1, sizeof(*r->changed));
    r->removed = calloc(r->plan->n_removed + 1, sizeof(*r->removed));
    if (!r->added || !r->changed || !r->removed)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (r->plan->listeners[i].added)
            r->added[n_added++] = r->plan->listeners[i].conf->name;
        else if (has_changed(r, &r->plan->listeners[i]))
            r->changed[n_changed++] = r->plan->listeners[i].conf->name;
    for (size_t i = 0; i < r->plan->n_removed; i++)
        r->removed[i] = r->plan->removed[i]->name;
    return 0;
}

/* Listeners that stay and whose settings differ. */
static int add_items(struct reload *r) {
    struct transaction *t = &r->transaction;

    t->net = r->job.change->net;
    t->flows = true;
    t->items = calloc(MAX(r->plan->n_listeners, (size_t) 1), sizeof(*t->items));
    if (!t->items)
        return -ENOMEM;
    for (size_t i = 0; i < r->plan->n_listeners; i++) {
        struct plan_listener *pl = &r->plan->listeners[i];
        struct effective *from = pl->added ? NULL : pl->listener->view->set;
        uint64_t keys = from ? settings_diff(&from->settings, &pl->view->set->settings) : 0;

        keys &= config_listener_keys(pl->conf);

        if (!keys)
            continue;
        t->items[t->n_items++] = (struct transaction_item){
            .listener = pl->listener,
            .view = listener_view_ref(pl->view),
            .from = effective_ref(from),
            .to = effective_ref(pl->view->set),
            .keys = keys,
        };
        r->keys |= keys;
        settings_merge(&r->requested, &pl->view->set->settings, keys);
    }
    return 0;
}

static void on_committed(void *userdata) {
    struct reload *r = userdata;
    struct change *c = r->job.change;

    config_unref(c->config);
    c->config = config_ref(r->config);
    upstreams_begin(c->net);
    answer(r, CHANGE_DONE, NULL);
}

/* A fault for each listener that was to have the value: any of them may be the one. */
static void add_fault(struct reload *r, enum setting_id id) {
    const struct tally_key *k = &r->transaction.tally.key[id];

    for (size_t i = 0; i < r->transaction.n_items; i++) {
        const struct transaction_item *item = &r->transaction.items[i];
        const struct config_listener *conf = config_listener(r->config, item->listener->name);
        char key[CONFIG_NAME_MAX + 64];

        if (!(item->keys & SETTING_BIT(id)))
            continue;
        snprintf(key, sizeof(key), "listeners.%s.%s", conf->name, setting_by_id(id)->name);
        config_faults_add(&r->faults, &conf->where, key, "%u socket%s refused it: %s; %s", k->failed,
                          k->failed == 1 ? "" : "s", qos_failure_cause(id, k->error), qos_failure_remedy(id, k->error));
    }
}

/* What is left when the settings took cannot fail. */
static void on_transaction(struct transaction *t) {
    struct reload *r = t->userdata;

    if (t->failed) {
        for (enum setting_id id = 0; id < SETTING_MAX; id++)
            if (t->tally.key[id].failed)
                add_fault(r, id);
        answer(r, CHANGE_FAILED, NULL);
        return;
    }
    plan_commit(r->plan, on_committed, r);
}

/* Names of new upstreams have been asked for: no flow comes too early. */
static void on_settled(struct message *message, void *owner) {
    struct reload *r = CONTAINER_OF(message, struct reload, settled);

    if (r->job.change->stopped) {
        answer(r, CHANGE_BUSY, "the daemon is stopping");
        return;
    }
    transaction_run(&r->transaction, on_transaction, r);
}

static struct effective *resolve(const struct config_listener *conf, void *userdata) {
    return overlays_resolve(userdata, conf);
}

static void run(struct job *job) {
    struct reload *r = of_job(job);
    struct change *c = job->change;
    int result;

    if (c->on_reload)
        c->on_reload(true, c->on_reload_userdata);
    result = config_load(c->path, c->schema, &r->config, &r->faults);
    if (result >= 0)
        result = plan_new(c->net, r->config, resolve, &c->overlays, &r->faults, &r->plan);
    if (result >= 0)
        result = add_items(r);
    if (result >= 0)
        result = note_names(r);
    if (result < 0) {
        answer(r, result == -ENOMEM ? CHANGE_NO_MEMORY : CHANGE_FAILED, NULL);
        return;
    }
    if (needs_restart(r))
        event_log(EVENT_SETTING_LIMITED, EVENT_FIELDS({ FIELD_SETTING, "workers" }),
                  "workers = %u takes effect at the next restart; %u are running", r->config->daemon.workers,
                  c->net->n_workers);
    r->settled.handle = on_settled;
    helper_settle(&c->net->mailbox, &r->settled);
}

void change_reload(struct change *c, const struct change_who *who, reload_done_fn done, void *userdata) {
    struct reload *r = calloc(1, sizeof(*r));
    const struct reload_answer no_memory = { .status = CHANGE_NO_MEMORY };

    if (!r) {
        done(&no_memory, userdata);
        return;
    }
    r->done = done;
    r->userdata = userdata;
    r->job.run = run;
    r->job.refuse = refuse;
    change_queue(c, &r->job, who);
}
