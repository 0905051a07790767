/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "build.h"
#include "dscp.h"
#include "errors.h"
#include "event.h"
#include "handlers.h"
#include "state.h"

struct show {
    const char *listener, *profile;
};

const struct parameter show_parameters[] = {
    PARAMETER(struct show, listener, PARAMETER_STRING, false),
    PARAMETER(struct show, profile, PARAMETER_STRING, false),
    PARAMETERS_END,
};

struct get {
    const char *target, *setting;
};

const struct parameter get_parameters[] = {
    PARAMETER(struct get, target, PARAMETER_STRING, true),
    PARAMETER(struct get, setting, PARAMETER_STRING, true),
    PARAMETERS_END,
};

struct stats_request {
    const char *listener;
};

const struct parameter stats_parameters[] = {
    PARAMETER(struct stats_request, listener, PARAMETER_STRING, false),
    PARAMETERS_END,
};

static const char *const state_names[CONTROL_STATE_MAX] = {
    [CONTROL_SERVING] = "serving",
    [CONTROL_RELOADING] = "reloading",
    [CONTROL_DRAINING] = "draining",
};

static json_t *build_socket(const struct endpoint *e) {
    char address[ADDRESS_TEXT_MAX];

    return json_pack("{s:i, s:o, s:s, s:s, s:s}", "fd", e->socket.fd, "name", build_text(e->name ? e->name : ""),
                     "protocol", e->socket.type == SOCK_STREAM ? "tcp" : "udp", "address",
                     address_format(&e->address, address), "origin", e->passed ? "systemd" : "bound");
}

static json_t *build_sockets(struct endpoint *const *endpoints, size_t n) {
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        list = build_add(list, build_socket(endpoints[i]));
    return list;
}

/* The profile of a listener, or NULL. */
static const char *profile_of(const struct control *c, const struct listener *l) {
    const struct config_listener *conf = l->draining ? NULL : config_listener(change_config(c->change), l->name);

    return conf && conf->profile ? conf->profile->name : NULL;
}

static json_t *build_listeners(const struct control *c) {
    json_t *list = json_array();

    for (size_t i = 0; i < c->net->n_listeners; i++) {
        const struct listener *l = c->net->listeners[i];

        list = build_add(list, json_pack("{s:s, s:s, s:s*, s:s, s:o, s:o}", "name", l->name, "target",
                                         l->view->target->ops->name, "profile", profile_of(c, l), "state",
                                         l->draining ? "draining" : "serving", "flows", build_number(listener_flows(l)),
                                         "sockets", build_sockets(l->endpoints, l->n_endpoints)));
    }
    return list;
}

/* What this build offers: formats and targets. */
static json_t *build_features(const struct control *c) {
    json_t *list = json_array();

    for (enum coding id = CODING_OFF + 1; id < CODING_MAX; id++)
        list = build_add(list, json_string(coding_info(id)->name));
    for (const struct target_ops *const *t = c->net->targets; *t; t++)
        list = build_add(list, json_string((*t)->name));
    return list;
}

void handle_status(struct call *call, _unused_ const void *parameters, void *userdata) {
    struct control *c = userdata;
    const struct config *config = change_config(c->change);
    enum control_state state = c->state == CONTROL_SERVING && c->reloads > 0 ? CONTROL_RELOADING : c->state;
    struct event_counts events;
    json_t *status;

    event_counts(&events);
    status = json_pack("{s:s, s:i, s:o, s:o, s:s, s:o}", "version", SOCKQ_VERSION, "pid", (int) getpid(), "uptime_usec",
                       build_number(loop_clock_usec() - c->started_usec), "workers", build_number(c->net->n_workers),
                       "state", state_names[state], "features", build_features(c));
    status = build_member(status, "files", build_texts((const char *const *) config->files));
    status = build_member(status, "log_level", json_string(event_level_name(event_level())));
    status = build_member(status, "runtime_changes", build_number(change_runtime_values(c->change)));
    status = build_member(status, "listeners", build_listeners(c));
    status = build_member(status, "unclaimed", build_sockets(c->net->unclaimed, c->net->n_unclaimed));
    status = build_member(status, "events_dropped", build_number(events.dropped));
    status = build_member(status, "events_suppressed", build_number(events.suppressed));
    call_reply(call, status);
}

