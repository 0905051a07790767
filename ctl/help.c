/* SPDX-License-Identifier: MIT */
#include "call.h"
#include "field.h"
#include "setting.h"
#include "table.h"
#include "text.h"
#include "verb.h"

#define VERSION_TIMEOUT_USEC (2 * USEC_PER_SEC) /* a stuck daemon must not keep back our own version */

static const char exit_statuses[] = "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 sockqd not reachable,\n"
                                    "4 done for some sockets only.";

static void print_option(struct output *o, enum option_id id) {
    const struct option_row *row = option_row(id);
    char left[32];

    snprintf(left, sizeof(left), "%s--%s%s%s", row->letter ? "-h, " : "", row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
    fprintf(o->file, "  %-20s %s\n", left, row->help);
}

static void print_options(struct output *o, uint32_t mask) {
    for (int i = 0; i < OPTION_MAX; i++)
        if (mask & OPTION_BIT(i))
            print_option(o, i);
}

static enum status help_overview(struct output *o) {
    const struct verb *v;

    if (o->json) {
        json_t *list = json_array();
        for (size_t i = 0; (v = verb_row(i)); i++)
            json_array_append_new(list, json_pack("{ss ss ss}", "verb", v->name, "words", v->words, "help", v->help));
        json_t *all = json_pack("{so}", "verbs", list);
        output_json(o, all);
        json_decref(all);
        return STATUS_DONE;
    }
    fputs("sockqctl [OPTION...] VERB [WORD...]\nLook at sockqd and change it while traffic flows.\n\nVerbs:\n",
          o->file);
    for (size_t i = 0; (v = verb_row(i)); i++)
        fprintf(o->file, "  %-20s %s\n", v->name, v->help);
    fputs("\nOptions, before or after the verb:\n", o->file);
    print_options(o, OPTIONS_GLOBAL);
    fprintf(o->file, "\n%s\nMore: sockqctl help VERB, sockqctl help settings, sockqctl(1).\n", exit_statuses);
    return STATUS_DONE;
}

static json_t *options_json(uint32_t mask) {
    json_t *list = json_array();

    for (int i = 0; i < OPTION_MAX; i++) {
        const struct option_row *row = option_row(i);
        if (mask & OPTION_BIT(i))
            json_array_append_new(
                    list, json_pack("{ss ss* ss}", "option", row->name, "argument", row->argument, "help", row->help));
    }
    return list;
}

static enum status help_verb(struct output *o, const struct verb *v) {
    if (o->json) {
        json_t *all = json_pack("{ss ss ss ss so}", "verb", v->name, "words", v->words, "help", v->help, "details",
                                v->details, "options", options_json(v->options));
        output_json(o, all);
        json_decref(all);
        return STATUS_DONE;
    }
    fprintf(o->file, "sockqctl %s%s%s%s\n%s.\n", v->name, v->options ? " [OPTION...]" : "", *v->words ? " " : "",
            v->words, v->help);
    if (*v->details)
        fprintf(o->file, "\n%s\n", v->details);
    if (v->options) {
        fputs("\nOptions:\n", o->file);
        print_options(o, v->options);
    }
    return STATUS_DONE;
}

static const char *live_text(const struct setting *s) {
    static const char *const texts[] = {
        [SETTING_LIVE] = "yes",
        [SETTING_LIVE_SOME] = "within limits",
        [SETTING_NEW_FLOWS] = "new flows",
    };
    return texts[s->live];
}

static const struct {
    unsigned bit;
    const char *name, *text;
} carrier_names[] = {
    { CARRIER_LISTENING, "listening", "listening TCP sockets" },
    { CARRIER_STREAM, "stream", "TCP connections" },
    { CARRIER_DATAGRAM, "datagram", "UDP sockets" },
    { CARRIER_PACKET, "packet", "each datagram" },
    { CARRIER_DAEMON, "daemon", "the daemon itself" },
};

static json_t *carriers_json(unsigned carriers) {
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(carrier_names); i++)
        if (carriers & carrier_names[i].bit)
            json_array_append_new(list, json_string(carrier_names[i].name));
    return list;
}

/* The name that a row is another spelling of, or NULL. */
static const char *alias_of(const struct setting *s) {
    const struct setting *canonical = setting_by_id(s->id);

    if (s->leg == SETTING_LEG_CLIENT)
        canonical = setting_find_on_leg(canonical->name, SETTING_LEG_CLIENT);
    return canonical == s ? NULL : canonical->name;
}

static bool is_of_both_legs(const struct setting *s) {
    return setting_keys(s) != SETTING_BIT(s->id);
}

static json_t *setting_json(const struct setting *s) {
    return json_pack("{ss ss ss ss ss so sb sb sb ss* ss* ss*}", "setting", s->name, "help", s->help, "syntax",
                     s->syntax, "default", s->dflt, "live", live_text(s), "carriers", carriers_json(s->carriers),
                     "inherit", s->may_inherit, "restorable", s->restorable, "both_legs", is_of_both_legs(s),
                     "capability", s->capability, "capability_when", s->capability_when, "alias_of", alias_of(s));
}

static enum status help_settings_json(struct output *o) {
    const struct setting *s;

    output_list_open(o, NULL, "settings");
    for (size_t i = 0; (s = setting_row(i)); i++) {
        if (s->leg != SETTING_LEG_ALL)
            continue;

        json_t *v = setting_json(s);
        output_list_item(o, v);
        json_decref(v);
    }
    output_list_close(o, NULL);
    return STATUS_DONE;
}

