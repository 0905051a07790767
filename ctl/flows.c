/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "call.h"
#include "field.h"
#include "ratio.h"
#include "table.h"
#include "text.h"
#include "verb.h"

#define MODE_TEXT_MAX 32
#define ROWS_AT_ONCE 1000 /* are held to find the widths; bounds memory with many flows */

static const struct column columns[] = {
    { "ID", .width_min = 6 },
    { "LISTENER", .width_min = 8, .drop = 6 },
    { "STATE", .drop = 7 },
    { "PEER", .width_min = 15 },
    { "AGE", .right = true, .drop = 2 },
    { "IN", .right = true },
    { "OUT", .right = true },
    { "DSCP" },
    { "RECEIVED", .drop = 1 },
    { "RTT", .right = true, .drop = 3 },
    { "RETR", .right = true, .drop = 4 },
    { "QUEUE", .right = true, .drop = 5 },
    { "UPSTREAM", .width_min = 16, .drop = 9, .optional = true },
    { "MODE", .drop = 10, .optional = true },
    { "CODING", .drop = 12 },
    { "OVERRIDES", .width_min = 9, .drop = 11 },
};

/* With --legs: the same, a row a leg. */
static const struct column leg_columns[] = {
    { "ID", .width_min = 6 },
    { "LISTENER", .width_min = 8, .drop = 5 },
    { "LEG" },
    { "PEER", .width_min = 15 },
    { "IN", .right = true },
    { "OUT", .right = true },
    { "DSCP" },
    { "RECEIVED", .drop = 1 },
    { "RTT", .right = true, .drop = 2 },
    { "RETR", .right = true, .drop = 3 },
    { "QUEUE", .right = true, .drop = 4 },
    { "MODE", .drop = 6, .optional = true },
};

struct listing {
    struct ctl *ctl;
    int (*add)(struct table *t, const json_t *flow);
    struct table *table;
    uint64_t n;
};

static void add_optional(struct table *t, const json_t *flow, const char *name) {
    if (field_has(flow, name))
        table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(flow, name));
    else
        table_cell(t, STYLE_PLAIN, "%s", "");
}

static void add_marks(struct table *t, const json_t *flow) {
    const char *set = field_text(flow, "dscp"), *received = field_text(flow, "dscp_received");
    const char *label = field_text(flow, "dscp_received_label");

    table_cell(t, STYLE_PLAIN, "%s", set);
    table_cell(t, STYLE_PLAIN, "%s%s%s", received, *received && *label ? " " : "", *received ? label : "");
}

static void add_queue(struct table *t, const json_t *flow) {
    char in[TEXT_MAX], out[TEXT_MAX];

    if (!field_has(flow, "receive_queue") && !field_has(flow, "send_queue")) {
        table_cell(t, STYLE_PLAIN, "%s", "");
        return;
    }
    table_cell(t, STYLE_PLAIN, "%s/%s", text_bytes(field_number(flow, "receive_queue"), in),
               text_bytes(field_number(flow, "send_queue"), out));
}

/* "in/out" as the codecs' names, with what they save; empty when neither side codes. */
static void add_coding(struct table *t, const json_t *flow) {
    const char *in = field_text(flow, "decompression"), *out = field_text(flow, "compression");
    char in_text[RATIO_TEXT_MAX], out_text[RATIO_TEXT_MAX];

    if ((streq(in, "off") || !*in) && (streq(out, "off") || !*out))
        table_cell(t, STYLE_PLAIN, "%s", "");
    else
        table_cell(t, STYLE_PLAIN, "%s/%s", ratio_format(in, flow, "rx", in_text),
                   ratio_format(out, flow, "tx", out_text));
}

