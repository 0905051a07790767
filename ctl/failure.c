/* SPDX-License-Identifier: MIT */
#include "failure.h"

#include <inttypes.h>

#include "field.h"
#include "result.h"
#include "setting.h"
#include "text.h"
#include "varlink.h"

#define LEVELS "emerg, alert, crit, err, warning, notice, info and debug are"
#define WHO_MAY "root and members of group sockq-admin may change, members of group sockq may look"

enum status failure_connection(const char *path, int error, bool connected, uint64_t timeout_usec) {
    _cleanup_free_ char *safe = text_escape(path, strlen(path));
    const char *where = safe ? safe : "?";
    char buf[TEXT_MAX];

    if (error == -ENOMEM) {
        output_complain("out of memory");
        return STATUS_FAILED;
    }
    if (error == -ETIMEDOUT)
        output_complain("no answer from sockqd at %s within %s%s", where, text_duration((int64_t) timeout_usec, buf),
                        connected ? "; it may still do what was asked"
                                  : " (is it stuck? try: systemctl status sockqd)");
    else if (connected && error == -ECONNRESET)
        output_complain("sockqd at %s closed the connection without an answer (try: journalctl -u sockqd)", where);
    else if (error == -EBADMSG || error == -EMSGSIZE)
        output_complain("what answers at %s does not speak Varlink as sockqd does", where);
    else if (error == -EACCES || error == -EPERM)
        output_complain("cannot reach sockqd at %s: %s (" WHO_MAY ")", where, strerror(-error));
    else if (error == -ENAMETOOLONG)
        output_complain("cannot reach sockqd at %s: the path of a socket has at most 107 bytes", where);
    else
        output_complain("cannot reach sockqd at %s: %s (is it running? try: systemctl status sockqd)", where,
                        strerror(-error));
    return STATUS_UNREACHABLE;
}

static void complain_unknown(const char *what, const char *name, const char *near, const char *see) {
    if (near && *near)
        output_complain("no %s named '%s', did you mean '%s'? (%s)", what, name, near, see);
    else
        output_complain("no %s named '%s' (%s)", what, name, see);
}

static enum status on_no_listener(struct output *o, const json_t *p) {
    complain_unknown("listener", field_text(p, "name"), field_text(p, "suggestion"), "sockqctl listeners lists them");
    return STATUS_FAILED;
}

static enum status on_no_profile(struct output *o, const json_t *p) {
    complain_unknown("profile", field_text(p, "name"), field_text(p, "suggestion"), "sockqctl show lists them");
    return STATUS_FAILED;
}

static enum status on_no_flow(struct output *o, const json_t *p) {
    complain_unknown("flow", field_text(p, "flow"), NULL, "sockqctl flows lists those that are up");
    return STATUS_FAILED;
}

static enum status on_no_upstream(struct output *o, const json_t *p) {
    complain_unknown("upstream", field_text(p, "name"), field_text(p, "suggestion"), "sockqctl upstreams lists them");
    return STATUS_FAILED;
}

static enum status on_invalid_upstream(struct output *o, const json_t *p) {
    output_complain("%s: %s", field_text(p, "upstream"), field_text(p, "reason"));
    return STATUS_FAILED;
}

static enum status on_no_setting(struct output *o, const json_t *p) {
    const char *name = field_text(p, "name"), *near = field_text(p, "suggestion");

    complain_unknown("setting", name, *near ? near : setting_suggest(name), "sockqctl help settings lists them");
    return STATUS_FAILED;
}

static enum status on_invalid_settings(struct output *o, const json_t *p) {
    const json_t *faults = json_object_get(p, "faults");
    json_t *fault;
    size_t i;

    output_complain("refused, nothing was changed:");
    json_array_foreach(faults, i, fault) fprintf(stderr, "  %s=%s: %s\n", field_text(fault, "setting"),
                                                 field_text(fault, "value"), field_text(fault, "reason"));
    return STATUS_FAILED;
}

static enum status on_invalid_selector(struct output *o, const json_t *p) {
    output_complain("'%s' selects nothing: %s", field_text(p, "selector"), field_text(p, "reason"));
    return STATUS_FAILED;
}

static enum status on_change_failed(struct output *o, const json_t *p) {
    int64_t undo_failed = field_number(p, "undo_failed");

