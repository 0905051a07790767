/* SPDX-License-Identifier: MIT */
#include "build.h"
#include "errors.h"
#include "handlers.h"
#include "state.h"
#include "upstream_change.h"

struct upstreams_request {
    const char *listener;
};

const struct parameter upstreams_parameters[] = {
    PARAMETER(struct upstreams_request, listener, PARAMETER_STRING, false),
    PARAMETERS_END,
};

struct change_upstream {
    const char *listener, *upstream, *state;
};

const struct parameter change_upstream_parameters[] = {
    PARAMETER(struct change_upstream, listener, PARAMETER_STRING, true),
    PARAMETER(struct change_upstream, upstream, PARAMETER_STRING, true),
    PARAMETERS_END,
};

const struct parameter set_upstream_state_parameters[] = {
    PARAMETER(struct change_upstream, listener, PARAMETER_STRING, true),
    PARAMETER(struct change_upstream, upstream, PARAMETER_STRING, true),
    PARAMETER(struct change_upstream, state, PARAMETER_STRING, true),
    PARAMETERS_END,
};

/* ---- looking ---- */

static struct forward *forward_of(const struct listener *l) {
    return l->draining ? NULL : forward_of_target(l->view->target);
}

static json_t *build_addresses(const struct upstream_row *row) {
    json_t *list = json_array();
    char text[ADDRESS_TEXT_MAX];

    for (unsigned i = 0; i < row->n_addresses; i++)
        list = build_add(list, json_string(address_format(&row->addresses[i], text)));
    return list;
}

/* Why it is as it is: its name could not be resolved, or nobody answers. */
static const char *reason_of(const struct upstream_row *row) {
    if (row->unresolved)
        return row->unresolved;
    return row->state == UPSTREAM_STATE_ASIDE && row->error < 0 ? strerror(-row->error) : NULL;
}

static json_t *build_upstream(const char *listener, struct upstream *u, const char *state, bool added) {
    struct upstream_row row;
    json_t *upstream;

    upstream_describe(u, &row);
    upstream = json_pack("{s:s, s:s, s:s, s:s, s:o}", "listener", listener, "upstream", u->conf.text, "state",
                         state ? state : upstream_state_name(row.state), "origin", added ? "runtime" : "files",
                         "addresses", build_addresses(&row));
    upstream = build_member(upstream, "flows", build_number(row.flows));
    upstream = build_member(upstream, "connects", build_number(row.connected));
    upstream = build_member(upstream, "failures", build_number(row.failed));
    if (row.connected > 0)
        upstream = build_member(upstream, "connect_usec", build_number(row.connect_usec / row.connected));
    upstream = build_member(upstream, "rx_bytes", build_number(row.rx_bytes));
    upstream = build_member(upstream, "tx_bytes", build_number(row.tx_bytes));
    if (!state && reason_of(&row))
        upstream = build_member(upstream, "reason", build_text(reason_of(&row)));
    return upstream;
}

static json_t *add_upstreams(json_t *list, const struct listener *l, const struct forward *f) {
    for (size_t i = 0; i < f->n_upstreams; i++)
        list = build_add(list, build_upstream(l->name, f->upstreams[i], NULL, forward_is_added(f, f->upstreams[i])));
    for (size_t i = 0; i < f->n_removed; i++)
        list = build_add(list, build_upstream(l->name, f->removed[i], "removed", false));
    return list;
}

void handle_upstreams(struct call *call, const void *parameters, void *userdata) {
    const struct upstreams_request *p = parameters;
    const struct control *c = userdata;
    const struct listener *asked = p->listener ? net_listener(c->net, p->listener) : NULL;
    json_t *list;

    if (p->listener && !asked) {
        error_no_such_listener(call, change_config(c->change), p->listener);
        return;
    }
    if (asked && !forward_of(asked)) {
        error_invalid_selector(call, p->listener, "the listener's target is not forward");
        return;
    }
    list = json_array();
    for (size_t i = 0; i < c->net->n_listeners; i++) {
        const struct listener *l = c->net->listeners[i];

        if (forward_of(l) && (!asked || l == asked))
            list = add_upstreams(list, l, forward_of(l));
    }
    call_reply(call, json_pack("{s:o}", "upstreams", list));
}

