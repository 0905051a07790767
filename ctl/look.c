/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>

#include "call.h"
#include "field.h"
#include "table.h"
#include "text.h"
#include "verb.h"

#define PROFILE_PREFIX "profile:"
#define HEADING_INDENT 17

static void add_socket(struct table *t, const json_t *listener, const json_t *s) {
    const char *state = field_text(listener, "state");

    table_cell(t, STYLE_BOLD, "%s", field_text(listener, "name"));
    table_cell(t, streq(state, "serving") ? STYLE_GOOD : STYLE_WARN, "%s", state);
    table_cell(t, STYLE_PLAIN, "%s", field_text(listener, "target"));
    table_cell(t, STYLE_PLAIN, "%s", field_text(listener, "profile"));
    table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(listener, "flows"));
    table_cell(t, STYLE_PLAIN, "%s%s%s", field_text(s, "protocol"), s ? ":" : "", field_text(s, "address"));
    table_cell(t, STYLE_PLAIN, "%s", field_text(s, "origin"));
    if (field_has(s, "fd"))
        table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(s, "fd"));
    else
        table_cell(t, STYLE_PLAIN, "%s", "");
}

static int print_listeners(struct output *o, const json_t *listeners) {
    static const struct column columns[] = {
        { "LISTENER", .width_min = 12 },
        { "STATE", .drop = 2 },
        { "TARGET" },
        { "PROFILE", .width_min = 8, .drop = 1 },
        { "FLOWS", .right = true },
        { "SOCKET", .width_min = 21 },
        { "ORIGIN", .drop = 3 },
        { "FD", .right = true, .drop = 4 },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    json_t *listener, *s;
    size_t i, k;

    if (!t)
        return -ENOMEM;
    json_array_foreach(listeners, i, listener) {
        const json_t *sockets = json_object_get(listener, "sockets");
        json_array_foreach(sockets, k, s) add_socket(t, listener, s);
        if (json_array_size(sockets) == 0)
            add_socket(t, listener, NULL);
    }
    if (table_rows(t) == 0)
        fputs("no listeners\n", o->file);
    return table_rows(t) > 0 ? table_print(t, o) : 0;
}

static int print_unclaimed(struct output *o, const json_t *sockets) {
    static const struct column columns[] = {
        { "UNCLAIMED SOCKET", .width_min = 12 },
        { "ADDRESS", .width_min = 18 },
        { "ORIGIN", .drop = 1 },
        { "FD", .right = true, .drop = 2 },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    json_t *s;
    size_t i;

    if (!t)
        return -ENOMEM;
    if (json_array_size(sockets) == 0)
        return 0;
    json_array_foreach(sockets, i, s) {
        table_cell(t, STYLE_WARN, "%s", field_text(s, "name"));
        table_cell(t, STYLE_PLAIN, "%s:%s", field_text(s, "protocol"), field_text(s, "address"));
        table_cell(t, STYLE_PLAIN, "%s", field_text(s, "origin"));
        table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(s, "fd"));
    }
    putc('\n', o->file);
    return table_print(t, o);
}

static void print_field(struct output *o, const char *label, enum style style, const char *format, ...) _printf_(4, 5);
static void print_field(struct output *o, const char *label, enum style style, const char *format, ...) {
    _cleanup_free_ char *text = NULL;
    va_list ap;

    va_start(ap, format);
    int r = vasprintf(&text, format, ap);
    va_end(ap);
    output_words(o, label, HEADING_INDENT, style, r < 0 ? "(out of memory)" : text);
}

static int print_heading(struct output *o, const json_t *reply) {
    _cleanup_free_ char *features = field_join(reply, "features", " "), *files = field_join(reply, "files", " ");
    const char *state = field_text(reply, "state");
    char uptime[TEXT_MAX];

    if (!features || !files)
        return -ENOMEM;
    print_field(o, "sockqd", STYLE_BOLD, "%s", field_text(reply, "version"));
    print_field(o, "state", streq(state, "serving") ? STYLE_GOOD : STYLE_WARN, "%s", state);
    print_field(o, "up", STYLE_PLAIN, "%s, pid %" PRId64, text_duration(field_number(reply, "uptime_usec"), uptime),
                field_number(reply, "pid"));
    print_field(o, "workers", STYLE_PLAIN, "%" PRId64, field_number(reply, "workers"));
    print_field(o, "features", STYLE_PLAIN, "%s", features);
    print_field(o, "files", STYLE_PLAIN, "%s", files);
    print_field(o, "log level", STYLE_PLAIN, "%s", field_text(reply, "log_level"));
    print_field(o, "runtime changes", STYLE_PLAIN, "%" PRId64, field_number(reply, "runtime_changes"));
    print_field(o, "events lost", STYLE_PLAIN, "%" PRId64 " dropped, %" PRId64 " held back by rate limits",
                field_number(reply, "events_dropped"), field_number(reply, "events_suppressed"));
    putc('\n', o->file);
    return 0;
}

static int print_status(struct output *o, const json_t *reply) {
    int r = print_heading(o, reply);
    if (r >= 0)
        r = print_listeners(o, json_object_get(reply, "listeners"));
    if (r >= 0)
        r = print_unclaimed(o, json_object_get(reply, "unclaimed"));
    return r;
}

static int print_listener_list(struct output *o, const json_t *reply) {
    return print_listeners(o, json_object_get(reply, "listeners"));
}

static int print_scope(struct output *o, const json_t *scope) {
    static const struct column columns[] = {
        { "SETTING" },
        { "VALUE", .width_min = 8 },
        { "ORIGIN", .drop = 1 },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    const json_t *values = json_object_get(scope, "values");
    json_t *value;
    size_t i;

    if (!t)
        return -ENOMEM;
    fprintf(o->file, "%s%s %s%s", output_style(o, STYLE_BOLD), field_text(scope, "kind"), field_text(scope, "name"),
            output_plain(o));
    if (field_has(scope, "profile"))
        fprintf(o->file, " (profile %s)", field_text(scope, "profile"));
    putc('\n', o->file);

    json_array_foreach(values, i, value) {
        const char *origin = field_text(value, "origin");
        bool runtime = strstr(origin, "runtime") || streq(origin, "flow");

        table_cell(t, STYLE_PLAIN, "%s", field_text(value, "setting"));
        table_cell(t, STYLE_PLAIN, "%s", field_text(value, "value"));
        table_cell(t, runtime ? STYLE_WARN : streq(origin, "default") ? STYLE_FAINT : STYLE_PLAIN, "%s", origin);
    }
    if (table_rows(t) == 0)
        fputs("says nothing\n", o->file);
    return table_rows(t) > 0 ? table_print(t, o) : 0;
}

static int print_scopes(struct output *o, const json_t *reply) {
    const json_t *scopes = json_object_get(reply, "scopes");
    json_t *scope;
    size_t i;

    json_array_foreach(scopes, i, scope) {
        if (i > 0)
            putc('\n', o->file);
        int r = print_scope(o, scope);
        if (r < 0)
            return r;
    }
    return 0;
}

static int print_value(struct output *o, const json_t *reply) {
    fprintf(o->file, "%s\n", field_text(reply, "value"));
    return 0;
}

static enum status look(struct ctl *ctl, const char *method, json_t *parameters,
                        int (*print)(struct output *o, const json_t *reply)) {
    json_t *reply;
    enum status status = call_daemon(ctl, method, parameters, &reply);
    if (status != STATUS_DONE)
        return status;

    int r = 0;
    if (ctl->out.json)
        output_json(&ctl->out, reply);
    else
        r = print(&ctl->out, reply);
    json_decref(reply);
    return r < 0 ? call_no_memory() : STATUS_DONE;
}

enum status look_status(struct ctl *ctl) {
    return look(ctl, "Status", json_object(), print_status);
}

enum status look_listeners(struct ctl *ctl) {
    return look(ctl, "Listeners", json_object(), print_listener_list);
}

enum status look_show(struct ctl *ctl) {
    const char *name = ctl->args->n_words > 0 ? ctl->args->words[0] : NULL;
    bool profile = name && strncmp(name, PROFILE_PREFIX, strlen(PROFILE_PREFIX)) == 0;
    json_t *p = json_object();

    if (profile)
        p = call_put_text(p, "profile", name + strlen(PROFILE_PREFIX));
    else
        p = call_put_text(p, "listener", name);
    return look(ctl, "Show", p, print_scopes);
}

enum status look_get(struct ctl *ctl) {
    json_t *p = call_put_text(json_object(), "target", ctl->args->words[0]);
    return look(ctl, "Get", call_put_text(p, "setting", ctl->args->words[1]), print_value);
}
