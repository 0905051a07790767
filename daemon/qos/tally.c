/* SPDX-License-Identifier: MIT */
#include "tally.h"

const char *qos_outcome_name(enum qos_outcome outcome) {
    static const char *const names[] = {
        [QOS_APPLIED] = "applied",
        [QOS_DEFERRED] = "deferred",
        [QOS_NOT_APPLICABLE] = "not_applicable",
        [QOS_FAILED] = "failed",
    };

    return names[outcome];
}

static void add_value(struct tally_key *k, enum setting_id id, const union setting_value *v, unsigned sockets) {
    const struct setting *row = setting_by_id(id);
    unsigned i = 0;

    while (i < k->n_values && !setting_value_equal(row, &k->values[i].value, v))
        i++;
    if (i == TALLY_VALUES_MAX)
        i--;
    else if (i == k->n_values) {
        setting_value_copy(row, &k->values[i].value, v);
        k->n_values++;
    }
    k->values[i].sockets += sockets;
}

static void add_words(struct tally_key *k, int error, const char *reason) {
    if (k->error == 0)
        k->error = error;
    if (!k->reason)
        k->reason = reason;
}

void tally_add(struct tally *t, enum setting_id id, const struct qos_result *result, bool endpoint) {
    struct tally_key *k = &t->key[id];

    switch (result->outcome) {
    case QOS_APPLIED:
        if (endpoint)
            k->applied_endpoints++;
        else
            k->applied_flows++;
        break;
    case QOS_DEFERRED:
        k->deferred++;
        break;
    case QOS_NOT_APPLICABLE:
        k->not_applicable++;
        break;
    case QOS_FAILED:
        k->failed++;
        break;
    }
    add_words(k, result->error, result->reason);
    if (result->has_effective)
        add_value(k, id, &result->effective, 1);
}

void tally_merge(struct tally *into, const struct tally *from) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        struct tally_key *k = &into->key[id];
        const struct tally_key *add = &from->key[id];

        k->applied_endpoints += add->applied_endpoints;
        k->applied_flows += add->applied_flows;
        k->deferred += add->deferred;
        k->not_applicable += add->not_applicable;
        k->failed += add->failed;
        add_words(k, add->error, add->reason);
        for (unsigned i = 0; i < add->n_values; i++)
            add_value(k, id, &add->values[i].value, add->values[i].sockets);
    }
}

unsigned tally_failed(const struct tally *t) {
    unsigned failed = 0;

    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        failed += t->key[id].failed;
    return failed;
}

enum qos_outcome tally_outcome(const struct tally_key *k) {
    if (k->failed > 0)
        return QOS_FAILED;
    if (k->deferred > 0 && k->applied_flows == 0)
        return QOS_DEFERRED;
    return k->applied_endpoints > 0 || k->applied_flows > 0 ? QOS_APPLIED : QOS_NOT_APPLICABLE;
}

void tally_key_done(struct tally_key *k, enum setting_id id) {
    for (unsigned i = 0; i < k->n_values; i++)
        setting_value_done(setting_by_id(id), &k->values[i].value);
    *k = (struct tally_key){ 0 };
}

void tally_done(struct tally *t) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        tally_key_done(&t->key[id], id);
}
