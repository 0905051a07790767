/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <glob.h>

#include "call.h"
#include "dscp.h"
#include "field.h"
#include "level.h"
#include "place.h"
#include "setting.h"
#include "varlink.h"
#include "verb.h"

/* Somebody waits with a finger on the Tab key. */
#define ANSWER_TIMEOUT_USEC USEC_PER_SEC

struct completion {
    struct ctl *ctl;
    struct place place;
};

/* Tells a word if it fits what is there already. */
static void offer(struct completion *c, const char *text, size_t length, const char *help) {
    const struct place *p = &c->place;
    struct output *o = &c->ctl->out;
    size_t typed = strlen(p->current);
    _cleanup_free_ char *word = NULL;

    if (typed > length || memcmp(text, p->current, typed) != 0)
        return;
    if (asprintf(&word, "%.*s%.*s", (int) (p->current - p->word), p->word, (int) length, text) < 0) {
        word = NULL;
        return;
    }
    if (o->json) {
        json_t *item = json_pack("{ss ss}", "word", word, "help", help);
        output_list_item(o, item);
        json_decref(item);
    } else {
        fprintf(o->file, "%s\t%s\n", word, help);
    }
}

/* The same of two parts. */
static void offer_joined(struct completion *c, const char *first, const char *second, const char *help) {
    _cleanup_free_ char *text = NULL;

    if (asprintf(&text, "%s%s", first, second) < 0) {
        text = NULL;
        return;
    }
    offer(c, text, strlen(text), help);
}

static void offer_verbs(struct completion *c) {
    const struct verb *v;

    for (size_t i = 0; (v = verb_row(i)); i++)
        offer(c, v->name, strlen(v->name), v->help);
}

static void offer_options(struct completion *c) {
    uint32_t mask = OPTIONS_GLOBAL | (c->place.verb ? c->place.verb->options : 0);

    for (int i = 0; i < OPTION_MAX; i++)
        if (mask & OPTION_BIT(i))
            offer_joined(c, "--", option_row(i)->name, option_row(i)->help);
}

/* NULL: there is no daemon, or it says no; nothing is offered then. `listener` (may be NULL) is a parameter. */
static json_t *ask(struct completion *c, const char *method, const char *listener) {
    json_t *reply;

    if (call_daemon(c->ctl, method, call_put_text(json_object(), "listener", listener), &reply) != STATUS_DONE)
        return NULL;
    return reply;
}

static void offer_listeners(struct completion *c) {
    json_t *reply = ask(c, "Listeners", NULL), *listener;
    size_t i;

    json_array_foreach(json_object_get(reply, "listeners"), i, listener) {
        const char *name = field_text(listener, "name");
        offer(c, name, strlen(name), field_text(listener, "target"));
    }
    json_decref(reply);
}

/* Of the listener that is named before. */
static void offer_upstreams(struct completion *c) {
    json_t *reply = ask(c, "Upstreams", c->place.first), *upstream;
    size_t i;

    json_array_foreach(json_object_get(reply, "upstreams"), i, upstream) {
        const char *name = field_text(upstream, "upstream");
        offer(c, name, strlen(name), field_text(upstream, "state"));
    }
    json_decref(reply);
}

static void offer_profiles(struct completion *c) {
    static const char prefix[] = "profile:";
    json_t *reply, *scope;
    size_t i;

    /* Until the colon is there one word stands for all of them. */
    if (strncmp(c->place.current, prefix, strlen(prefix)) != 0) {
        offer(c, prefix, strlen(prefix), "a profile");
        return;
    }
    reply = ask(c, "Show", NULL);
    json_array_foreach(json_object_get(reply, "scopes"), i, scope) {
        if (streq(field_text(scope, "kind"), "profile"))
            offer_joined(c, prefix, field_text(scope, "name"), "profile");
    }
    json_decref(reply);
}

/* Names of one leg are many: they are offered to whoever began one. */
static bool is_wanted(const struct completion *c, const struct setting *s) {
    return s->leg == SETTING_LEG_ALL || strchr(c->place.current, '.');
}

