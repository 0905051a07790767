/* SPDX-License-Identifier: MIT */
#include "errors.h"

#include "build.h"
#include "forward.h"
#include "setting.h"
#include "suggest.h"

#define ERROR(name) VARLINK_INTERFACE "." name

static void no_such(struct call *call, const char *error, const char *name, const char *suggestion) {
    call_error(call, error, json_pack("{s:s, s:s*}", "name", name, "suggestion", suggestion));
}

void error_no_such_listener(struct call *call, const struct config *config, const char *name) {
    const char *names[CONFIG_LISTENERS_MAX + 1] = { NULL };

    for (size_t i = 0; i < MIN(config->n_listeners, (size_t) CONFIG_LISTENERS_MAX); i++)
        names[i] = config->listeners[i].name;
    no_such(call, ERROR("NoSuchListener"), name, suggest_near(name, names));
}

void error_no_such_profile(struct call *call, const struct config *config, const char *name) {
    const char *names[CONFIG_PROFILES_MAX + 1] = { NULL };

    for (size_t i = 0; i < MIN(config->n_profiles, (size_t) CONFIG_PROFILES_MAX); i++)
        names[i] = config->profiles[i].name;
    no_such(call, ERROR("NoSuchProfile"), name, suggest_near(name, names));
}

void error_no_such_setting(struct call *call, const char *name) {
    no_such(call, ERROR("NoSuchSetting"), name, setting_suggest(name));
}

void error_no_such_flow(struct call *call, const char *flow) {
    call_error(call, ERROR("NoSuchFlow"), json_pack("{s:s}", "flow", flow));
}

void error_no_such_upstream(struct call *call, const struct listener *l, const char *name) {
    const struct forward *f = forward_of_target(l->view->target);
    const char *names[FORWARD_UPSTREAMS_MAX + 1] = { NULL };

    for (size_t i = 0; i < f->n_upstreams; i++)
        names[i] = f->upstreams[i]->conf.text;
    no_such(call, ERROR("NoSuchUpstream"), name, suggest_near(name, names));
}

void error_invalid_upstream(struct call *call, const char *upstream, const char *reason) {
    call_error(call, ERROR("InvalidUpstream"),
               json_pack("{s:s, s:o}", "upstream", upstream, "reason", build_text(reason)));
}

void error_invalid_settings(struct call *call, json_t *faults) {
    call_error(call, ERROR("InvalidSettings"), json_pack("{s:o}", "faults", faults));
}

void error_change_failed(struct call *call, json_t *keys, unsigned undo_failed) {
    call_error(call, ERROR("ChangeFailed"),
               json_pack("{s:o, s:I}", "keys", keys, "undo_failed", (json_int_t) undo_failed));
}

void error_configuration_invalid(struct call *call, const struct config_faults *faults) {
    json_t *list = json_array();

    for (size_t i = 0; i < faults->n; i++) {
        const struct config_fault *f = &faults->items[i];

        list = build_add(list, json_pack("{s:o, s:I, s:o*, s:o}", "file", build_text(f->file), "line",
                                         (json_int_t) f->line, "key", build_text(f->key), "text", build_text(f->text)));
    }
    call_error(call, ERROR("ConfigurationInvalid"), json_pack("{s:o}", "faults", list));
}

void error_invalid_selector(struct call *call, const char *selector, const char *reason) {
    call_error(call, ERROR("InvalidSelector"), json_pack("{s:s, s:s}", "selector", selector, "reason", reason));
}

void error_busy(struct call *call, const char *reason) {
    call_error(call, ERROR("Busy"), json_pack("{s:s}", "reason", reason));
}
