/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "make.h"

static const struct upstream_health health = { .max_failures = 3, .window_usec = 100, .retry_after_usec = 50 };

static enum upstream_state state_of(struct upstream *u) {
    struct upstream_row row;

    upstream_describe(u, &row);
    return row.state;
}

static enum upstream_use use_at(struct upstream *u, uint64_t now_usec) {
    return upstream_use(u, &health, now_usec, false);
}

/* ---- where it is ---- */

static void test_keeps_what_the_configuration_says(void **state) {
    struct upstream *u = make_upstream("tcp:app.example:80");

    assert_string_equal(u->conf.text, "tcp:app.example:80");
    assert_string_equal(u->conf.host, "app.example");
    assert_int_equal(u->conf.port, 80);
    upstream_unref(u);
}

static void test_an_address_is_always_there(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");
    char text[ADDRESS_TEXT_MAX];
    struct address a;

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(upstream_address(u, &a), 0);
        assert_string_equal(address_format(&a, text), "10.0.0.5:9000");
    }
    assert_int_equal(upstream_places(u), 1);
    assert_int_equal(use_at(u, 1), UPSTREAM_USABLE);
    upstream_unref(u);
}

static void test_a_path_is_one_place_without_address(void **state) {
    struct upstream *u = make_upstream("unix:/run/app.sock");
    struct address a;

    assert_int_equal(upstream_address(u, &a), -EHOSTUNREACH);
    assert_int_equal(upstream_places(u), 1);
    assert_int_equal(use_at(u, 1), UPSTREAM_USABLE);
    assert_int_equal(state_of(u), UPSTREAM_STATE_UP);
    upstream_unref(u);
}

static void test_a_name_cannot_be_used_until_it_is_resolved(void **state) {
    const struct address addresses[] = { make_address("10.0.0.1:80"), make_address("10.0.0.2:80") };
    struct upstream *u = make_upstream("tcp:app.example:80");
    char text[ADDRESS_TEXT_MAX];
    struct upstream_row row;
    struct address a;

    assert_int_equal(use_at(u, 1), UPSTREAM_UNUSABLE);
    assert_int_equal(upstream_places(u), 0);
    upstream_describe(u, &row);
    assert_int_equal(row.state, UPSTREAM_STATE_UNRESOLVED);
    assert_non_null(row.unresolved);

    upstream_set_addresses(u, addresses, 2);
    assert_int_equal(use_at(u, 1), UPSTREAM_USABLE);
    assert_int_equal(upstream_places(u), 2);
    for (unsigned i = 0; i < 4; i++) { /* in turn */
        assert_int_equal(upstream_address(u, &a), 0);
        assert_string_equal(address_format(&a, text), i % 2 == 0 ? "10.0.0.1:80" : "10.0.0.2:80");
    }

    /* What is known stays in use. */
    upstream_set_unresolved(u, "nobody answers");
    upstream_describe(u, &row);
    assert_int_equal(row.state, UPSTREAM_STATE_UP);
    assert_string_equal(row.unresolved, "nobody answers");
    assert_int_equal(row.n_addresses, 2);
    upstream_set_addresses(u, addresses, 1);
    upstream_describe(u, &row);
    assert_null(row.unresolved);
    assert_int_equal(row.n_addresses, 1);
    upstream_unref(u);
}

static void test_too_many_addresses_are_cut(void **state) {
    struct address addresses[UPSTREAM_ADDRESSES_MAX + 4], got[UPSTREAM_ADDRESSES_MAX];
    struct upstream *u = make_upstream("tcp:app.example:80");

    for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
        addresses[i] = make_address("10.0.0.1:80");
    upstream_set_addresses(u, addresses, ARRAY_SIZE(addresses));
    assert_int_equal(upstream_addresses(u, got), UPSTREAM_ADDRESSES_MAX);
    upstream_unref(u);
}

/* ---- orders ---- */

static void test_orders(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");

    assert_int_equal(upstream_set_order(u, UPSTREAM_DRAINING), UPSTREAM_ENABLED);
    assert_int_equal(use_at(u, 1), UPSTREAM_UNUSABLE);
    assert_int_equal(state_of(u), UPSTREAM_STATE_DRAINING);
    assert_int_equal(upstream_set_order(u, UPSTREAM_DISABLED), UPSTREAM_DRAINING);
    assert_int_equal(use_at(u, 1), UPSTREAM_UNUSABLE);
    assert_int_equal(state_of(u), UPSTREAM_STATE_DISABLED);
    assert_int_equal(upstream_set_order(u, UPSTREAM_ENABLED), UPSTREAM_DISABLED);
    assert_int_equal(upstream_order(u), UPSTREAM_ENABLED);
    assert_int_equal(use_at(u, 1), UPSTREAM_USABLE);
    upstream_unref(u);
}

static void test_an_order_shows_before_what_was_found_out(void **state) {
    struct upstream *u = make_upstream("tcp:app.example:80");

    (void) upstream_set_order(u, UPSTREAM_DRAINING);
    assert_int_equal(state_of(u), UPSTREAM_STATE_DRAINING);
    upstream_unref(u);
}

/* ---- health ---- */