static int add_overrides(struct table *t, const json_t *flow) {
    const json_t *overrides = json_object_get(flow, "overrides");
    _cleanup_free_ char *text = NULL;
    const char *key, *separator = "";
    json_t *value;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return -ENOMEM;
    json_object_foreach((json_t *) overrides, key, value) {
        fprintf(f, "%s%s=%s", separator, key, json_is_string(value) ? json_string_value(value) : "");
        separator = " ";
    }
    if (fclose(f) != 0)
        return -ENOMEM;
    table_cell(t, STYLE_WARN, "%s", text);
    return 0;
}

static void add_rtt(struct table *t, const json_t *leg) {
    char buf[TEXT_MAX];

    table_cell(t, STYLE_PLAIN, "%s",
               field_has(leg, "rtt_usec") ? text_duration(field_number(leg, "rtt_usec"), buf) : "");
}

/* The name, and the address behind it if that is not what it says already. */
static void add_upstream(struct table *t, const json_t *flow) {
    const char *name = field_text(flow, "upstream");
    const char *address = field_text(json_object_get(flow, "upstream_leg"), "peer");
    bool says_it = strlen(name) >= strlen(address) && streq(name + strlen(name) - strlen(address), address);

    table_cell(t, STYLE_PLAIN, "%s%s%s", name, says_it ? "" : " ", says_it ? "" : address);
}

/* "splice 3": with how often it was switched. */
static const char *mode_text(const json_t *way, char buf[static MODE_TEXT_MAX]) {
    int64_t switches = field_number(way, "switches");

    if (switches > 0)
        snprintf(buf, MODE_TEXT_MAX, "%s %" PRId64, field_text(way, "mode"), switches);
    else
        snprintf(buf, MODE_TEXT_MAX, "%s", field_text(way, "mode"));
    return buf;
}

static void add_modes(struct table *t, const json_t *flow) {
    const json_t *up = json_object_get(flow, "to_upstream"), *down = json_object_get(flow, "to_client");
    char to_upstream[MODE_TEXT_MAX], to_client[MODE_TEXT_MAX];

    table_cell(t, STYLE_PLAIN, "%s%s%s", mode_text(up, to_upstream), up ? "/" : "", mode_text(down, to_client));
}

static int add_flow(struct table *t, const json_t *flow) {
    const char *state = field_text(flow, "state");
    char buf[TEXT_MAX];

    table_cell(t, STYLE_PLAIN, "%s", field_text(flow, "id"));
    table_cell(t, STYLE_PLAIN, "%s", field_text(flow, "listener"));
    table_cell(t, streq(state, "open") ? STYLE_PLAIN : STYLE_WARN, "%s", state);
    table_cell(t, STYLE_PLAIN, "%s", field_text(flow, "peer"));
    table_cell(t, STYLE_PLAIN, "%s", text_duration(field_number(flow, "age_usec"), buf));
    table_cell(t, STYLE_PLAIN, "%s", text_bytes(field_number(flow, "rx_bytes"), buf));
    table_cell(t, STYLE_PLAIN, "%s", text_bytes(field_number(flow, "tx_bytes"), buf));
    add_marks(t, flow);
    add_rtt(t, flow);
    add_optional(t, flow, "retransmits");
    add_queue(t, flow);
    add_upstream(t, flow);
    add_modes(t, flow);
    add_coding(t, flow);
    return add_overrides(t, flow);
}

/* `way`: how bytes that this leg receives go on. */
static void add_leg(struct table *t, const json_t *flow, const char *name, const json_t *leg, const json_t *way) {
    char buf[TEXT_MAX], mode[MODE_TEXT_MAX];

    table_cell(t, STYLE_PLAIN, "%s", field_text(flow, "id"));
    table_cell(t, STYLE_PLAIN, "%s", field_text(flow, "listener"));
    table_cell(t, STYLE_PLAIN, "%s", name);
    if (streq(name, "upstream"))
        add_upstream(t, flow);
    else
        table_cell(t, STYLE_PLAIN, "%s", field_text(leg, "peer"));
    table_cell(t, STYLE_PLAIN, "%s", text_bytes(field_number(leg, "rx_bytes"), buf));
    table_cell(t, STYLE_PLAIN, "%s", text_bytes(field_number(leg, "tx_bytes"), buf));
    add_marks(t, leg);
    add_rtt(t, leg);
    add_optional(t, leg, "retransmits");
    add_queue(t, leg);
    table_cell(t, STYLE_PLAIN, "%s", mode_text(way, mode));
}

