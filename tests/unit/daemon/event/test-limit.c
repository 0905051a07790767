/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limit.h"

#define START (100 * USEC_PER_SEC)
#define LIMITED EVENT_ACCESS_DENIED

static int set_up(void **state) {
    static struct limit limit;

    limit_init(&limit);
    *state = &limit;
    return 0;
}

static int tear_down(void **state) {
    limit_done(*state);
    return 0;
}

/* How many of `n` records pass at that time. */
static unsigned pass(struct limit *limit, enum event_kind kind, uint64_t now_usec, unsigned n) {
    uint64_t n_held;
    unsigned n_passed = 0;

    while (n-- > 0)
        n_passed += limit_pass(limit, kind, now_usec, &n_held);
    return n_passed;
}

static void test_burst(void **state) {
    assert_int_equal(pass(*state, LIMITED, START, EVENT_BURST), EVENT_BURST);
    assert_int_equal(pass(*state, LIMITED, START + EVENT_INTERVAL_USEC - 1, 5), 0);
    assert_int_equal(pass(*state, LIMITED, START + EVENT_INTERVAL_USEC, EVENT_BURST + 1), EVENT_BURST);
}

static void test_kinds_are_apart(void **state) {
    pass(*state, LIMITED, START, EVENT_BURST + 1);
    assert_int_equal(pass(*state, EVENT_FLOW_FAILED, START, 1), 1);
    assert_int_equal(pass(*state, EVENT_SETTING_CHANGED, START, 1000), 1000);
    assert_int_equal(pass(*state, EVENT_PAYLOAD, START, 1000), 1000);
}

static void test_held_back_is_told_with_the_next(void **state) {
    uint64_t n_held = 99;

    assert_true(limit_pass(*state, LIMITED, START, &n_held));
    assert_int_equal(n_held, 0);
    pass(*state, LIMITED, START, EVENT_BURST - 1 + 7);
    assert_true(limit_pass(*state, LIMITED, START + EVENT_INTERVAL_USEC, &n_held));
    assert_int_equal(n_held, 7);
    assert_true(limit_pass(*state, LIMITED, START + EVENT_INTERVAL_USEC, &n_held));
    assert_int_equal(n_held, 0);
}

static void test_held_back_is_due_after_the_interval(void **state) {
    enum event_kind kind;
    uint64_t n_held;

    assert_int_equal(limit_next(*state), UINT64_MAX);
    pass(*state, LIMITED, START, EVENT_BURST + 3);
    pass(*state, EVENT_FLOW_FAILED, START + 1, EVENT_BURST + 4);
    pass(*state, EVENT_FLOW_REFUSED, START + 2, 1); /* nothing held back */
    assert_int_equal(limit_next(*state), START + EVENT_INTERVAL_USEC);
    assert_false(limit_take_due(*state, START + EVENT_INTERVAL_USEC - 1, &kind, &n_held));

    assert_true(limit_take_due(*state, START + EVENT_INTERVAL_USEC, &kind, &n_held));
    assert_int_equal(kind, LIMITED);
    assert_int_equal(n_held, 3);
    assert_false(limit_take_due(*state, START + EVENT_INTERVAL_USEC, &kind, &n_held));
    assert_int_equal(limit_next(*state), START + EVENT_INTERVAL_USEC + 1);

    assert_true(limit_take_due(*state, UINT64_MAX, &kind, &n_held));
    assert_int_equal(kind, EVENT_FLOW_FAILED);
    assert_int_equal(n_held, 4);
    assert_false(limit_take_due(*state, UINT64_MAX, &kind, &n_held));
    assert_int_equal(limit_next(*state), UINT64_MAX);
}

static void test_lost_count_comes_back(void **state) {
    enum event_kind kind;
    uint64_t n_held;

    pass(*state, LIMITED, START, EVENT_BURST + 5);
    assert_true(limit_pass(*state, LIMITED, START + EVENT_INTERVAL_USEC, &n_held));
    assert_int_equal(n_held, 5);
    /* The interval may be over by the time that the record turns out to be lost. */
    assert_false(limit_take_due(*state, UINT64_MAX, &kind, &n_held));
    limit_return(*state, LIMITED, 5);
    assert_true(limit_next(*state) < UINT64_MAX);
    assert_true(limit_take_due(*state, START, &kind, &n_held));
    assert_int_equal(n_held, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_burst, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kinds_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_held_back_is_told_with_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_held_back_is_due_after_the_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_count_comes_back, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
