/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <stdio.h>

#include "build.h"
#include "errors.h"

static char *unknown_reason(const char *name) {
    const char *near = setting_suggest(name);
    char *reason;

    if (asprintf(&reason, "there is no such setting%s%s%s", near ? ", did you mean '" : "", near ? near : "",
                 near ? "'?" : "") < 0)
        return NULL;
    return reason;
}

static json_t *build_fault(const char *name, const char *value, char *reason) {
    return json_pack("{s:s, s:s, s:o}", "setting", name, "value", value, "reason", build_owned(reason));
}

/* The fault of one value, or NULL; *ret_error is -ENOMEM when not even that could be built. `given`: keys that were given. */
static json_t *parse_one(const char *name, const struct setting *row, const char *value, struct settings *settings,
                         uint64_t *given, int *ret_error) {
    char *reason = NULL;
    json_t *fault;
    int r;

    *ret_error = 0;
    if (!row) {
        reason = unknown_reason(name);
        r = -EINVAL;
    } else if (*given & SETTING_BIT(row->id)) {
        reason = strdup("this setting is given twice, under two names");
        r = -EINVAL;
    } else {
        r = settings_set_text(settings, row, value, &reason);
    }
    if (row)
        *given |= SETTING_BIT(row->id);
    if (r >= 0)
        return NULL;
    fault = r == -ENOMEM ? NULL : build_fault(name, value, reason);
    if (!fault)
        *ret_error = -ENOMEM;
    return fault;
}

/* Names of both legs, or names of one leg: these win, whatever the order. Names that nothing knows count as the former. */
static int parse_all(const json_t *map, bool of_one_leg, struct settings *settings, json_t **faults) {
    uint64_t given = 0;
    const char *name;
    json_t *value;
    int r = 0;

    json_object_foreach((json_t *) map, name, value) {
        const struct setting *row = setting_find(name);
        json_t *fault;

        if ((row && row->leg != SETTING_LEG_ALL) != of_one_leg)
            continue;
        fault = parse_one(name, row, json_string_value(value), settings, &given, &r);
        if (fault)
            *faults = build_add(*faults, fault);
        if (r < 0)
            return r;
    }
    return 0;
}

bool keys_parse(struct call *call, const json_t *map, struct settings *ret, uint64_t *ret_keys) {
    _cleanup_(settings_done) struct settings settings = { 0 };
    json_t *faults = json_array();
    int r = parse_all(map, false, &settings, &faults);

    if (r >= 0)
        r = parse_all(map, true, &settings, &faults);
    if (r < 0 || !faults) {
        json_decref(faults);
        call_drop(call);
        return false;
    }
    if (json_array_size(faults) > 0) {
        error_invalid_settings(call, faults);
        return false;
    }
    json_decref(faults);
    *ret = settings;
    *ret_keys = settings.set_mask;
    settings = (struct settings){ 0 };
    return true;
}

/* Is `name` about this key, and nearer to it than `best`? Names of one leg are. */
static const struct setting *nearer(const struct setting *best, const char *name, enum setting_id id) {
    const struct setting *row = setting_find(name);

    if (!row || !(setting_keys(row) & SETTING_BIT(id)))
        return best;
    return best && (best->leg != SETTING_LEG_ALL || row->leg == SETTING_LEG_ALL) ? best : row;
}

/* The row of a key under the name that the caller used; "tos" of both legs is "upstream.tos" on the upstream leg. */
static const struct setting *row_as_asked(enum setting_id id, const json_t *asked) {
    const struct setting *best = NULL;
    const char *name;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *) asked, name, value) best = nearer(best, name, id);
    json_array_foreach(asked, i, value) best = nearer(best, json_string_value(value), id);
    if (!best)
        return setting_by_id(id);
    return best->id == id ? best : setting_find_on_leg(best->name, SETTING_LEG_UPSTREAM);
}

static json_t *build_readbacks(const struct setting *row, const struct tally_key *k) {
    json_t *list = json_array();

    for (unsigned i = 0; i < k->n_values; i++)
        list = build_add(list, json_pack("{s:o, s:o}", "value", build_owned(setting_format(row, &k->values[i].value)),
                                         "sockets", build_number(k->values[i].sockets)));
    return list;
}

static json_t *build_text_of(const struct settings *settings, const struct setting *row, const char *absent) {
    if (!settings || !settings_has(settings, row->id))
        return build_text(absent);
    return build_owned(settings_get_text(settings, row));
}

static json_t *build_result(const struct change_answer *a, const struct setting *row) {
    static const struct tally_key nothing = { 0 };
    const struct tally_key *k = a->tally ? &a->tally->key[row->id] : &nothing;
    const char *reason = k->reason;
    json_t *result;

    if (!reason && k->failed > 0)
        reason = qos_failure_cause(row->id, k->error);
    result = json_pack("{s:s, s:s, s:o, s:o}", "setting", row->name, "outcome", qos_outcome_name(tally_outcome(k)),
                       "requested", build_text_of(a->requested, row, "unset"), "effective", build_readbacks(row, k));
    result = build_member(result, "applied", build_number(k->applied_endpoints + k->applied_flows));
    result = build_member(result, "deferred", build_number(k->deferred));
    result = build_member(result, "not_applicable", build_number(k->not_applicable));
    result = build_member(result, "failed", build_number(k->failed));
    if (a->old && settings_has(a->old, row->id))
        result = build_member(result, "old", build_text_of(a->old, row, NULL));
    if (reason)
        result = build_member(result, "reason", json_string(reason));
    if (k->failed > 0) {
        result = build_member(result, "errno", build_text(strerrorname_np(-k->error)));
        result = build_member(result, "remedy", json_string(qos_failure_remedy(row->id, k->error)));
    }
    return result;
}

json_t *keys_results(const struct change_answer *answer, const json_t *asked) {
    json_t *list = json_array();

    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (answer->keys & SETTING_BIT(id))
            list = build_add(list, build_result(answer, row_as_asked(id, asked)));
    return list;
}
