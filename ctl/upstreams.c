/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "call.h"
#include "field.h"
#include "table.h"
#include "text.h"
#include "verb.h"

static const struct column columns[] = {
    { "LISTENER", .width_min = 8, .drop = 4 },
    { "UPSTREAM", .width_min = 16 },
    { "STATE" },
    { "ORIGIN", .drop = 7 },
    { "FLOWS", .right = true },
    { "CONNECTS", .right = true, .drop = 2 },
    { "TIME", .right = true, .drop = 3 },
    { "FAILURES", .right = true, .drop = 1 },
    { "IN", .right = true, .drop = 5 },
    { "OUT", .right = true, .drop = 5 },
    { "ADDRESSES", .width_min = 14, .drop = 6 },
    { "REASON", .width_min = 12, .drop = 8 },
};

static const struct {
    const char *state;
    enum style style;
} styles[] = { { "up", STYLE_GOOD }, { "aside", STYLE_BAD }, { "unresolved", STYLE_BAD } };

static enum style style_of(const char *state) {
    for (size_t i = 0; i < ARRAY_SIZE(styles); i++)
        if (streq(styles[i].state, state))
            return styles[i].style;
    return STYLE_WARN;
}

static int add_upstream(struct table *t, const json_t *upstream) {
    _cleanup_free_ char *addresses = field_join(upstream, "addresses", " ");
    const char *state = field_text(upstream, "state"), *origin = field_text(upstream, "origin");
    char buf[TEXT_MAX];

    if (!addresses)
        return -ENOMEM;
    table_cell(t, STYLE_BOLD, "%s", field_text(upstream, "listener"));
    table_cell(t, STYLE_PLAIN, "%s", field_text(upstream, "upstream"));
    table_cell(t, style_of(state), "%s", state);
    table_cell(t, streq(origin, "runtime") ? STYLE_WARN : STYLE_PLAIN, "%s", origin);
    table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(upstream, "flows"));
    table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(upstream, "connects"));
    table_cell(t, STYLE_PLAIN, "%s",
               field_has(upstream, "connect_usec") ? text_duration(field_number(upstream, "connect_usec"), buf) : "");
    table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(upstream, "failures"));
    table_cell(t, STYLE_PLAIN, "%s", text_bytes(field_number(upstream, "rx_bytes"), buf));
    table_cell(t, STYLE_PLAIN, "%s", text_bytes(field_number(upstream, "tx_bytes"), buf));
    table_cell(t, STYLE_PLAIN, "%s", addresses);
    table_cell(t, STYLE_PLAIN, "%s", field_text(upstream, "reason"));
    return 0;
}

static int print_upstreams(struct output *o, const json_t *reply) {
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    const json_t *upstreams = json_object_get(reply, "upstreams");
    json_t *upstream;
    size_t i;

    if (!t)
        return -ENOMEM;
    json_array_foreach(upstreams, i, upstream) {
        int r = add_upstream(t, upstream);

        if (r < 0)
            return r;
    }
    if (table_rows(t) == 0)
        fputs("no upstreams\n", o->file);
    return table_rows(t) > 0 ? table_print(t, o) : 0;
}

enum status upstreams_list(struct ctl *ctl) {
    const char *listener = ctl->args->n_words > 0 ? ctl->args->words[0] : NULL;
    enum status status;
    json_t *reply;
    int r = 0;

    status = call_daemon(ctl, "Upstreams", call_put_text(json_object(), "listener", listener), &reply);
    if (status != STATUS_DONE)
        return status;
    if (ctl->out.json)
        output_json(&ctl->out, reply);
    else
        r = print_upstreams(&ctl->out, reply);
    json_decref(reply);
    return r < 0 ? call_no_memory() : STATUS_DONE;
}

static void print_change(struct output *o, const char *listener, const json_t *reply) {
    int64_t flows = field_number(reply, "flows"), closed = field_number(reply, "closed");

    fprintf(o->file, "%s: %s %s -> %s", listener, field_text(reply, "upstream"), field_text(reply, "old"),
            field_text(reply, "new"));
    if (closed > 0)
        fprintf(o->file, ", closed %" PRId64 " flow%s", closed, closed == 1 ? "" : "s");
    else if (flows > 0)
        fprintf(o->file, ", %" PRId64 " flow%s", flows, flows == 1 ? " goes on" : "s go on");
    putc('\n', o->file);
}

/* `state`: for SetUpstreamState. */
static enum status change(struct ctl *ctl, const char *method, const char *state) {
    const struct args *a = ctl->args;
    enum status status;
    json_t *reply, *p;

    p = call_put_text(json_object(), "listener", a->words[0]);
    p = call_put_text(p, "upstream", a->words[1]);
    status = call_daemon(ctl, method, call_put_text(p, "state", state), &reply);
    if (status != STATUS_DONE)
        return status;
    if (ctl->out.json)
        output_json(&ctl->out, reply);
    else
        print_change(&ctl->out, a->words[0], reply);
    json_decref(reply);
    return STATUS_DONE;
}

enum status upstreams_drain(struct ctl *ctl) {
    return change(ctl, "SetUpstreamState", "draining");
}

enum status upstreams_enable(struct ctl *ctl) {
    return change(ctl, "SetUpstreamState", "enabled");
}

enum status upstreams_disable(struct ctl *ctl) {
    return change(ctl, "SetUpstreamState", "disabled");
}

enum status upstreams_add(struct ctl *ctl) {
    return change(ctl, "AddUpstream", NULL);
}

enum status upstreams_remove(struct ctl *ctl) {
    return change(ctl, "RemoveUpstream", NULL);
}