/* A flow that is not relayed has the client's leg alone. */
static int add_legs(struct table *t, const json_t *flow) {
    const json_t *client = json_object_get(flow, "client_leg"), *upstream = json_object_get(flow, "upstream_leg");

    add_leg(t, flow, "client", client ? client : flow, json_object_get(flow, "to_upstream"));
    if (upstream)
        add_leg(t, flow, "upstream", upstream, json_object_get(flow, "to_client"));
    return 0;
}

static int on_flows(json_t *parameters, void *userdata) {
    struct listing *l = userdata;
    const json_t *flows = json_object_get(parameters, "flows");
    struct output *o = &l->ctl->out;
    json_t *flow;
    size_t i;
    int r;

    json_array_foreach(flows, i, flow) {
        if (o->json && l->n == 0)
            output_list_open(o, NULL, "flows");
        l->n++;
        if (o->json) {
            output_list_item(o, flow);
            continue;
        }
        r = l->add(l->table, flow);
        if (r < 0)
            return r;
    }
    if (table_rows(l->table) >= ROWS_AT_ONCE) {
        r = table_print(l->table, o);
        if (r < 0)
            return r;
    }
    return ferror(o->file) ? output_flush(o) : 0;
}

static enum status list_end(struct listing *l, enum status status) {
    struct output *o = &l->ctl->out;

    if (o->json) {
        if (l->n == 0 && status != STATUS_DONE)
            return status;
        if (l->n == 0)
            output_list_open(o, NULL, "flows");
        output_list_close(o, NULL);
        return status;
    }
    if (l->n == 0 && status == STATUS_DONE)
        fputs("no flows\n", o->file);
    if (table_rows(l->table) > 0 && table_print(l->table, o) < 0)
        return call_no_memory();
    return status;
}

enum status flows_list(struct ctl *ctl) {
    bool legs = ctl->args->option[OPTION_LEGS] != NULL;
    _cleanup_(table_freep) struct table *t =
            table_new(legs ? leg_columns : columns, legs ? ARRAY_SIZE(leg_columns) : ARRAY_SIZE(columns));
    struct listing listing = { .ctl = ctl, .table = t, .add = legs ? add_legs : add_flow };
    const char *listener = ctl->args->n_words > 0 ? ctl->args->words[0] : NULL;

    if (!t)
        return call_no_memory();
    json_t *p = call_put_text(call_selection(ctl), "listener", listener);
    return list_end(&listing, call_stream(ctl, "Flows", p, false, on_flows, &listing));
}

enum status flows_close(struct ctl *ctl) {
    const struct args *a = ctl->args;
    json_t *reply;

    if (a->n_words == 0 && !a->option[OPTION_FLOW] && !a->option[OPTION_SOURCE]) {
        output_complain("close needs LISTENER, --flow ID or --source CIDR (try: sockqctl help close)");
        return STATUS_USAGE;
    }
    json_t *p = call_put_text(call_selection(ctl), "listener", a->n_words > 0 ? a->words[0] : NULL);
    enum status status = call_daemon(ctl, "Close", p, &reply);
    if (status != STATUS_DONE)
        return status;

    int64_t closed = field_number(reply, "closed");
    if (ctl->out.json)
        output_json(&ctl->out, reply);
    else if (closed == 0)
        fputs("no flow matched\n", ctl->out.file);
    else
        fprintf(ctl->out.file, "closed %" PRId64 " flow%s\n", closed, closed == 1 ? "" : "s");
    json_decref(reply);
    return closed > 0 ? STATUS_DONE : STATUS_FAILED;
}
