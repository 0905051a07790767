/* SPDX-License-Identifier: MIT */
#include "build.h"
#include "errors.h"
#include "event.h"
#include "handlers.h"
#include "keys.h"
#include "state.h"

/* Each setting that a call names is looked up, and one that is unknown gets a suggestion, while everybody else waits. */
#define NAMES_MAX ((size_t) 2 * SETTING_MAX)

struct set_request {
    const char *target, *flow, *source;
    const json_t *settings; /* names and values, or names only for unset */
    bool new_only;
};

const struct parameter set_parameters[] = {
    PARAMETER(struct set_request, target, PARAMETER_STRING, true),
    PARAMETER(struct set_request, settings, PARAMETER_STRING_MAP, true),
    PARAMETER(struct set_request, new_only, PARAMETER_BOOL, false),
    PARAMETER(struct set_request, flow, PARAMETER_STRING, false),
    PARAMETER(struct set_request, source, PARAMETER_STRING, false),
    PARAMETERS_END,
};

const struct parameter unset_parameters[] = {
    PARAMETER(struct set_request, target, PARAMETER_STRING, true),
    PARAMETER(struct set_request, settings, PARAMETER_STRING_LIST, false),
    PARAMETER(struct set_request, new_only, PARAMETER_BOOL, false),
    PARAMETER(struct set_request, flow, PARAMETER_STRING, false),
    PARAMETER(struct set_request, source, PARAMETER_STRING, false),
    PARAMETERS_END,
};

struct set_log_level {
    const char *level;
};

const struct parameter set_log_level_parameters[] = {
    PARAMETER(struct set_log_level, level, PARAMETER_STRING, true),
    PARAMETERS_END,
};

/* A change or a reload that a call waits for. */
struct change_job {
    struct job job;
    struct set_request request; /* texts of the call's message; unused by a reload */
};

static void free_change_job(struct job *job) {
    free(CONTAINER_OF(job, struct change_job, job));
}

/* NULL: the call has been ended. */
static struct change_job *begin(struct control *c, struct call *call) {
    struct change_job *j = calloc(1, sizeof(*j));

    if (!j) {
        call_drop(call);
        return NULL;
    }
    job_begin(&j->job, c, call, free_change_job);
    return j;
}

static struct change_who asking(const struct call *call) {
    return (struct change_who){ .uid = call_peer(call)->uid, .pid = call_peer(call)->pid };
}

/* The target's name: the text behind "profile:", if there is one. */
static const char *target_name(const struct set_request *p) {
    struct change_target target;

    return change_target_parse(p->target, &target) < 0 ? p->target : target.name;
}

static void answer_done(struct change_job *j, const struct change_answer *a) {
    call_reply(j->job.call, json_pack("{s:o, s:o, s:o}", "change", build_number(a->id), "flows", build_number(a->flows),
                                      "keys", keys_results(a, j->request.settings)));
}

static void answer_failed(struct change_job *j, const struct change_answer *a) {
    error_change_failed(j->job.call, keys_results(a, j->request.settings), a->undo_failed);
}

static void answer_no_listener(struct change_job *j, _unused_ const struct change_answer *a) {
    error_no_such_listener(j->job.call, change_config(j->job.control->change), target_name(&j->request));
}

static void answer_no_profile(struct change_job *j, _unused_ const struct change_answer *a) {
    error_no_such_profile(j->job.call, change_config(j->job.control->change), target_name(&j->request));
}

static void answer_no_flow(struct change_job *j, _unused_ const struct change_answer *a) {
    error_no_such_flow(j->job.call, j->request.flow ? j->request.flow : "");
}

static void answer_busy(struct change_job *j, const struct change_answer *a) {
    error_busy(j->job.call, a->reason ? a->reason : "too many changes are waiting");
}

static void answer_no_memory(struct change_job *j, _unused_ const struct change_answer *a) {
    error_busy(j->job.call, "out of memory");
}

static void answer_conflict(struct change_job *j, const struct change_answer *a) {
    const struct set_request *p = &j->request;

    error_invalid_selector(j->job.call, p->flow ? p->flow : p->source ? p->source : "", a->reason ? a->reason : "");
}

static void (*const answers[])(struct change_job *j, const struct change_answer *a) = {
    [CHANGE_DONE] = answer_done,
    [CHANGE_FAILED] = answer_failed,
    [CHANGE_NO_SUCH_LISTENER] = answer_no_listener,
    [CHANGE_NO_SUCH_PROFILE] = answer_no_profile,
    [CHANGE_NO_SUCH_FLOW] = answer_no_flow,
    [CHANGE_BUSY] = answer_busy,
    [CHANGE_NO_MEMORY] = answer_no_memory,
    [CHANGE_CONFLICT] = answer_conflict,
};