static enum status help_settings(struct output *o) {
    static const struct column columns[] = {
        { "SETTING" },         { "VALUES", .width_min = 12 },          { "DEFAULT" },
        { "LIVE", .drop = 1 }, { "NEEDS", .width_min = 8, .drop = 2 },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    const struct setting *s;

    if (o->json)
        return help_settings_json(o);
    if (!t)
        return call_no_memory();
    for (size_t i = 0; (s = setting_row(i)); i++) {
        const char *when = s->capability_when;

        if (s->leg != SETTING_LEG_ALL)
            continue;
        table_cell(t, STYLE_BOLD, "%s", s->name);
        table_cell(t, STYLE_PLAIN, "%s", s->syntax);
        table_cell(t, STYLE_PLAIN, "%s", s->dflt);
        table_cell(t, STYLE_PLAIN, "%s", live_text(s));
        table_cell(t, STYLE_PLAIN, "%s%s%s%s", s->capability ? s->capability : "", s->capability && when ? " (" : "",
                   s->capability && when ? when : "", s->capability && when ? ")" : "");
    }
    if (table_print(t, o) < 0)
        return call_no_memory();
    fputs("\nLIVE: does a change act on established flows? More: sockqctl help SETTING.\n"
          "Where a target forwards, client.SETTING and upstream.SETTING are those of one leg.\n",
          o->file);
    return STATUS_DONE;
}

static void print_carriers(struct output *o, unsigned carriers) {
    const char *separator = "";

    fputs("  acts on   ", o->file);
    for (size_t i = 0; i < ARRAY_SIZE(carrier_names); i++) {
        if (!(carriers & carrier_names[i].bit))
            continue;
        fprintf(o->file, "%s%s", separator, carrier_names[i].text);
        separator = ", ";
    }
    putc('\n', o->file);
}

static void print_leg(struct output *o, const struct setting *s) {
    if (s->leg != SETTING_LEG_ALL)
        fprintf(o->file, "  leg       the %s leg only\n", s->leg == SETTING_LEG_CLIENT ? "client" : "upstream");
    else if (is_of_both_legs(s))
        fprintf(o->file, "  leg       both; of one: client.%s, upstream.%s\n", s->name, s->name);
}

static enum status help_setting(struct output *o, const struct setting *s) {
    const char *when = s->capability_when;

    if (o->json) {
        json_t *v = setting_json(s);
        output_json(o, v);
        json_decref(v);
        return STATUS_DONE;
    }
    fprintf(o->file, "%s%s%s: %s\n\n", output_style(o, STYLE_BOLD), s->name, output_plain(o), s->help);
    fprintf(o->file, "  values    %s%s\n", s->syntax, s->may_inherit ? ", or inherit" : "");
    fprintf(o->file, "  default   %s\n", s->dflt);
    fprintf(o->file, "  live      %s\n", live_text(s));
    print_carriers(o, s->carriers);
    if (s->capability)
        fprintf(o->file, "  needs     %s%s%s%s\n", s->capability, when ? " (" : "", when ? when : "", when ? ")" : "");
    if (!s->restorable)
        fputs("  undo      taking it back may need the capability, too\n", o->file);
    print_leg(o, s);
    if (alias_of(s))
        fprintf(o->file, "  also      another spelling of %s\n", alias_of(s));
    return STATUS_DONE;
}

static enum status help_unknown(const char *word) {
    _cleanup_free_ char *safe = text_escape(word, strlen(word));
    const char *near = verb_suggest(word);

    if (!near)
        near = setting_suggest(word);
    if (near)
        output_complain("no verb and no setting is called '%s', did you mean '%s'?", safe ? safe : "", near);
    else
        output_complain("no verb and no setting is called '%s' (try: sockqctl help)", safe ? safe : "");
    return STATUS_USAGE;
}

enum status help_show(struct ctl *ctl) {
    const struct args *a = ctl->args;
    struct output *o = &ctl->out;
    bool asked = a->verb && streq(a->verb, "help");
    const char *word = asked ? (a->n_words > 0 ? a->words[0] : NULL) : a->verb;
    const struct verb *v;
    const struct setting *s;

    if (!word)
        return help_overview(o);
    if (streq(word, "settings"))
        return help_settings(o);
    if ((v = verb_find(word)))
        return help_verb(o, v);
    if ((s = setting_find(word)))
        return help_setting(o, s);
    return help_unknown(word);
}

/* Only `version` asks the daemon; --version must work without one. */
static enum status print_versions(struct output *o, const json_t *info) {
    if (o->json) {
        json_t *v = json_pack("{ss ss*}", "sockqctl", SOCKQ_VERSION, "sockqd",
                              json_string_value(json_object_get(info, "version")));
        output_json(o, v);
        json_decref(v);
        return STATUS_DONE;
    }
    fprintf(o->file, "sockqctl %s\n", SOCKQ_VERSION);
    if (info)
        fprintf(o->file, "%s %s\n", *field_text(info, "product") ? field_text(info, "product") : "sockqd",
                field_text(info, "version"));
    return STATUS_DONE;
}

enum status help_version(struct ctl *ctl) {
    json_t *info = NULL;

    if (ctl->args->option[OPTION_VERSION])
        return print_versions(&ctl->out, NULL);
    if (ctl->timeout_usec == 0)
        ctl->timeout_usec = VERSION_TIMEOUT_USEC;
    if (call_daemon(ctl, "org.varlink.service.GetInfo", json_object(), &info) != STATUS_DONE)
        info = NULL;
    print_versions(&ctl->out, info);
    json_decref(info);
    return STATUS_DONE;
}
