/* SPDX-License-Identifier: MIT */
#include "live.h"

static void test_so_many_workers_as_were_asked_for(void **state) {
    struct net *n;

    assert_int_equal(net_new(3, live_targets, &n), 0);
    assert_int_equal(n->n_workers, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(n->workers[i].index, i);
    assert_null(net_free(n));
    assert_null(net_free(NULL));
}

static void test_one_a_cpu_and_never_too_many(void **state) {
    struct net *n;

    assert_int_equal(net_new(0, live_targets, &n), 0);
    assert_in_range(n->n_workers, 1, WORKERS_MAX);
    net_free(n);
    assert_int_equal(net_new(UINT32_MAX, live_targets, &n), 0);
    assert_int_equal(n->n_workers, WORKERS_MAX);
    net_free(n);
}

static void test_targets_by_name(void **state) {
    struct net *n;

    assert_int_equal(net_new(1, live_targets, &n), 0);
    for (unsigned i = 0; live_targets[i]; i++)
        assert_ptr_equal(net_target(n, live_targets[i]->name), live_targets[i]);
    assert_null(net_target(n, "nosuch"));
    net_free(n);
}

static void test_stopping_twice(void **state) {
    struct net *n;

    assert_int_equal(net_new(2, live_targets, &n), 0);
    assert_int_equal(net_start(n), 0);
    net_stop(n);
    net_stop(n);
    net_free(n);
}

static void on_closed(unsigned n_flows, void *userdata) {
    ++*(unsigned *) userdata;
}

static void test_stopping_closes_flows_and_answers_who_waits(void **state) {
    const struct flow_selector all = { 0 };
    unsigned n_closed = 0;
    struct live live;
    int fds[5];

    live_begin(&live, 2);
    live_must_apply(&live, "listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };");
    for (unsigned i = 0; i < 5; i++)
        fds[i] = live_connect(&live, "a");
    LIVE_UNTIL(&live, live_flows(&live) == 5);
    assert_int_equal(sweep_close(live.net, &all, false, on_closed, &n_closed), 0);
    net_stop(live.net);
    assert_int_equal(n_closed, 1);
    assert_int_equal(net_flows(live.net), 0);
    assert_int_equal(live_counter(&live, "a", STAT_CLOSED), 5);
    for (unsigned i = 0; i < 5; i++) {
        live_expect_end(fds[i]);
        close(fds[i]);
    }
    live_end(&live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_workers_as_were_asked_for),
        cmocka_unit_test(test_one_a_cpu_and_never_too_many),
        cmocka_unit_test(test_targets_by_name),
        cmocka_unit_test(test_stopping_twice),
        cmocka_unit_test(test_stopping_closes_flows_and_answers_who_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
