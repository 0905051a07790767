/* SPDX-License-Identifier: MIT */
#include "transaction.h"

#include <errno.h>

#include "engine.h"
#include "flow_change.h"

/* ---- endpoints: main thread ---- */

static void count_endpoint(enum setting_id id, const struct qos_result *result, void *userdata) {
    struct transaction *t = userdata;

    tally_add(&t->tally, id, result, true);
}

static uint64_t daemon_keys(uint64_t keys) {
    uint64_t found = 0;

    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (keys & SETTING_BIT(id) && setting_by_id(id)->carriers == CARRIER_DAEMON)
            found |= SETTING_BIT(id);
    return found;
}

static uint64_t endpoint_keys(uint64_t keys) {
    return keys & ~(SETTINGS_UPSTREAM | daemon_keys(keys));
}

static void apply_endpoint(struct transaction *t, const struct transaction_item *item, struct endpoint *e) {
    uint64_t own = daemon_keys(item->keys) & ~SETTINGS_UPSTREAM;
    uint64_t used = own & ~engine_unused(item->view->target->ops, e->socket.type);

    endpoint_touch(e, endpoint_keys(item->keys));
    (void) qos_apply(&e->socket, &item->to->settings, endpoint_keys(item->keys), &e->baseline, count_endpoint, t);
    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        struct qos_result result = { .outcome = QOS_NOT_APPLICABLE };

        if (!(own & SETTING_BIT(id)))
            continue;
        if (used & SETTING_BIT(id))
            result = (struct qos_result){ .has_effective = true, .effective = item->to->settings.v[id] };
        tally_add(&t->tally, id, &result, true);
    }
}

static bool concerned(const struct endpoint *e) {
    return !e->fresh && !e->dropped;
}

/* Calls `fn` for listening sockets first, then for datagram sockets. */
static void each_endpoint(struct transaction *t,
                          void (*fn)(struct transaction *, const struct transaction_item *, struct endpoint *)) {
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

    for (unsigned k = 0; k < ARRAY_SIZE(types); k++)
        for (size_t i = 0; i < t->n_items; i++)
            for (size_t j = 0; j < t->items[i].listener->n_endpoints; j++) {
                struct endpoint *e = t->items[i].listener->endpoints[j];

                if (e->socket.type == types[k] && concerned(e))
                    fn(t, &t->items[i], e);
            }
}

static void try_endpoint(struct transaction *t, const struct transaction_item *item, struct endpoint *e) {
    if (item->view || e->socket.type == SOCK_STREAM)
        (void) !qos_try(&e->socket, &item->to->settings, endpoint_keys(item->keys), &e->baseline, count_endpoint, t);
}

static void change_endpoint(struct transaction *t, const struct transaction_item *item, struct endpoint *e) {
    if (item->view)
        apply_endpoint(t, item, e);
}

static void restore_endpoint(struct transaction *t, const struct transaction_item *item, struct endpoint *e) {
    if (item->view &&
        qos_apply(&e->socket, &item->from->settings, endpoint_keys(item->keys), &e->baseline, NULL, NULL) < 0)
        t->undo_failed++;
}

/* ---- flows: workers ---- */

static struct transaction *of_task(struct task *task) {
    return CONTAINER_OF(task, struct transaction, task);
}

static struct transaction_item *item_of(struct transaction *t, const struct flow *f) {
    for (size_t i = 0; i < t->n_items; i++)
        if (t->items[i].listener == f->view->listener)
            return &t->items[i];
    return NULL;
}

static void publish(struct task *task, struct worker *w) {
    struct transaction *t = of_task(task);

    for (size_t i = 0; i < t->n_items; i++)
        if (t->items[i].view)
            worker_set_view(w, t->items[i].view);
}

static void change_flow(struct task *task, struct worker *w, struct flow *f) {
    struct transaction *t = of_task(task);
    struct transaction_item *item = item_of(t, f);

    if (item && flow_selector_matches(&t->selector, f))
        flow_change_apply(&t->workers[w->index], w, f, item);
}

static struct transaction *of_undo_task(struct task *task) {
    return CONTAINER_OF(task, struct transaction, undo_task);
}

static void publish_old(struct task *task, struct worker *w) {
    struct transaction *t = of_undo_task(task);

    for (size_t i = 0; i < t->n_items; i++)
        if (t->items[i].view)
            worker_set_view(w, t->items[i].listener->view);
}

static void undo_flow(struct task *task, struct worker *w, struct flow *f) {
    struct transaction *t = of_undo_task(task);
    struct transaction_item *item = item_of(t, f);

    if (item)
        flow_change_undo(&t->workers[w->index], w, f, item);
}

/* ---- the way through ---- */

static void finish(struct transaction *t) {
    t->done(t);
}

static void undone(struct task *task) {
    struct transaction *t = of_undo_task(task);

    for (unsigned i = 0; i < t->net->n_workers; i++)
        t->undo_failed += t->workers[i].undo_failed;
    finish(t);
}

static void undo(struct transaction *t) {
    t->failed = true;
    each_endpoint(t, restore_endpoint);
    task_launch(&t->undo_task, t->net);
}

static void applied(struct task *task) {
    struct transaction *t = of_task(task);

    for (unsigned i = 0; i < t->net->n_workers; i++) {
        tally_merge(&t->tally, &t->workers[i].tally);
        settings_merge(&t->old, &t->workers[i].old, ~t->old.set_mask);
        t->n_flows += t->workers[i].n_flows;
    }
    if (tally_failed(&t->tally))
        undo(t);
    else
        finish(t);
}

void transaction_run(struct transaction *t, void (*done)(struct transaction *t), void *userdata) {
    t->done = done;
    t->userdata = userdata;
    t->task = (struct task){ .begin = publish, .visit = t->flows ? change_flow : NULL, .done = applied };
    t->undo_task = (struct task){ .begin = publish_old, .visit = t->flows ? undo_flow : NULL, .done = undone };
    each_endpoint(t, try_endpoint);
    t->failed = tally_failed(&t->tally) > 0;
    if (!t->failed) {
        t->workers = calloc(t->net->n_workers, sizeof(*t->workers));
        t->failed = !t->workers || task_prepare(&t->task, t->net) < 0 || task_prepare(&t->undo_task, t->net) < 0;
    }
    if (t->failed) {
        finish(t);
        return;
    }
    each_endpoint(t, change_endpoint);
    if (tally_failed(&t->tally)) {
        /* No worker knows of it yet: putting the endpoints back is all. */
        t->failed = true;
        each_endpoint(t, restore_endpoint);
        finish(t);
        return;
    }
    task_launch(&t->task, t->net);
}

void transaction_end(struct transaction *t) {
    for (size_t i = 0; i < t->n_items; i++) {
        listener_view_unref(t->items[i].view);
        effective_unref(t->items[i].from);
        effective_unref(t->items[i].to);
    }
    free(t->items);
    tally_done(&t->tally);
    settings_done(&t->old);
    for (unsigned i = 0; t->workers && i < t->net->n_workers; i++)
        transaction_worker_done(&t->workers[i]);
    free(t->workers);
    task_end(&t->task);
    task_end(&t->undo_task);
    *t = (struct transaction){ 0 };
}