/* ---- changing ---- */

/* A change that a call waits for. */
struct upstream_job {
    struct job job;
    struct change_upstream request; /* texts of the call's message */
};

static void free_upstream_job(struct job *job) {
    free(CONTAINER_OF(job, struct upstream_job, job));
}

static void answer_done(struct upstream_job *j, const struct upstream_answer *a) {
    call_reply(j->job.call, json_pack("{s:s, s:s, s:s, s:o, s:o}", "upstream", a->upstream, "old", a->old, "new",
                                      a->new, "flows", build_number(a->flows), "closed", build_number(a->closed)));
}

static void answer_no_listener(struct upstream_job *j, _unused_ const struct upstream_answer *a) {
    error_no_such_listener(j->job.call, change_config(j->job.control->change), j->request.listener);
}

static void answer_no_upstream(struct upstream_job *j, _unused_ const struct upstream_answer *a) {
    error_no_such_upstream(j->job.call, net_listener(j->job.control->net, j->request.listener), j->request.upstream);
}

static void answer_conflict(struct upstream_job *j, const struct upstream_answer *a) {
    error_invalid_upstream(j->job.call, j->request.upstream, a->reason);
}

static void answer_busy(struct upstream_job *j, const struct upstream_answer *a) {
    error_busy(j->job.call, a->reason);
}

static void answer_no_memory(struct upstream_job *j, _unused_ const struct upstream_answer *a) {
    error_busy(j->job.call, "out of memory");
}

static const struct {
    enum change_status status;
    void (*answer)(struct upstream_job *j, const struct upstream_answer *a);
} answers[] = {
    { CHANGE_DONE, answer_done },
    { CHANGE_NO_SUCH_LISTENER, answer_no_listener },
    { CHANGE_NO_SUCH_UPSTREAM, answer_no_upstream },
    { CHANGE_CONFLICT, answer_conflict },
    { CHANGE_BUSY, answer_busy },
    { CHANGE_NO_MEMORY, answer_no_memory },
};

static void on_changed(const struct upstream_answer *a, void *userdata) {
    struct upstream_job *j = userdata;

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        if (answers[i].status == a->status)
            answers[i].answer(j, a);
    job_end(&j->job);
}

static void change(struct control *c, struct call *call, const struct change_upstream *p, enum upstream_action action) {
    const struct upstream_request request = {
        .who = { .uid = call_peer(call)->uid, .pid = call_peer(call)->pid },
        .action = action,
        .listener = p->listener,
        .upstream = p->upstream,
    };
    struct upstream_job *j = calloc(1, sizeof(*j));

    if (!j) {
        call_drop(call);
        return;
    }
    j->request = *p;
    job_begin(&j->job, c, call, free_upstream_job);
    upstream_change(c->change, &request, on_changed, j);
}

void handle_set_upstream_state(struct call *call, const void *parameters, void *userdata) {
    static const struct {
        const char *state;
        enum upstream_action action;
    } states[] = {
        { "enabled", UPSTREAM_ACTION_ENABLE },
        { "draining", UPSTREAM_ACTION_DRAIN },
        { "disabled", UPSTREAM_ACTION_DISABLE },
    };
    const struct change_upstream *p = parameters;

    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (streq(states[i].state, p->state)) {
            change(userdata, call, p, states[i].action);
            return;
        }
    call_error_invalid_parameter(call, "state");
}

void handle_add_upstream(struct call *call, const void *parameters, void *userdata) {
    change(userdata, call, parameters, UPSTREAM_ACTION_ADD);
}

void handle_remove_upstream(struct call *call, const void *parameters, void *userdata) {
    change(userdata, call, parameters, UPSTREAM_ACTION_REMOVE);
}