static void offer_settings(struct completion *c) {
    const struct setting *s;

    for (size_t i = 0; (s = setting_row(i)); i++)
        if (is_wanted(c, s))
            offer(c, s->name, strlen(s->name), s->help);
}

static void offer_names(struct completion *c, const char *const *names) {
    for (size_t i = 0; names[i]; i++)
        offer(c, names[i], strlen(names[i]), "");
}

static void offer_levels(struct completion *c) {
    offer_names(c, level_names());
}

static void offer_marks(struct completion *c) {
    offer_names(c, dscp_names());
}

static void offer_paths(struct completion *c) {
    _cleanup_free_ char *pattern = NULL;
    glob_t found;

    if (asprintf(&pattern, "%s*", c->place.current) < 0) {
        pattern = NULL;
        return;
    }
    if (glob(pattern, GLOB_MARK, NULL, &found) == 0)
        offer_names(c, (const char *const *) found.gl_pathv);
    globfree(&found);
}

static void offer_alternatives(struct completion *c, const char *syntax);

/* "dscp=", then what comes after it. */
static void offer_assignments(struct completion *c) {
    const char *equals = strchr(c->place.current, '=');
    _cleanup_free_ char *name = equals ? strndup(c->place.current, (size_t) (equals - c->place.current)) : NULL;
    const struct setting *s = name ? setting_find(name) : NULL;

    if (s) {
        c->place.current = equals + 1;
        if (s->type == SETTING_TYPE_DSCP)
            offer_marks(c);
        offer_alternatives(c, s->syntax);
        if (s->may_inherit)
            offer(c, "inherit", strlen("inherit"), "what the socket unit or the kernel gave");
    } else if (!equals) {
        for (size_t i = 0; (s = setting_row(i)); i++)
            if (is_wanted(c, s))
                offer_joined(c, s->name, "=", s->help);
    }
}

/* What stands for more than itself in a synopsis. */
static const struct {
    const char *placeholder;
    void (*offer)(struct completion *c);
} kinds[] = {
    { "VERB", offer_verbs },         { "LISTENER", offer_listeners },
    { "SETTING", offer_settings },   { "SETTING=VALUE", offer_assignments },
    { "LEVEL", offer_levels },       { "DSCP", offer_marks },
    { "PATH", offer_paths },         { "profile:NAME", offer_profiles },
    { "UPSTREAM", offer_upstreams },
};

/* A placeholder; or a word that stands for itself ("settings"), or its beginning ("tcp:" of "tcp:HOST:PORT"). */
static void offer_alternative(struct completion *c, const char *name, size_t length) {
    size_t letters = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strlen(kinds[i].placeholder) == length && memcmp(kinds[i].placeholder, name, length) == 0) {
            kinds[i].offer(c);
            return;
        }
    while (letters < length && islower((unsigned char) name[letters]))
        letters++;
    if (letters > 0 && letters < length && name[letters] == ':')
        offer(c, name, letters + 1, "");
    else if (letters == length)
        offer(c, name, length, "");
}

static void offer_alternatives(struct completion *c, const char *syntax) {
    const char *name;
    size_t length;

    while (place_alternative(&syntax, &name, &length))
        offer_alternative(c, name, length);
}

enum status complete_words(struct ctl *ctl) {
    struct completion c = { .ctl = ctl };

    place_find(ctl->args->words, ctl->args->n_words, &c.place);
    if (ctl->timeout_usec == 0)
        ctl->timeout_usec = ANSWER_TIMEOUT_USEC;
    if (c.place.control)
        ctl->path = varlink_control_path(c.place.control);
    if (ctl->out.json)
        output_list_open(&ctl->out, NULL, "words");
    if (c.place.option)
        offer_options(&c);
    else if (c.place.expects)
        offer_alternatives(&c, c.place.expects);
    if (ctl->out.json)
        output_list_close(&ctl->out, NULL);
    return STATUS_DONE;
}
