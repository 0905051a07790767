/* SPDX-License-Identifier: MIT */
#include "upstream_change.h"

#include <errno.h>
#include <stdio.h>

#include "event.h"
#include "internal.h"

static const char absent[] = "absent";

/* One on its way. */
struct upstream_job {
    struct job job;
    enum upstream_action action;
    char *listener_name;
    struct config_upstream conf; /* text is NULL: what was written is no upstream */
    char *written, *reason;
    struct listener *listener; /* one reference, while its flows are being closed */
    struct upstream_answer answer;
    upstream_done_fn done;
    void *userdata;
};

static struct upstream_job *of_job(struct job *job) {
    return CONTAINER_OF(job, struct upstream_job, job);
}

static void upstream_job_free(struct upstream_job *j) {
    listener_unref(j->listener);
    config_upstream_done(&j->conf);
    free(j->listener_name);
    free(j->written);
    free(j->reason);
    free(j);
}

static void report(const struct upstream_job *j) {
    const struct upstream_answer *a = &j->answer;
    char uid[16], pid[16], closed[48] = "";

    snprintf(uid, sizeof(uid), "%u", j->job.who.uid);
    snprintf(pid, sizeof(pid), "%d", j->job.who.pid);
    if (a->closed > 0)
        snprintf(closed, sizeof(closed), ", %u flow%s closed", a->closed, a->closed == 1 ? "" : "s");
    event_log(EVENT_UPSTREAM_CHANGED,
              EVENT_FIELDS({ FIELD_LISTENER, j->listener_name }, { FIELD_UPSTREAM, a->upstream }, { FIELD_OLD, a->old },
                           { FIELD_NEW, a->new }, { FIELD_UID, uid }, { FIELD_PID, pid }),
              "%s: upstream %s %s -> %s%s, by uid %s, pid %s", j->listener_name, a->upstream, a->old, a->new, closed,
              uid, pid);
}

static void end(struct upstream_job *j, enum change_status status, const char *reason) {
    struct change *c = j->job.change;

    j->answer.status = status;
    j->answer.reason = reason;
    if (status == CHANGE_DONE && (!streq(j->answer.old, j->answer.new) || j->answer.closed > 0))
        report(j);
    j->done(&j->answer, j->userdata);
    upstream_job_free(j);
    if (c->active)
        change_job_done(c);
}

static void refuse(struct job *job, enum change_status status, const char *reason) {
    struct upstream_job *j = of_job(job);

    j->answer.status = status;
    j->answer.reason = reason;
    j->done(&j->answer, j->userdata);
    upstream_job_free(j);
}

/* ---- what is done ---- */

static void on_closed(unsigned n_flows, void *userdata) {
    struct upstream_job *j = userdata;

    j->answer.closed = n_flows;
    end(j, CHANGE_DONE, NULL);
}

static void close_flows(struct upstream_job *j, const struct upstream *u) {
    const struct flow_selector selector = { .listener = j->listener, .upstream = u };

    if (sweep_close(j->job.change->net, &selector, true, on_closed, j) < 0)
        end(j, CHANGE_NO_MEMORY, NULL);
}

static void set_order(struct upstream_job *j, struct upstream *u, enum upstream_order order) {
    j->answer.old = upstream_order_name(upstream_set_order(u, order));
    j->answer.new = upstream_order_name(order);
    if (order == UPSTREAM_DISABLED)
        close_flows(j, u);
    else
        end(j, CHANGE_DONE, NULL);
}

static void enable(struct upstream_job *j, struct forward *f, struct upstream *u) {
    set_order(j, u, UPSTREAM_ENABLED);
}

static void drain(struct upstream_job *j, struct forward *f, struct upstream *u) {
    set_order(j, u, UPSTREAM_DRAINING);
}

static void disable(struct upstream_job *j, struct forward *f, struct upstream *u) {
    set_order(j, u, UPSTREAM_DISABLED);
}

static void take_out(struct upstream_job *j, struct forward *f, struct upstream *u) {
    j->answer.old = upstream_order_name(upstream_order(u));
    j->answer.new = absent;
    if (forward_remove(f, u) < 0)
        end(j, CHANGE_CONFLICT, "it is the only one of its protocol: add another one before, or disable it");
    else
        end(j, CHANGE_DONE, NULL);
}

static void add(struct upstream_job *j, struct forward *f, struct upstream *u) {
    static const struct {
        int error;
        const char *reason;
    } refusals[] = {
        { -EEXIST, "it is there already" },
        { -ENOSPC, "64 have been added already" },
    };
    int r;

    if (!j->conf.text) {
        end(j, CHANGE_CONFLICT, j->reason);
        return;
    }
    j->answer.old = absent;
    j->answer.new = upstream_order_name(UPSTREAM_ENABLED);
    r = forward_add(f, &j->conf);
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
        if (r == refusals[i].error) {
            end(j, CHANGE_CONFLICT, refusals[i].reason);
            return;
        }
    end(j, r < 0 ? CHANGE_NO_MEMORY : CHANGE_DONE, NULL);
}

static void (*const actions[UPSTREAM_ACTION_MAX])(struct upstream_job *j, struct forward *f, struct upstream *u) = {
    [UPSTREAM_ACTION_ENABLE] = enable, [UPSTREAM_ACTION_DRAIN] = drain,     [UPSTREAM_ACTION_DISABLE] = disable,
    [UPSTREAM_ACTION_ADD] = add,       [UPSTREAM_ACTION_REMOVE] = take_out,
};

static void run(struct job *job) {
    struct upstream_job *j = of_job(job);
    struct listener *l = net_listener(job->change->net, j->listener_name);
    struct forward *f = l ? forward_of_listener(l) : NULL;
    struct upstream *u = f && j->conf.text ? forward_find(f, j->conf.text) : NULL;

    if (!l) {
        end(j, CHANGE_NO_SUCH_LISTENER, NULL);
        return;
    }
    if (!f) {
        end(j, CHANGE_CONFLICT, "the listener's target is not forward");
        return;
    }
    if (!u && j->action != UPSTREAM_ACTION_ADD) {
        end(j, CHANGE_NO_SUCH_UPSTREAM, NULL);
        return;
    }
    j->listener = listener_ref(l);
    j->answer.flows = u ? atomic_load(&u->flows) : 0;
    actions[j->action](j, f, u);
}

/* ---- */

static int read_request(struct upstream_job *j, const struct upstream_request *request) {
    int r;

    j->action = request->action;
    j->listener_name = strdup(request->listener);
    j->written = strdup(request->upstream);
    if (!j->listener_name || !j->written)
        return -ENOMEM;
    r = config_upstream_parse(request->upstream, &j->conf, &j->reason);
    j->answer.upstream = j->conf.text ? j->conf.text : j->written;
    return r == -ENOMEM ? r : 0;
}

void upstream_change(struct change *c, const struct upstream_request *request, upstream_done_fn done, void *userdata) {
    const struct upstream_answer no_memory = { .status = CHANGE_NO_MEMORY };
    struct upstream_job *j = calloc(1, sizeof(*j));

    if (!j || read_request(j, request) < 0) {
        if (j)
            upstream_job_free(j);
        done(&no_memory, userdata);
        return;
    }
    j->done = done;
    j->userdata = userdata;
    j->job.run = run;
    j->job.refuse = refuse;
    change_queue(c, &j->job, &request->who);
}