void handle_listeners(struct call *call, _unused_ const void *parameters, void *userdata) {
    call_reply(call, json_pack("{s:o}", "listeners", build_listeners(userdata)));
}

static json_t *build_value(const struct setting *row, const struct settings *settings, uint8_t origin) {
    return json_pack("{s:s, s:o, s:s}", "setting", row->name, "value", build_owned(settings_get_text(settings, row)),
                     "origin", origin_name(origin));
}

/* Does the upstream leg have what the client leg has? */
static bool is_twin(const struct setting *row, const struct settings *settings, const uint8_t origin[SETTING_MAX]) {
    const struct setting *client = setting_by_id(setting_client_id(row->id));
    _cleanup_free_ char *here = settings_get_text(settings, row), *there = settings_get_text(settings, client);

    return here && there && streq(here, there) && origin[row->id] == origin[client->id];
}

/* "dscp" is about both legs; a profile may say it of the client leg alone. */
static const struct setting *row_shown(const struct setting *row, const struct settings *settings) {
    bool both = row->id >= SETTING_LEG_MAX || settings_has(settings, SETTING_UPSTREAM + row->id);

    return both ? row : setting_find_on_leg(row->name, SETTING_LEG_CLIENT);
}

/* The canonical rows of the keys that are there, those of the upstream leg only where it differs. */
static json_t *build_values(const struct settings *settings, uint64_t keys, const uint8_t origin[SETTING_MAX]) {
    const struct setting *row;
    json_t *list = json_array();

    for (size_t i = 0; (row = setting_row(i)); i++)
        if (!row->alias && keys & SETTING_BIT(row->id) && settings_has(settings, row->id) &&
            (row->leg != SETTING_LEG_UPSTREAM || !is_twin(row, settings, origin)))
            list = build_add(list, build_value(row_shown(row, settings), settings, origin[row->id]));
    return list;
}

static uint64_t keys_of(const struct control *c, const struct listener *l) {
    const struct config_listener *conf = config_listener(change_config(c->change), l->name);

    return conf ? config_listener_keys(conf) : SETTINGS_ALL;
}

static json_t *build_listener_scope(const struct control *c, const struct listener *l) {
    const struct effective *set = l->view->set;

    return json_pack("{s:s, s:s, s:s*, s:o}", "kind", "listener", "name", l->name, "profile", profile_of(c, l),
                     "values", build_values(&set->settings, keys_of(c, l), set->origin));
}

/* NULL also for a profile that does not exist. */
static json_t *build_profile_scope(const struct control *c, const char *name) {
    _cleanup_(settings_done) struct settings settings = { 0 };
    uint8_t origin[SETTING_MAX];

    if (change_profile(c->change, name, &settings, origin) < 0)
        return NULL;
    return json_pack("{s:s, s:s, s:o}", "kind", "profile", "name", name, "values",
                     build_values(&settings, SETTINGS_ALL, origin));
}

static json_t *build_all_scopes(const struct control *c) {
    const struct config *config = change_config(c->change);
    json_t *list = json_array();

    for (size_t i = 0; i < c->net->n_listeners; i++)
        if (!c->net->listeners[i]->draining)
            list = build_add(list, build_listener_scope(c, c->net->listeners[i]));
    for (size_t i = 0; i < config->n_profiles; i++)
        list = build_add(list, build_profile_scope(c, config->profiles[i].name));
    return list;
}

void handle_show(struct call *call, const void *parameters, void *userdata) {
    const struct show *p = parameters;
    struct control *c = userdata;
    const struct config *config = change_config(c->change);
    const struct listener *listener = p->listener ? net_listener(c->net, p->listener) : NULL;
    json_t *list;

    if (p->listener && !listener) {
        error_no_such_listener(call, config, p->listener);
        return;
    }
    if (p->profile && !config_profile(config, p->profile)) {
        error_no_such_profile(call, config, p->profile);
        return;
    }
    list = p->listener || p->profile ? json_array() : build_all_scopes(c);
    if (listener)
        list = build_add(list, build_listener_scope(c, listener));
    if (p->profile)
        list = build_add(list, build_profile_scope(c, p->profile));
    call_reply(call, json_pack("{s:o}", "scopes", list));
}

