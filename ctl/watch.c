/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <time.h>

#include "call.h"
#include "counters.h"
#include "field.h"
#include "ratio.h"
#include "table.h"
#include "text.h"
#include "verb.h"

#define WATCH_USEC_MIN (100 * USEC_PER_MSEC)

static void format_clock(int64_t realtime_usec, char buf[static TEXT_MAX]) {
    time_t sec = (time_t) (realtime_usec / (int64_t) USEC_PER_SEC);
    struct tm tm;

    if (!localtime_r(&sec, &tm) || strftime(buf, TEXT_MAX, "%H:%M:%S", &tm) == 0)
        snprintf(buf, TEXT_MAX, "--:--:--");
}

/* Not a counter, but what these come to. */
static void add_coding(struct table *t, const json_t *l, const char *setting, const char *direction) {
    const char *coding = field_text(l, setting);
    char text[RATIO_TEXT_MAX];

    if (!*coding || streq(coding, "off"))
        return;
    table_cell(t, STYLE_PLAIN, "%s", field_text(l, "listener"));
    table_cell(t, STYLE_PLAIN, "%s", setting);
    table_cell(t, STYLE_PLAIN, "%s", ratio_format(coding, json_object_get(l, "counters"), direction, text));
}

static int print_totals(struct output *o, const json_t *reply) {
    static const struct column columns[] = {
        { "LISTENER", .width_min = 8 },
        { "COUNTER" },
        { "VALUE", .right = true },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    const json_t *listeners = json_object_get(reply, "listeners");
    json_t *l, *value;
    const char *key;
    size_t i;

    if (!t)
        return -ENOMEM;
    json_array_foreach(listeners, i, l) {
        json_t *flat = counters_flatten(l);
        if (!flat)
            return -ENOMEM;
        json_object_foreach(flat, key, value) {
            table_cell(t, STYLE_PLAIN, "%s", field_text(l, "listener"));
            table_cell(t, STYLE_PLAIN, "%s", key);
            table_cell(t, json_integer_value(value) == 0 ? STYLE_FAINT : STYLE_PLAIN, "%" PRId64,
                       (int64_t) json_integer_value(value));
        }
        json_decref(flat);
        add_coding(t, l, "decompression", "rx");
        add_coding(t, l, "compression", "tx");
    }
    if (table_rows(t) == 0)
        fputs("no listeners\n", o->file);
    return table_rows(t) > 0 ? table_print(t, o) : 0;
}

static int print_moved(struct output *o, const json_t *moved, double seconds) {
    static const struct column columns[] = {
        { "LISTENER", .width_min = 8 },        { "COUNTER" },
        { "PER SECOND", .right = true },       { "CHANGE", .right = true },
        { "TOTAL", .right = true, .drop = 1 },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    json_t *row;
    size_t i;

    if (!t)
        return -ENOMEM;
    json_array_foreach(moved, i, row) {
        const char *counter = field_text(row, "counter");
        int64_t change = field_number(row, "change");
        bool rate = !counters_is_gauge(counter) && seconds > 0;
        char buf[TEXT_MAX];

        table_cell(t, STYLE_PLAIN, "%s", field_text(row, "listener"));
        table_cell(t, STYLE_PLAIN, "%s", counter);
        table_cell(t, STYLE_PLAIN, "%s", rate ? text_rate((double) change / seconds, buf) : "");
        table_cell(t, STYLE_PLAIN, "%+" PRId64, change);
        table_cell(t, STYLE_PLAIN, "%" PRId64, field_number(row, "total"));
    }
    return table_print(t, o);
}

/* `title`: NULL puts the time of the sample. */
static int print_difference(struct output *o, const char *title, const json_t *before, const json_t *now) {
    int64_t usec = field_number(now, "time_usec") - field_number(before, "time_usec");
    json_t *moved = counters_moved(before, now);
    char clock[TEXT_MAX], length[TEXT_MAX];
    int r = 0;

    if (!moved)
        return -ENOMEM;
    format_clock(field_number(now, "time_usec"), clock);
    fprintf(o->file, "%s%s%s (%s)%s\n", output_style(o, STYLE_BOLD), title ? title : clock, output_plain(o),
            text_duration(MAX(usec, (int64_t) 0), length), json_array_size(moved) == 0 ? ": nothing moved" : "");
    if (json_array_size(moved) > 0)
        r = print_moved(o, moved, (double) usec / (double) USEC_PER_SEC);
    json_decref(moved);
    return r;
}

static enum status sample(struct ctl *ctl, json_t **ret) {
    const char *listener = ctl->args->n_words > 0 ? ctl->args->words[0] : NULL;
    enum status status = call_daemon(ctl, "Stats", call_put_text(json_object(), "listener", listener), ret);

    /* The daemon ends sessions that are idle for as long as an interval may be. */
    ctl->client = client_free(ctl->client);
    return status;
}

static int show_sample(struct output *o, const json_t *before, const json_t *now) {
    int r = 0;

    if (o->json)
        output_json_line(o, now);
    else if (before)
        r = print_difference(o, NULL, before, now);
    if (r < 0)
        return r;
    return output_flush(o);
}

/* Ends with Ctrl-C, a reader that has gone, or a failure. */
static enum status watch_loop(struct ctl *ctl, uint64_t interval_usec, json_t **first, json_t **last) {
    for (;;) {
        json_t *now;

        enum status status = sample(ctl, &now);
        if (status != STATUS_DONE)
            return ctl->interrupted ? STATUS_DONE : status;
        int r = show_sample(&ctl->out, *last, now);
        if (!*first)
            *first = json_incref(now);
        json_decref(*last);
        *last = now;
        if (r == -ENOMEM)
            return call_no_memory();
        if (r < 0 || call_pause(ctl, interval_usec) < 0)
            return STATUS_DONE;
    }
}

static enum status watch(struct ctl *ctl, uint64_t interval_usec) {
    json_t *first = NULL, *last = NULL;
    struct output *o = &ctl->out;

    enum status status = call_catch_interrupt(ctl);
    if (status != STATUS_DONE)
        return status;
    status = watch_loop(ctl, interval_usec, &first, &last);
    if (!o->json && first && last != first && o->error == 0 && print_difference(o, "in all", first, last) < 0)
        status = call_no_memory();
    json_decref(first);
    json_decref(last);
    return status;
}

enum status watch_stats(struct ctl *ctl) {
    const char *interval = ctl->args->option[OPTION_WATCH];
    int64_t usec;
    json_t *reply;
    int r = 0;

    if (interval) {
        if (args_duration(interval, &usec) < 0 || usec < (int64_t) WATCH_USEC_MIN) {
            output_complain("--watch needs a time of at least 0.1 seconds, for example 2 or 500ms");
            return STATUS_USAGE;
        }
        return watch(ctl, (uint64_t) usec);
    }
    enum status status = sample(ctl, &reply);
    if (status != STATUS_DONE)
        return status;
    if (ctl->out.json)
        output_json(&ctl->out, reply);
    else
        r = print_totals(&ctl->out, reply);
    json_decref(reply);
    return r < 0 ? call_no_memory() : STATUS_DONE;
}

struct monitor {
    struct output *out;
    uint64_t told;
    int64_t dropped;
};

static enum style level_style(const char *level) {
    static const struct {
        const char *level;
        enum style style;
    } styles[] = {
        { "emerg", STYLE_BAD },    { "alert", STYLE_BAD },   { "crit", STYLE_BAD },    { "err", STYLE_BAD },
        { "warning", STYLE_WARN }, { "notice", STYLE_BOLD }, { "debug", STYLE_FAINT },
    };
    for (size_t i = 0; i < ARRAY_SIZE(styles); i++)
        if (streq(styles[i].level, level))
            return styles[i].style;
    return STYLE_PLAIN;
}

static int on_event(json_t *event, void *userdata) {
    struct monitor *m = userdata;
    struct output *o = m->out;
    const char *level = field_text(event, "level");
    int64_t dropped = field_number(event, "dropped"), time_usec = field_number(event, "time_usec");
    char clock[TEXT_MAX];

    m->told++;
    m->dropped += dropped;
    if (o->json) {
        output_json_line(o, event);
        return output_flush(o);
    }
    format_clock(time_usec, clock);
    if (dropped > 0)
        fprintf(o->file, "%s%s %" PRId64 " events were lost here: this terminal is too slow%s\n",
                output_style(o, STYLE_WARN), clock, dropped, output_plain(o));
    fprintf(o->file, "%s.%03d %-7s %s%s%s: %s\n", clock, (int) (time_usec / 1000 % 1000), level,
            output_style(o, level_style(level)), field_text(event, "kind"), output_plain(o),
            field_text(event, "message"));
    return output_flush(o);
}

enum status watch_monitor(struct ctl *ctl) {
    struct monitor monitor = { .out = &ctl->out };
    json_t *p = call_put_text(json_object(), "level", ctl->args->option[OPTION_LEVEL]);

    enum status status = call_catch_interrupt(ctl);
    if (status != STATUS_DONE) {
        json_decref(p);
        return status;
    }
    status = call_stream(ctl, "Monitor", p, true, on_event, &monitor);
    if (!ctl->out.json && ctl->out.error == 0 && (status == STATUS_DONE || ctl->interrupted))
        fprintf(ctl->out.file, "%" PRIu64 " events, %" PRId64 " lost\n", monitor.told, monitor.dropped);
    return status;
}