static void attempts_fail(struct upstream *u, unsigned times, uint64_t now_usec, enum upstream_turn last) {
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(upstream_failed(u, &health, -ECONNREFUSED, now_usec),
                         i + 1 < times ? UPSTREAM_AS_BEFORE : last);
}

static void test_failures_within_the_window_put_it_aside(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");
    struct upstream_row row;

    attempts_fail(u, 2, 1000, UPSTREAM_AS_BEFORE);
    assert_int_equal(use_at(u, 1000), UPSTREAM_USABLE);
    attempts_fail(u, 1, 1100, UPSTREAM_WENT_DOWN);
    assert_int_equal(use_at(u, 1100), UPSTREAM_ASIDE);
    upstream_describe(u, &row);
    assert_int_equal(row.state, UPSTREAM_STATE_ASIDE);
    assert_int_equal(row.error, -ECONNREFUSED);
    upstream_unref(u);
}

static void test_failures_far_apart_do_not(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");

    for (uint64_t now_usec = 1000; now_usec < 3000; now_usec += 200)
        attempts_fail(u, 2, now_usec, UPSTREAM_AS_BEFORE);
    assert_int_equal(use_at(u, 3000), UPSTREAM_USABLE);
    upstream_unref(u);
}

static void test_a_success_begins_anew(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");
    struct upstream_row row;

    attempts_fail(u, 2, 1000, UPSTREAM_AS_BEFORE);
    assert_int_equal(upstream_succeeded(u), UPSTREAM_AS_BEFORE);
    attempts_fail(u, 2, 1001, UPSTREAM_AS_BEFORE);
    assert_int_equal(upstream_succeeded(u), UPSTREAM_AS_BEFORE);
    upstream_describe(u, &row);
    assert_int_equal(row.error, 0);
    upstream_unref(u);
}

static void test_one_trial_at_a_time_brings_it_back(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");

    attempts_fail(u, 3, 1000, UPSTREAM_WENT_DOWN);
    assert_int_equal(use_at(u, 1049), UPSTREAM_ASIDE);
    assert_int_equal(use_at(u, 1050), UPSTREAM_TRIAL);
    /* Asking does not take it; taking leaves the others none. */
    assert_int_equal(upstream_use(u, &health, 1050, true), UPSTREAM_TRIAL);
    assert_int_equal(use_at(u, 1051), UPSTREAM_ASIDE);
    /* The trial failed: that is no news, and the time begins again. */
    attempts_fail(u, 1, 1060, UPSTREAM_AS_BEFORE);
    assert_int_equal(use_at(u, 1109), UPSTREAM_ASIDE);
    assert_int_equal(upstream_use(u, &health, 1110, true), UPSTREAM_TRIAL);
    assert_int_equal(upstream_succeeded(u), UPSTREAM_CAME_UP);
    assert_int_equal(upstream_succeeded(u), UPSTREAM_AS_BEFORE);
    assert_int_equal(use_at(u, 1111), UPSTREAM_USABLE);
    assert_int_equal(state_of(u), UPSTREAM_STATE_UP);
    upstream_unref(u);
}

/* A trial that nobody reports on (its client went) is not the last one. */
static void test_a_lost_trial_is_followed_by_another(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");

    attempts_fail(u, 3, 1000, UPSTREAM_WENT_DOWN);
    assert_int_equal(upstream_use(u, &health, 1050, true), UPSTREAM_TRIAL);
    assert_int_equal(use_at(u, 1099), UPSTREAM_ASIDE);
    assert_int_equal(use_at(u, 1100), UPSTREAM_TRIAL);
    upstream_unref(u);
}

/* ---- counters ---- */

static void test_counters_of_all_workers_add_up(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");
    struct upstream_row row;

    upstream_count(&u->counters[0].connected, 1);
    upstream_count(&u->counters[1].connected, 2);
    upstream_count(&u->counters[1].connect_usec, 300);
    upstream_count(&u->counters[0].failed, 4);
    upstream_count(&u->counters[0].rx_bytes, 5);
    upstream_count(&u->counters[1].tx_bytes, 6);
    u->flows = 7;
    upstream_describe(u, &row);
    assert_int_equal(row.connected, 3);
    assert_int_equal(row.connect_usec, 300);
    assert_int_equal(row.failed, 4);
    assert_int_equal(row.rx_bytes, 5);
    assert_int_equal(row.tx_bytes, 6);
    assert_int_equal(row.flows, 7);
    upstream_unref(u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_the_configuration_says),
        cmocka_unit_test(test_an_address_is_always_there),
        cmocka_unit_test(test_a_path_is_one_place_without_address),
        cmocka_unit_test(test_a_name_cannot_be_used_until_it_is_resolved),
        cmocka_unit_test(test_too_many_addresses_are_cut),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_an_order_shows_before_what_was_found_out),
        cmocka_unit_test(test_failures_within_the_window_put_it_aside),
        cmocka_unit_test(test_failures_far_apart_do_not),
        cmocka_unit_test(test_a_success_begins_anew),
        cmocka_unit_test(test_one_trial_at_a_time_brings_it_back),
        cmocka_unit_test(test_a_lost_trial_is_followed_by_another),
        cmocka_unit_test(test_counters_of_all_workers_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