static void reply_value(struct call *call, const struct setting *row, const struct settings *settings, uint8_t origin) {
    call_reply(call, json_pack("{s:o, s:s}", "value", build_owned(settings_get_text(settings, row)), "origin",
                               origin_name(origin)));
}

static void get_of_profile(struct call *call, const struct control *c, const char *name, const struct setting *row) {
    _cleanup_(settings_done) struct settings settings = { 0 }, defaults = { 0 };
    uint8_t origin[SETTING_MAX];

    if (change_profile(c->change, name, &settings, origin) < 0) {
        error_no_such_profile(call, change_config(c->change), name);
        return;
    }
    if (settings_has(&settings, row->id)) {
        reply_value(call, row, &settings, origin[row->id]);
        return;
    }
    settings_defaults(&defaults);
    reply_value(call, row, &defaults, ORIGIN_DEFAULT);
}

void handle_get(struct call *call, const void *parameters, void *userdata) {
    const struct get *p = parameters;
    struct control *c = userdata;
    const struct setting *row = setting_find(p->setting);
    const struct listener *listener;
    struct change_target target;

    if (change_target_parse(p->target, &target) < 0) {
        call_error_invalid_parameter(call, "target");
        return;
    }
    if (!row) {
        error_no_such_setting(call, p->setting);
        return;
    }
    if (target.profile) {
        get_of_profile(call, c, target.name, row);
        return;
    }
    listener = net_listener(c->net, target.name);
    if (listener)
        reply_value(call, row, &listener->view->set->settings, listener->view->set->origin[row->id]);
    else
        error_no_such_listener(call, change_config(c->change), target.name);
}

/* Only what has been received. */
static json_t *build_dscp_counts(const struct stats_snapshot *s) {
    json_t *counts = json_object();
    char name[DSCP_TEXT_MAX];

    for (unsigned i = 0; i < ARRAY_SIZE(s->dscp); i++)
        if (s->dscp[i] > 0)
            counts = build_member(counts, dscp_format(i, name), build_number(s->dscp[i]));
    return counts;
}

static json_t *build_ecn_counts(const struct stats_snapshot *s) {
    json_t *counts = json_object();

    for (unsigned i = 0; i < ARRAY_SIZE(s->ecn); i++)
        if (s->ecn[i] > 0)
            counts = build_member(counts, stat_ecn_name(i), build_number(s->ecn[i]));
    return counts;
}

static json_t *build_setting(const struct listener *l, enum setting_id id) {
    return build_owned(settings_get_text(&l->view->set->settings, setting_by_id(id)));
}

static json_t *build_stats(const struct listener *l) {
    json_t *counters = json_object();
    struct stats_snapshot s;

    listener_stats(l, &s);
    for (enum counter id = 0; id < STAT_MAX; id++)
        counters = build_member(counters, stat_name(id), build_number(s.counter[id]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "listener", l->name, "flows",
                     build_number(listener_flows(l)), "compression", build_setting(l, SETTING_COMPRESSION),
                     "decompression", build_setting(l, SETTING_DECOMPRESSION), "counters", counters, "dscp_received",
                     build_dscp_counts(&s), "ecn_received", build_ecn_counts(&s));
}

void handle_stats(struct call *call, const void *parameters, void *userdata) {
    const struct stats_request *p = parameters;
    struct control *c = userdata;
    json_t *list = json_array();
    struct timespec now;
    unsigned found = 0;

    for (size_t i = 0; i < c->net->n_listeners; i++) {
        const struct listener *l = c->net->listeners[i];

        if (p->listener && !streq(p->listener, l->name))
            continue;
        found++;
        list = build_add(list, build_stats(l));
    }
    if (p->listener && found == 0) {
        json_decref(list);
        error_no_such_listener(call, change_config(c->change), p->listener);
        return;
    }
    (void) clock_gettime(CLOCK_REALTIME, &now);
    call_reply(call,
               json_pack("{s:o, s:o}", "time_usec",
                         build_number((uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / NSEC_PER_USEC),
                         "listeners", list));
}