    if (undo_failed > 0)
        output_complain("the change failed and could not be undone on %" PRId64 " socket%s (sockqctl flows shows them)",
                        undo_failed, undo_failed == 1 ? "" : "s");
    else
        output_complain("the change failed; everything was put back as it was");
    if (!o->json && result_print(o, json_object_get(p, "keys")) < 0)
        output_complain("out of memory");
    return undo_failed > 0 ? STATUS_PARTLY : STATUS_FAILED;
}

static enum status on_configuration(struct output *o, const json_t *p) {
    const json_t *faults = json_object_get(p, "faults");
    json_t *fault;
    size_t i;

    output_complain("the files have faults; the configuration that was loaded stays in force:");
    json_array_foreach(faults, i, fault) {
        int64_t line = field_number(fault, "line");
        const char *key = field_text(fault, "key");

        fprintf(stderr, "  %s", field_text(fault, "file"));
        if (line > 0)
            fprintf(stderr, ":%" PRId64, line);
        fprintf(stderr, ": %s%s%s\n", key, *key ? ": " : "", field_text(fault, "text"));
    }
    return STATUS_FAILED;
}

static enum status on_busy(struct output *o, const json_t *p) {
    output_complain("sockqd is busy: %s (try again)", field_text(p, "reason"));
    return STATUS_FAILED;
}

static enum status on_permission(struct output *o, const json_t *p) {
    output_complain("permission denied (" WHO_MAY ")");
    return STATUS_FAILED;
}

static enum status on_old_daemon(struct output *o, const json_t *p) {
    output_complain("this sockqd does not know the method %s%s (sockqctl version compares the versions)",
                    field_text(p, "method"), field_text(p, "interface"));
    return STATUS_FAILED;
}

static enum status on_parameter(struct output *o, const json_t *p) {
    const char *name = field_text(p, "parameter");

    if (streq(name, "level"))
        output_complain("there is no such level: " LEVELS);
    else
        output_complain("sockqd does not take this value of '%s', or is older than sockqctl (try: sockqctl version)",
                        name);
    return STATUS_FAILED;
}

static const struct {
    const char *name;
    enum status (*report)(struct output *o, const json_t *parameters);
} errors[] = {
    { VARLINK_INTERFACE ".NoSuchListener", on_no_listener },
    { VARLINK_INTERFACE ".NoSuchProfile", on_no_profile },
    { VARLINK_INTERFACE ".NoSuchFlow", on_no_flow },
    { VARLINK_INTERFACE ".NoSuchUpstream", on_no_upstream },
    { VARLINK_INTERFACE ".NoSuchSetting", on_no_setting },
    { VARLINK_INTERFACE ".InvalidSettings", on_invalid_settings },
    { VARLINK_INTERFACE ".InvalidSelector", on_invalid_selector },
    { VARLINK_INTERFACE ".InvalidUpstream", on_invalid_upstream },
    { VARLINK_INTERFACE ".ChangeFailed", on_change_failed },
    { VARLINK_INTERFACE ".ConfigurationInvalid", on_configuration },
    { VARLINK_INTERFACE ".Busy", on_busy },
    { "org.varlink.service.PermissionDenied", on_permission },
    { "org.varlink.service.MethodNotFound", on_old_daemon },
    { "org.varlink.service.MethodNotImplemented", on_old_daemon },
    { "org.varlink.service.InterfaceNotFound", on_old_daemon },
    { "org.varlink.service.InvalidParameter", on_parameter },
};

static void complain_other(const char *name, const json_t *parameters) {
    _cleanup_free_ char *safe = text_escape(name, strlen(name));
    _cleanup_free_ char *details = json_dumps(parameters, JSON_COMPACT);

    output_complain("sockqd refused: %s %s", safe ? safe : "?", details ? details : "");
}

enum status failure_report(struct output *o, const struct answer *a) {
    json_t *safe = text_escape_json(a->parameters);
    enum status status = STATUS_FAILED;
    size_t i;

    if (o->json) {
        json_t *v = json_pack("{ss sO}", "error", a->error, "parameters", a->parameters);
        output_json(o, v);
        json_decref(v);
    }
    for (i = 0; i < ARRAY_SIZE(errors); i++)
        if (streq(errors[i].name, a->error))
            break;
    if (i < ARRAY_SIZE(errors))
        status = errors[i].report(o, safe);
    else
        complain_other(a->error, safe);
    json_decref(safe);
    return status;
}
