/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include "sockets.h"

static void add(struct tally *t, enum qos_outcome outcome, bool endpoint) {
    struct qos_result r = { .outcome = outcome };

    tally_add(t, SETTING_TTL, &r, endpoint);
}

static void add_value(struct tally *t, int64_t value, bool endpoint) {
    struct qos_result r = { .has_effective = true, .effective.number = value };

    tally_add(t, SETTING_TTL, &r, endpoint);
}

static void the_outcome_of_a_key(void **state) {
    struct tally t = { 0 };
    const struct tally_key *k = &t.key[SETTING_TTL];

    assert_int_equal(tally_outcome(k), QOS_NOT_APPLICABLE);
    add(&t, QOS_NOT_APPLICABLE, false);
    assert_int_equal(tally_outcome(k), QOS_NOT_APPLICABLE);
    add(&t, QOS_DEFERRED, false);
    assert_int_equal(tally_outcome(k), QOS_DEFERRED);
    add(&t, QOS_APPLIED, false);
    assert_int_equal(tally_outcome(k), QOS_APPLIED);
    add(&t, QOS_FAILED, true);
    assert_int_equal(tally_outcome(k), QOS_FAILED);
    assert_int_equal(tally_failed(&t), 1);
    assert_int_equal(k->applied_flows, 1);
    assert_int_equal(k->applied_endpoints, 0);
    assert_int_equal(k->deferred, 1);
    assert_int_equal(k->not_applicable, 1);
    tally_done(&t);
}

static void the_first_words_stay(void **state) {
    struct tally t = { 0 };
    struct qos_result r = { .outcome = QOS_FAILED, .error = -EPERM, .reason = "first" };

    add(&t, QOS_APPLIED, true);
    tally_add(&t, SETTING_TTL, &r, true);
    r.error = -EINVAL;
    r.reason = "second";
    tally_add(&t, SETTING_TTL, &r, true);
    assert_int_equal(t.key[SETTING_TTL].error, -EPERM);
    assert_string_equal(t.key[SETTING_TTL].reason, "first");
    assert_int_equal(t.key[SETTING_TTL].failed, 2);
    tally_done(&t);
}

static void values_are_counted(void **state) {
    struct tally t = { 0 };
    const struct tally_key *k = &t.key[SETTING_TTL];

    add_value(&t, 9, true);
    add_value(&t, 64, false);
    add_value(&t, 9, false);
    assert_int_equal(k->n_values, 2);
    assert_int_equal(k->values[0].value.number, 9);
    assert_int_equal(k->values[0].sockets, 2);
    assert_int_equal(k->values[1].sockets, 1);
    for (int i = 1; i <= 10; i++)
        add_value(&t, 100 + i, false);
    assert_int_equal(k->n_values, TALLY_VALUES_MAX);
    assert_int_equal(k->values[2].value.number, 101);
    assert_int_equal(k->values[2].sockets, 1);
    assert_int_equal(k->values[3].value.number, 102);
    assert_int_equal(k->values[3].sockets, 9);
    tally_done(&t);
}

static void merging_adds_everything(void **state) {
    struct tally a = { 0 }, b = { 0 };
    const struct tally_key *k = &a.key[SETTING_TTL];
    struct qos_result r = { .outcome = QOS_FAILED, .error = -ENOMEM, .reason = "why" };

    add_value(&a, 9, true);
    add_value(&a, 9, false);
    add_value(&b, 9, false);
    add_value(&b, 9, false);
    add_value(&b, 10, true);
    add(&b, QOS_DEFERRED, false);
    add(&b, QOS_NOT_APPLICABLE, false);
    tally_add(&b, SETTING_TTL, &r, false);
    tally_add(&b, SETTING_DSCP, &r, false);
    tally_merge(&a, &b);
    tally_done(&b);
    assert_int_equal(k->applied_endpoints, 2);
    assert_int_equal(k->applied_flows, 3);
    assert_int_equal(k->deferred, 1);
    assert_int_equal(k->not_applicable, 1);
    assert_int_equal(k->failed, 1);
    assert_int_equal(k->error, -ENOMEM);
    assert_string_equal(k->reason, "why");
    assert_int_equal(k->n_values, 2);
    assert_int_equal(k->values[0].sockets, 4);
    assert_int_equal(k->values[1].sockets, 1);
    assert_int_equal(tally_failed(&a), 2);
    tally_done(&a);
}

/* A merged value lives on its own. */
static void values_that_own_something_are_released(void **state) {
    const struct setting *row = setting_by_id(SETTING_ALLOW);
    struct qos_result r = { .has_effective = true };
    struct tally a = { 0 }, b = { 0 };

    assert_int_equal(setting_parse(row, "10.0.0.0/8", &r.effective, NULL), 0);
    tally_add(&b, SETTING_ALLOW, &r, true);
    setting_value_done(row, &r.effective);
    tally_merge(&a, &b);
    tally_done(&b);
    assert_value(SETTING_ALLOW, &a.key[SETTING_ALLOW].values[0].value, "10.0.0.0/8");
    tally_done(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_outcome_of_a_key),
        cmocka_unit_test(the_first_words_stay),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(merging_adds_everything),
        cmocka_unit_test(values_that_own_something_are_released),
    };

    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
