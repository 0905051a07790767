/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "plan.h"
#include "removed.h"

#define TIMEOUT_USEC (10 * USEC_PER_SEC)
#define LONG_USEC (60 * USEC_PER_SEC)

static struct live live;
static uint64_t now_usec;

static int setup(void **state) {
    now_usec = 1000000;
    live_begin(&live, 2);
    live_must_apply(&live, "listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; };"
                           "              b = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };");
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    return 0;
}

#define ONLY_B "listeners = { b = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"

static void tend_after(uint64_t usec) {
    now_usec += usec;
    removed_tend(live.net, now_usec, TIMEOUT_USEC);
}

static void test_without_flows_it_goes_at_once(void **state) {
    live_must_apply(&live, ONLY_B);
    assert_int_equal(live.net->n_listeners, 2);
    tend_after(0);
    assert_int_equal(live.net->n_listeners, 1);
    assert_non_null(net_listener(live.net, "b"));
}

static void test_what_serves_is_left_alone(void **state) {
    _cleanup_close_ int fd = live_connect(&live, "a");

    LIVE_UNTIL(&live, live_flows(&live) == 1);
    tend_after(0);
    tend_after(LONG_USEC);
    tend_after(LONG_USEC);
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    assert_int_equal(live.net->n_listeners, 2);
}

static void test_flows_have_until_the_timeout(void **state) {
    _cleanup_close_ int fd = live_connect(&live, "a");

    LIVE_UNTIL(&live, live_flows(&live) == 1);
    live_must_apply(&live, ONLY_B);
    tend_after(0);
    tend_after(TIMEOUT_USEC - 1);
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    tend_after(1);
    live_expect_end(fd); /* in order */
    fd = close_fd(fd);
    LIVE_UNTIL(&live, net_flows(live.net) == 0);
    tend_after(1);
    assert_int_equal(live.net->n_listeners, 1);
}

/* Sends until neither side takes anything more: the flow's replies are stuck. */
static void stuff(int fd) {
    static const char block[65536];
    uint64_t before;

    do {
        before = live_counter(&live, "a", STAT_RX_BYTES);
        while (send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            ;
        for (unsigned i = 0; i < 100; i++)
            live_turn(&live);
    } while (live_counter(&live, "a", STAT_RX_BYTES) != before);
}

static void test_a_peer_that_takes_nothing_does_not_keep_it_for_ever(void **state) {
    _cleanup_close_ int fd = live_connect(&live, "a");

    stuff(fd);
    live_must_apply(&live, ONLY_B);
    tend_after(0);
    tend_after(TIMEOUT_USEC);
    live_turn(&live);
    assert_int_equal(net_flows(live.net), 1); /* its last bytes wait */
    tend_after(LONG_USEC);
    LIVE_UNTIL(&live, net_flows(live.net) == 0);
    tend_after(1);
    assert_int_equal(live.net->n_listeners, 1);
}

static struct effective *resolve(const struct config_listener *conf, void *userdata) {
    return effective_new();
}

static void on_done(void *userdata) {
    *(bool *) userdata = true;
}

static void test_it_does_not_go_while_workers_look_at_it(void **state) {
    struct config_faults faults = { 0 };
    struct config *config;
    struct address to = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    struct plan *plan;
    bool done = false;

    live_write(&live, ONLY_B);
    assert_int_equal(config_load(live.path, &live_schema, &config, &faults), 0);
    assert_int_equal(plan_new(live.net, config, resolve, NULL, &faults, &plan), 0);
    plan_commit(plan, on_done, &done);
    tend_after(0);
    while (!done)
        mailbox_wait(&live.net->mailbox, live.net);
    plan_free(plan);
    config_unref(config);
    assert_int_equal(live_try_connect(&to), -ECONNREFUSED);
    tend_after(0);
    assert_int_equal(live.net->n_listeners, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_flows_it_goes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_serves_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_have_until_the_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_that_takes_nothing_does_not_keep_it_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_does_not_go_while_workers_look_at_it, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