static void on_changed(const struct change_answer *answer, void *userdata) {
    struct change_job *j = userdata;

    answers[answer->status](j, answer);
    job_end(&j->job);
}

/* What `set` and `unset` have in common; false: the call was ended with an error. */
static bool prepare(struct call *call, const struct set_request *p, struct change_request *request) {
    struct flow_selector selector;

    if (change_target_parse(p->target, &request->target) < 0) {
        call_error_invalid_parameter(call, "target");
        return false;
    }
    if (json_object_size(p->settings) > NAMES_MAX || json_array_size(p->settings) > NAMES_MAX) {
        call_error_invalid_parameter(call, "settings");
        return false;
    }
    if (!selector_parse(call, p->flow, p->source, &selector))
        return false;
    request->who = asking(call);
    request->new_only = p->new_only;
    request->has_flow = selector.has_flow;
    request->has_source = selector.has_source;
    request->flow = selector.flow;
    request->source = selector.source;
    return true;
}

static void submit(struct control *c, struct call *call, const struct set_request *p, struct change_request *request) {
    struct change_job *j = begin(c, call);

    if (!j) {
        settings_done(&request->settings);
        return;
    }
    j->request = *p;
    change_submit(c->change, request, on_changed, j);
}

void handle_set(struct call *call, const void *parameters, void *userdata) {
    const struct set_request *p = parameters;
    struct change_request request = { 0 };

    if (!prepare(call, p, &request))
        return;
    if (json_object_size(p->settings) == 0) {
        call_error_invalid_parameter(call, "settings");
        return;
    }
    if (keys_parse(call, p->settings, &request.settings, &request.keys))
        submit(userdata, call, p, &request);
}

void handle_unset(struct call *call, const void *parameters, void *userdata) {
    const struct set_request *p = parameters;
    struct change_request request = { .unset = true };
    const json_t *name;
    size_t i;

    if (!prepare(call, p, &request))
        return;
    json_array_foreach(p->settings, i, name) {
        const struct setting *row = setting_find(json_string_value(name));

        if (!row) {
            error_no_such_setting(call, json_string_value(name));
            return;
        }
        request.keys |= setting_keys(row);
    }
    submit(userdata, call, p, &request);
}

static void on_reloaded(const struct reload_answer *a, void *userdata) {
    struct change_job *j = userdata;
    struct control *c = j->job.control;
    struct call *call = j->job.call;

    c->reloads--;
    if (a->status == CHANGE_DONE)
        call_reply(call, json_pack("{s:o, s:o, s:o, s:o, s:o}", "files",
                                   build_texts((const char *const *) change_config(c->change)->files), "added",
                                   build_texts(a->added), "removed", build_texts(a->removed), "changed",
                                   build_texts(a->changed), "restart", build_texts(a->restart)));
    else if (a->status != CHANGE_FAILED)
        error_busy(call, a->reason ? a->reason : "out of memory");
    else if (a->faults && a->faults->n > 0)
        error_configuration_invalid(call, a->faults);
    else
        error_change_failed(
                call,
                keys_results(&(struct change_answer){ .keys = a->keys, .requested = a->requested, .tally = a->tally },
                             NULL),
                0);
    job_end(&j->job);
}

void handle_reload(struct call *call, _unused_ const void *parameters, void *userdata) {
    struct control *c = userdata;
    struct change_who who = asking(call);
    struct change_job *j = begin(c, call);

    if (!j)
        return;
    c->reloads++;
    change_reload(c->change, &who, on_reloaded, j);
}

static void log_level_changed(const struct call *call, int old, int level) {
    struct peer_text who = peer_text(call_peer(call));

    event_log(EVENT_LOG_LEVEL_CHANGED,
              EVENT_FIELDS({ FIELD_UID, who.uid }, { FIELD_PID, who.pid }, { FIELD_OLD, event_level_name(old) },
                           { FIELD_NEW, event_level_name(level) }),
              "log level changed from %s to %s by uid %s, pid %s", event_level_name(old), event_level_name(level),
              who.uid, who.pid);
}

void handle_set_log_level(struct call *call, const void *parameters, _unused_ void *userdata) {
    const struct set_log_level *p = parameters;
    int old = event_level(), level = event_level_parse(p->level);

    if (level < 0) {
        call_error_invalid_parameter(call, "level");
        return;
    }
    /* Told while the more talkative of the two is in force. */
    event_set_level(MAX(old, level));
    log_level_changed(call, old, level);
    event_set_level(level);
    call_reply(call, json_pack("{s:s, s:s}", "old", event_level_name(old), "new", event_level_name(level)));
}
