/* SPDX-License-Identifier: MIT */
#include "result.h"

#include <inttypes.h>

#include "field.h"
#include "table.h"

static const struct outcome {
    const char *name;  /* on the wire; the count of its sockets has the same name */
    const char *words; /* for people */
    enum style style;
} outcomes[] = {
    { "applied", "applied", STYLE_GOOD },
    { "deferred", "new flows only", STYLE_WARN },
    { "not_applicable", "not applicable", STYLE_FAINT },
    { "failed", "failed", STYLE_BAD },
};

static const struct outcome *find_outcome(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
        if (streq(outcomes[i].name, name))
            return &outcomes[i];
    return NULL;
}

/* "416K", or "416K (3), 208K (1)" when sockets disagree. */
static char *effective_text(const json_t *key) {
    const json_t *list = json_object_get(key, "effective");
    json_t *item;
    char *text = NULL;
    size_t size, i;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    json_array_foreach(list, i, item) {
        fprintf(f, "%s%s", i > 0 ? ", " : "", field_text(item, "value"));
        if (json_array_size(list) > 1)
            fprintf(f, " (%" PRId64 ")", field_number(item, "sockets"));
    }
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* "12 applied, 3 failed": the counts that are not 0. */
static char *sockets_text(const json_t *key) {
    char *text = NULL;
    size_t size;
    const char *separator = "";
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        int64_t n = field_number(key, outcomes[i].name);
        if (n == 0)
            continue;
        fprintf(f, "%s%" PRId64 " %s", separator, n, outcomes[i].words);
        separator = ", ";
    }
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* Not what was asked for; whatever "inherit" leaves is. */
static bool took_another(const json_t *key) {
    const char *requested = field_text(key, "requested");
    const json_t *list = json_object_get(key, "effective");
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        if (!streq(requested, "inherit") && !streq(field_text(item, "value"), requested))
            return true;
    }
    return false;
}

static int add_row(struct table *t, const json_t *key) {
    const char *name = field_text(key, "outcome");
    const struct outcome *outcome = find_outcome(name);
    _cleanup_free_ char *effective = effective_text(key), *sockets = sockets_text(key);

    if (!effective || !sockets)
        return -ENOMEM;
    table_cell(t, STYLE_PLAIN, "%s", field_text(key, "setting"));
    table_cell(t, outcome ? outcome->style : STYLE_PLAIN, "%s", outcome ? outcome->words : name);
    table_cell(t, STYLE_PLAIN, "%s", field_text(key, "old"));
    table_cell(t, STYLE_PLAIN, "%s", field_text(key, "requested"));
    table_cell(t, took_another(key) ? STYLE_WARN : STYLE_PLAIN, "%s", effective);
    table_cell(t, STYLE_PLAIN, "%s", *sockets ? sockets : "none");
    return 0;
}

static int print_explanation(struct output *o, const json_t *key) {
    const char *reason = field_text(key, "reason"), *error = field_text(key, "errno");
    const char *remedy = field_text(key, "remedy");
    _cleanup_free_ char *text = NULL;

    if (!*reason && !*error && !*remedy)
        return 0;
    if (asprintf(&text, "%s:%s%s%s%s%s%s%s", field_text(key, "setting"), *reason ? " " : "", reason, *error ? " (" : "",
                 error, *error ? ")" : "", *remedy ? "; try: " : "", remedy) < 0)
        return -ENOMEM;
    output_words(o, "", 0, STYLE_PLAIN, text);
    return 0;
}

int result_print(struct output *o, const json_t *keys) {
    static const struct column columns[] = {
        { "SETTING" },
        { "RESULT" },
        { "BEFORE", .width_min = 8, .drop = 2 },
        { "REQUESTED", .width_min = 9 },
        { "EFFECTIVE", .width_min = 9 },
        { "SOCKETS", .width_min = 12, .drop = 1 },
    };
    _cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
    json_t *key;
    size_t i;

    if (!t)
        return -ENOMEM;
    json_array_foreach(keys, i, key) {
        int r = add_row(t, key);
        if (r < 0)
            return r;
    }
    int r = table_rows(t) > 0 ? table_print(t, o) : 0;
    json_array_foreach(keys, i, key) print_explanation(o, key);
    return r;
}

enum status result_status(const json_t *keys) {
    bool failed = false, took = false;
    json_t *key;
    size_t i;

    json_array_foreach(keys, i, key) {
        const char *outcome = field_text(key, "outcome");
        failed |= streq(outcome, "failed") || field_number(key, "failed") > 0;
        took |= streq(outcome, "applied") || streq(outcome, "deferred");
        took |= field_number(key, "applied") > 0 || field_number(key, "deferred") > 0;
    }
    if (!failed)
        return STATUS_DONE;
    return took ? STATUS_PARTLY : STATUS_FAILED;
}
