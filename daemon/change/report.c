/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "event.h"
#include "internal.h"

static void report_failed(const struct change_scope *scope, const struct change_answer *a, const struct setting *row,
                          const struct event_field *fields) {
    const struct tally_key *k = &a->tally->key[row->id];

    event_log(EVENT_SETTING_FAILED, fields, "%s: %s refused on %u socket%s (%s), the whole change was undone%s",
              scope->target, row->name, k->failed, k->failed == 1 ? "" : "s", strerror(-k->error),
              a->undo_failed ? " except where sockets refused that too" : "");
}

/* "applied on 2 endpoints and 1 flow, deferred for 3" */
static void format_result(const struct tally_key *k, bool counts, char *text, size_t size) {
    enum qos_outcome outcome = tally_outcome(k);
    char deferred[32] = "";

    if (!counts || outcome == QOS_NOT_APPLICABLE) {
        snprintf(text, size, "%s", outcome == QOS_NOT_APPLICABLE ? "not applicable" : qos_outcome_name(outcome));
        return;
    }
    if (k->deferred > 0)
        snprintf(deferred, sizeof(deferred), ", deferred for %u", k->deferred);
    snprintf(text, size, "applied on %u endpoint%s and %u flow%s%s", k->applied_endpoints,
             k->applied_endpoints == 1 ? "" : "s", k->applied_flows, k->applied_flows == 1 ? "" : "s", deferred);
}

static void report_key(const struct change_scope *scope, const struct change_answer *a, enum setting_id id,
                       const struct change_who *who) {
    const struct setting *row = setting_by_id(id);
    const struct tally_key *k = &a->tally->key[id];
    _cleanup_free_ char *old = settings_get_text(a->old, row), *new = settings_get_text(a->requested, row);
    bool narrow = scope->narrowing[0] != '\0';
    char uid[16], pid[16], error[16], result[128];
    const struct event_field *fields;

    snprintf(uid, sizeof(uid), "%u", who->uid);
    snprintf(pid, sizeof(pid), "%d", who->pid);
    snprintf(error, sizeof(error), "%d", -k->error);
    fields = EVENT_FIELDS({ FIELD_LISTENER, scope->target }, { FIELD_SETTING, row->name }, { FIELD_OLD, old },
                          { FIELD_NEW, new }, { FIELD_SCOPE, narrow ? scope->narrowing : "all" },
                          { FIELD_RESULT, qos_outcome_name(tally_outcome(k)) }, { FIELD_UID, uid }, { FIELD_PID, pid },
                          { FIELD_ERRNO, k->error ? error : NULL });
    if (tally_outcome(k) == QOS_FAILED) {
        report_failed(scope, a, row, fields);
        return;
    }
    if (a->status == CHANGE_FAILED)
        return; /* undone because of another key */
    format_result(k, !scope->reload, result, sizeof(result));
    event_log(scope->unset ? EVENT_SETTING_UNSET : EVENT_SETTING_CHANGED, fields,
              "%s: %s %s -> %s%s%s%s: %s, by %suid %s", scope->target, row->name, old ? old : "-", new ? new : "-",
              narrow ? " (" : "", scope->narrowing, narrow ? ")" : "", result, scope->reload ? "a reload of " : "",
              uid);
}

void report_change(const struct change_scope *scope, const struct change_answer *answer, const struct change_who *who) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        if (answer->keys & SETTING_BIT(id))
            report_key(scope, answer, id, who);
}
