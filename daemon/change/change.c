/* SPDX-License-Identifier: MIT */
#include "change.h"

#include <errno.h>

#include "event.h"
#include "helper.h"
#include "internal.h"
#include "plan.h"

int change_target_parse(const char *text, struct change_target *ret) {
    static const char prefix[] = "profile:";
    struct change_target target = { .name = text };

    if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
        target = (struct change_target){ true, text + sizeof(prefix) - 1 };
    if (!config_name_valid(target.name))
        return -EINVAL;
    *ret = target;
    return 0;
}

int change_new(struct net *net, const char *config_path, const struct config_schema *schema, struct change **ret) {
    struct change *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    *c = (struct change){ .net = net, .path = strdup(config_path), .schema = schema, .next_id = 1 };
    if (!c->path) {
        free(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

struct change *change_free(struct change *c) {
    if (!c)
        return NULL;
    overlays_done(&c->overlays);
    config_unref(c->config);
    free(c->path);
    free(c);
    return NULL;
}

/* ---- one after the other ---- */

static void run_next(struct change *c) {
    struct job *job = c->waiting;

    if (c->active || !job)
        return;
    c->waiting = job->next;
    c->n_waiting--;
    c->active = job;
    job->run(job);
}

void change_queue(struct change *c, struct job *job, const struct change_who *who) {
    struct job **at = &c->waiting;

    job->change = c;
    job->id = c->next_id++;
    job->who = *who;
    job->next = NULL;
    if (c->stopped) {
        job->refuse(job, CHANGE_BUSY, "the daemon is stopping");
        return;
    }
    if (c->n_waiting >= CHANGE_WAITING_MAX) {
        job->refuse(job, CHANGE_BUSY, "too many changes are waiting");
        return;
    }
    while (*at)
        at = &(*at)->next;
    *at = job;
    c->n_waiting++;
    run_next(c);
}

void change_job_done(struct change *c) {
    c->active = NULL;
    run_next(c);
}

void change_stop(struct change *c) {
    c->stopped = true;
    for (struct job *job; (job = c->waiting);) {
        c->waiting = job->next;
        c->n_waiting--;
        job->refuse(job, CHANGE_BUSY, "the daemon is stopping");
    }
}

/* ---- the first configuration ---- */

static struct effective *resolve(const struct config_listener *conf, void *userdata) {
    return overlays_resolve(userdata, conf);
}

/* Nothing else is going on yet: the main thread waits. */
struct beginning {
    struct message settled;
    bool done;
};

static void on_settled(struct message *message, void *owner) {
    CONTAINER_OF(message, struct beginning, settled)->done = true;
}

static void on_begun(void *userdata) {
    ((struct beginning *) userdata)->done = true;
}

static void await(const struct change *c, struct beginning *b) {
    while (!b->done)
        mailbox_wait(&c->net->mailbox, c->net);
    b->done = false;
}

void upstreams_begin(const struct net *net) {
    for (size_t i = 0; i < net->n_listeners; i++) {
        struct forward *f = net->listeners[i]->draining ? NULL : forward_of_listener(net->listeners[i]);

        if (f)
            forward_begin(f);
    }
}

int change_begin(struct change *c, struct config *config, struct config_faults *faults) {
    struct plan *plan;
    struct beginning beginning = { .settled.handle = on_settled };
    int r = plan_new(c->net, config, resolve, &c->overlays, faults, &plan);

    if (r < 0)
        return r;
    helper_settle(&c->net->mailbox, &beginning.settled);
    await(c, &beginning);
    plan_commit(plan, on_begun, &beginning);
    await(c, &beginning);
    plan_free(plan);
    c->config = config_ref(config);
    upstreams_begin(c->net);
    return 0;
}

void change_observe_reload(struct change *c, void (*fn)(bool begins, void *userdata), void *userdata) {
    c->on_reload = fn;
    c->on_reload_userdata = userdata;
}

/* ---- looking ---- */

bool change_idle(const struct change *c) {
    return !c->active;
}

const struct config *change_config(const struct change *c) {
    return c->config;
}

unsigned change_runtime_values(const struct change *c) {
    unsigned n = overlays_count(&c->overlays);

    for (size_t i = 0; i < c->net->n_listeners; i++) {
        const struct listener *l = c->net->listeners[i];
        const struct forward *f = l->draining ? NULL : forward_of_listener(l);

        n += f ? forward_runtime_changes(f) : 0;
    }
    return n;
}

int change_profile(const struct change *c, const char *name, struct settings *ret, uint8_t *origin) {
    const struct config_profile *p = config_profile(c->config, name);

    if (!p)
        return -ENOENT;
    *ret = (struct settings){ 0 };
    settings_merge(ret, &p->settings, p->settings.set_mask);
    if (origin)
        memset(origin, ORIGIN_PROFILE_FILE, SETTING_MAX);
    for (size_t i = 0; i < c->overlays.n; i++) {
        const struct overlay *o = &c->overlays.items[i];

        if (!o->profile || !streq(o->name, name))
            continue;
        settings_merge(ret, &o->settings, o->settings.set_mask);
        for (enum setting_id id = 0; id < SETTING_MAX; id++)
            if (origin && settings_has(&o->settings, id))
                origin[id] = ORIGIN_PROFILE_RUNTIME;
    }
    return 0;
}
