/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "call.h"
#include "field.h"
#include "result.h"
#include "text.h"
#include "verb.h"

static enum status print_change(struct ctl *ctl, const json_t *reply) {
    const json_t *keys = json_object_get(reply, "keys");
    int64_t flows = field_number(reply, "flows");
    struct output *o = &ctl->out;

    /* Nothing to be done is success; a selection that fits nothing is most likely a slip. */
    bool nobody = flows == 0 && ctl->args->option[OPTION_SOURCE] != NULL;

    if (o->json) {
        output_json(o, reply);
        return nobody ? STATUS_FAILED : result_status(keys);
    }
    if (nobody) {
        fputs("no flow matched\n", o->file);
        return STATUS_FAILED;
    }
    if (json_array_size(keys) == 0) {
        fputs("nothing to change\n", o->file);
        return STATUS_DONE;
    }
    fprintf(o->file, "%s%s%s: change %" PRId64 ", %" PRId64 " established flow%s\n", output_style(o, STYLE_BOLD),
            ctl->args->words[0], output_plain(o), field_number(reply, "change"), flows, flows == 1 ? "" : "s");
    return result_print(o, keys) < 0 ? call_no_memory() : result_status(keys);
}

static enum status change(struct ctl *ctl, const char *method, json_t *parameters) {
    json_t *reply;
    enum status status = call_daemon(ctl, method, parameters, &reply);
    if (status != STATUS_DONE)
        return status;
    status = print_change(ctl, reply);
    json_decref(reply);
    return status;
}

enum status change_set(struct ctl *ctl) {
    const struct args *a = ctl->args;
    _cleanup_free_ char *reason = NULL;
    json_t *settings;

    int r = args_settings(a->words + 1, a->n_words - 1, &settings, &reason);
    if (r == -ENOMEM)
        return call_no_memory();
    if (r < 0) {
        _cleanup_free_ char *safe = text_escape(reason, strlen(reason));
        output_complain("%s (try: sockqctl help set)", safe ? safe : "");
        return STATUS_USAGE;
    }
    json_t *p = call_put_text(call_selection(ctl), "target", a->words[0]);
    return change(ctl, "Set", call_put(p, "settings", settings));
}

enum status change_unset(struct ctl *ctl) {
    const struct args *a = ctl->args;
    json_t *p = call_put_text(call_selection(ctl), "target", a->words[0]);
    json_t *settings = NULL;

    if (a->n_words > 1)
        settings = json_array();
    for (size_t i = 1; i < a->n_words && settings; i++)
        if (json_array_append_new(settings, json_string(a->words[i])) < 0) {
            json_decref(settings);
            settings = NULL;
        }
    if (a->n_words > 1)
        p = call_put(p, "settings", settings);
    return change(ctl, "Unset", p);
}

static int print_names(struct output *o, const json_t *reply, const char *name) {
    _cleanup_free_ char *text = field_join(reply, name, ", ");

    if (!text)
        return -ENOMEM;
    fprintf(o->file, "%-8s %s\n", name, *text ? text : "none");
    return 0;
}

enum status change_reload(struct ctl *ctl) {
    static const char *const lists[] = { "files", "added", "removed", "changed", "restart" };
    json_t *reply;
    int r = 0;

    enum status status = call_daemon(ctl, "Reload", json_object(), &reply);
    if (status != STATUS_DONE)
        return status;
    if (ctl->out.json)
        output_json(&ctl->out, reply);
    else
        for (size_t i = 0; i < ARRAY_SIZE(lists) && r >= 0; i++)
            r = print_names(&ctl->out, reply, lists[i]);
    json_decref(reply);
    return r < 0 ? call_no_memory() : STATUS_DONE;
}

enum status change_log_level(struct ctl *ctl) {
    bool set = ctl->args->n_words > 0;
    struct output *o = &ctl->out;
    json_t *reply;

    json_t *p = call_put_text(json_object(), "level", set ? ctl->args->words[0] : NULL);
    enum status status = call_daemon(ctl, set ? "SetLogLevel" : "Status", p, &reply);
    if (status != STATUS_DONE)
        return status;
    if (o->json && set)
        output_json(o, reply);
    else if (o->json) {
        json_t *level = json_pack("{sO}", "log_level", json_object_get(reply, "log_level"));
        output_json(o, level);
        json_decref(level);
    } else if (set)
        fprintf(o->file, "%s -> %s\n", field_text(reply, "old"), field_text(reply, "new"));
    else
        fprintf(o->file, "%s\n", field_text(reply, "log_level"));
    json_decref(reply);
    return STATUS_DONE;
}
