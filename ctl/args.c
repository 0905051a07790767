/* SPDX-License-Identifier: MIT */
#include "args.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>

#include "reason.h"
#include "suggest.h"
#include "unit.h"

static const struct option_row rows[OPTION_MAX] = {
    [OPTION_CONTROL] = { "control", 0, "PATH", "the control socket of sockqd" },
    [OPTION_TIMEOUT] = { "timeout", 0, "SECONDS", "how long to wait for an answer (30; send: 1)" },
    [OPTION_JSON] = { "json", 0, NULL, "print JSON instead of text" },
    [OPTION_NO_COLOR] = { "no-color", 0, NULL, "no colour, not even on a terminal" },
    [OPTION_HELP] = { "help", 'h', NULL, "explain and exit" },
    [OPTION_VERSION] = { "version", 0, NULL, "print the version of sockqctl and exit" },
    [OPTION_NEW_ONLY] = { "new-only", 0, NULL, "leave established flows as they are" },
    [OPTION_FLOW] = { "flow", 0, "ID", "only the flow with this id" },
    [OPTION_SOURCE] = { "source", 0, "CIDR", "only flows whose peer is in this prefix" },
    [OPTION_LEGS] = { "legs", 0, NULL, "a row for each side of a flow" },
    [OPTION_WATCH] = { "watch", 0, "SECONDS", "what changes, every so many seconds, until Ctrl-C" },
    [OPTION_LEVEL] = { "level", 0, "LEVEL", "least importance told: debug, info, notice, warning, err, ..." },
    [OPTION_DSCP] = { "dscp", 0, "DSCP", "mark with this DSCP, a name or 0-63" },
    [OPTION_TOS] = { "tos", 0, "BYTE", "the same mark as a TOS byte, for example 0xb8" },
    [OPTION_COUNT] = { "count", 0, "N", "how many payloads (1)" },
    [OPTION_INTERVAL] = { "interval", 0, "SECONDS", "time from one payload to the next (1)" },
    [OPTION_SIZE] = { "size", 0, "SIZE", "payloads of that many bytes, for example 1400 or 64K" },
    [OPTION_TEXT] = { "text", 0, "TEXT", "this payload" },
    [OPTION_STDIN] = { "stdin", 0, NULL, "the payload is what standard input holds" },
    [OPTION_NO_REPLY] = { "no-reply", 0, NULL, "do not wait for replies (discard and journal send none)" },
};

const struct option_row *option_row(enum option_id id) {
    return &rows[id];
}

static int find_long(const char *name, size_t length) {
    for (int i = 0; i < OPTION_MAX; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0)
            return i;
    return -EINVAL;
}

static int find_letter(const char *text) {
    for (int i = 0; i < OPTION_MAX; i++)
        if (rows[i].letter != 0 && text[0] == rows[i].letter && text[1] == 0)
            return i;
    return -EINVAL;
}

int option_find(const char *word) {
    if (word[0] != '-')
        return -EINVAL;
    return word[1] == '-' ? find_long(word + 2, strcspn(word + 2, "=")) : find_letter(word + 1);
}

static int refuse_unknown(const char *word, char **ret_reason) {
    const char *names[OPTION_MAX + 1] = { NULL };
    for (int i = 0; i < OPTION_MAX; i++)
        names[i] = rows[i].name;

    const char *near = word[1] == '-' ? suggest_near(word + 2, names) : NULL;
    if (near)
        return reason_set(ret_reason, -EINVAL, "unknown option %s, did you mean --%s?", word, near);
    return reason_set(ret_reason, -EINVAL, "unknown option %s", word);
}

/* Parses the option at argv[*i] and moves *i past its argument. */
static int parse_option(int argc, const char *const *argv, int *i, struct args *a, char **ret_reason) {
    const char *word = argv[*i];
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    int id = option_find(word);

    if (id < 0)
        return refuse_unknown(word, ret_reason);
    if (a->option[id])
        return reason_set(ret_reason, -EINVAL, "--%s is given twice", rows[id].name);

    if (!rows[id].argument) {
        if (equals)
            return reason_set(ret_reason, -EINVAL, "--%s takes no value", rows[id].name);
        a->option[id] = "";
        return 0;
    }
    if (equals) {
        a->option[id] = equals + 1;
        return 0;
    }
    if (*i + 1 >= argc)
        return reason_set(ret_reason, -EINVAL, "--%s needs %s", rows[id].name, rows[id].argument);
    a->option[id] = argv[++*i];
    return 0;
}

int args_parse(int argc, const char *const *argv, struct args *ret, char **ret_reason) {
    struct args a = { .words = calloc((size_t) argc + 1, sizeof(char *)) };
    bool ended = false;
    int r = 0;

    if (!a.words)
        return -ENOMEM;
    for (int i = 1; i < argc && r >= 0; i++) {
        if (!ended && streq(argv[i], "--"))
            ended = true;
        else if (!ended && argv[i][0] == '-' && argv[i][1] != 0)
            r = parse_option(argc, argv, &i, &a, ret_reason);
        else if (!a.verb)
            a.verb = argv[i];
        else
            a.words[a.n_words++] = argv[i];
    }
    if (r < 0) {
        args_done(&a);
        return r;
    }
    *ret = a;
    return 0;
}

void args_done(struct args *a) {
    free(a->words);
    *a = (struct args){ 0 };
}

int args_duration(const char *text, int64_t *ret_usec) {
    char buf[UNIT_TEXT_MAX];
    size_t length = strlen(text);

    if (length == 0 || length + 2 > sizeof(buf))
        return -EINVAL;
    if (!isdigit((unsigned char) text[length - 1]))
        return unit_parse_duration(text, ret_usec);
    snprintf(buf, sizeof(buf), "%ss", text);
    return unit_parse_duration(buf, ret_usec);
}

/* Adds one "KEY=VALUE" word. */
static int add_setting(json_t *settings, const char *word, char **ret_reason) {
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return reason_set(ret_reason, -EINVAL, "'%s' is not SETTING=VALUE", word);

    char *key = strndup(word, (size_t) (equals - word));
    int r = 0;
    if (!key)
        return -ENOMEM;
    if (json_object_get(settings, key))
        r = reason_set(ret_reason, -EINVAL, "%s is given twice", key);
    else if (json_object_set_new(settings, key, json_string(equals + 1)) < 0)
        r = reason_set(ret_reason, -EINVAL, "'%s' is not valid UTF-8", word);
    free(key);
    return r;
}

int args_settings(const char *const *words, size_t n, json_t **ret, char **ret_reason) {
    json_t *settings = json_object();
    int r = settings ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && r >= 0; i++)
        r = add_setting(settings, words[i], ret_reason);
    if (r < 0) {
        json_decref(settings);
        return r;
    }
    *ret = settings;
    return 0;
}
