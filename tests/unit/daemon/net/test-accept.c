/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <sys/resource.h>

static struct live live;

static int setup(void **state) {
    live_begin(&live, 2);
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    return 0;
}

/* One listener with these settings. */
static void apply(const char *settings) {
    char text[512];

    snprintf(text, sizeof(text), "listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; %s }; };",
             settings);
    live_must_apply(&live, text);
}

static void assert_served(int fd) {
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
}

/* Connected, and nobody has answered. */
static void assert_waits(int fd) {
    char byte;

    for (unsigned i = 0; i < 20; i++)
        live_turn(&live);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static struct address listener_address(void) {
    return live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
}

/* ---- max_connections ---- */

static void test_over_the_limit_clients_wait_for_their_turn(void **state) {
    int fds[6];

    apply("max_connections = 2;");
    for (unsigned i = 0; i < 6; i++) {
        fds[i] = live_connect(&live, "a");
        live_send(fds[i], "x", 1);
    }
    for (unsigned i = 0; i < 6; i += 2) {
        live_expect_text(fds[i], "x");
        live_expect_text(fds[i + 1], "x");
        LIVE_UNTIL(&live, live_flows(&live) == 2);
        if (i + 2 < 6)
            assert_waits(fds[i + 2]);
        close(fds[i]);
        close(fds[i + 1]);
    }
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_int_equal(live_counter(&live, "a", STAT_ACCEPTED), 6);
    assert_true(live_counter(&live, "a", STAT_PAUSED_FULL) > 0);
}

static void test_a_raised_limit_lets_those_in_who_wait(void **state) {
    int first, second;

    apply("max_connections = 1;");
    first = live_connect(&live, "a");
    assert_served(first);
    second = live_connect(&live, "a");
    live_send(second, "y", 1);
    assert_waits(second);
    apply("max_connections = 2;");
    live_expect_text(second, "y");
    close(first);
    close(second);
}

static void test_many_clients_through_a_narrow_door(void **state) {
    static int fds[300];
    struct address to;

    apply("max_connections = 3;");
    to = listener_address();
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = live_connect_from(&to, NULL);
        live_send(fds[i], "x", 1);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
        live_expect_text(fds[i], "x");
        close(fds[i]);
    }
    LIVE_UNTIL(&live, live_flows(&live) == 0);
}

/* ---- max_connections_per_source ---- */

static void test_over_the_limit_of_a_source_connections_are_reset(void **state) {
    struct address to;
    int fds[2], other, over;

    apply("max_connections_per_source = 2;");
    to = listener_address();
    for (unsigned i = 0; i < 2; i++) {
        fds[i] = live_connect_from(&to, "127.0.0.5:0");
        assert_served(fds[i]);
    }
    over = live_connect_from(&to, "127.0.0.5:0");
    live_expect_reset(over);
    close(over);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_REFUSED_SOURCE) == 1);
    other = live_connect_from(&to, "127.0.0.6:0");
    assert_served(other);
    LIVE_UNTIL(&live, live_flows(&live) == 3);

    close(fds[0]);
    LIVE_UNTIL(&live, live_flows(&live) == 2);
    fds[0] = live_connect_from(&to, "127.0.0.5:0");
    assert_served(fds[0]);
    close(fds[0]);
    close(fds[1]);
    close(other);
}

static void test_who_is_refused_takes_no_place(void **state) {
    struct address to;
    int first, over, other;

    apply("max_connections = 2; max_connections_per_source = 1;");
    to = listener_address();
    first = live_connect_from(&to, "127.0.0.5:0");
    assert_served(first);
    for (unsigned i = 0; i < 10; i++) {
        over = live_connect_from(&to, "127.0.0.5:0");
        live_expect_reset(over);
        close(over);
    }
    LIVE_UNTIL(&live, live_flows(&live) == 1);
    other = live_connect_from(&to, "127.0.0.6:0");
    assert_served(other);
    close(first);
    close(other);
}

/* ---- allow and deny ---- */

static void test_who_is_denied_is_reset(void **state) {
    struct address to;
    int fd;

    apply("deny = \"127.0.0.5\";");
    to = listener_address();
    fd = live_connect_from(&to, "127.0.0.5:0");
    live_expect_reset(fd);
    close(fd);
    fd = live_connect_from(&to, "127.0.0.6:0");
    assert_served(fd);
    close(fd);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_REFUSED_DENIED) == 1);
    assert_int_equal(live_counter(&live, "a", STAT_ACCEPTED), 1);
}

/* ---- short of descriptors ---- */

static void test_without_descriptors_clients_wait(void **state) {
    struct rlimit before, none;
    int fd;

    apply("");
    fd = live_connect(&live, "a");
    LIVE_UNTIL(&live, live_flows(&live) == 1);
    close(fd);
    LIVE_UNTIL(&live, live_flows(&live) == 0);

    /* A socket for the client, then not one more. */
    struct address to = listener_address();
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, &to.sa, to.size), 0);
    live_send(fd, "x", 1);
    assert_waits(fd);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    live_expect_text(fd, "x");
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_over_the_limit_clients_wait_for_their_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_raised_limit_lets_those_in_who_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_clients_through_a_narrow_door, setup, teardown),
        cmocka_unit_test_setup_teardown(test_over_the_limit_of_a_source_connections_are_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_refused_takes_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_denied_is_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_descriptors_clients_wait, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
