/* SPDX-License-Identifier: MIT */
/* The helper with real names (of the hosts file) and real connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "helper.h"
#include "make.h"

#define CHECK_USEC (10 * USEC_PER_MSEC)

static struct care care = { .listener = "orders",
                            .health = { .max_failures = 1, .window_usec = 1, .retry_after_usec = UINT64_C(1) << 40 } };

/* Who waits for names. */
struct waiting {
    struct message message;
    bool done;
};

static void on_settled(struct message *message, void *owner) {
    CONTAINER_OF(message, struct waiting, message)->done = true;
}

static void settle(void) {
    struct waiting waiting = { .message.handle = on_settled };
    struct mailbox mailbox;

    assert_int_equal(mailbox_init(&mailbox), 0);
    helper_settle(&mailbox, &waiting.message);
    while (!waiting.done)
        mailbox_wait(&mailbox, NULL);
    mailbox_done(&mailbox);
}

static void drop(struct upstream *u) {
    helper_leave(u);
    upstream_unref(u);
}

static enum upstream_state state_of(struct upstream *u) {
    struct upstream_row row;

    upstream_describe(u, &row);
    return row.state;
}

static int end(void **state) {
    helper_stop();
    return 0;
}

static void test_nothing_to_wait_for(void **state) {
    struct upstream *u = make_upstream("tcp:10.0.0.5:9000");

    settle();
    assert_int_equal(helper_attend(u, &care), 0); /* an address that is not checked needs nothing */
    assert_false(u->attended);
    settle();
    helper_stop();
    drop(u);
}

static void test_a_name_is_resolved(void **state) {
    struct upstream *u = make_upstream("tcp:localhost:9000");
    struct address addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned n;

    assert_int_equal(helper_attend(u, &care), 0);
    settle();
    n = upstream_addresses(u, addresses);
    assert_in_range(n, 1, UPSTREAM_ADDRESSES_MAX);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(ntohs(addresses[i].in.sin_port), 9000);
    assert_int_equal(state_of(u), UPSTREAM_STATE_UP);
    drop(u);
}

static void test_many_at_once(void **state) {
    struct upstream *all[200];
    char text[32];

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        (void) snprintf(text, sizeof(text), "tcp:localhost:%u", 9000 + i);
        all[i] = make_upstream(text);
        assert_int_equal(helper_attend(all[i], &care), 0);
    }
    settle();
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        assert_int_equal(upstream_places(all[i]) > 0, true);
        drop(all[i]);
    }
}

static void test_one_that_rests_is_not_waited_for(void **state) {
    struct care rests = care;
    struct upstream *u = make_upstream("tcp:localhost:9000");

    rests.rests = true;
    assert_int_equal(helper_attend(u, &rests), 0);
    assert_false(u->attended);
    assert_int_equal(helper_attend(u, &care), 0);
    assert_int_equal(helper_attend(u, &rests), 0);
    settle();
    assert_int_equal(helper_attend(u, &care), 0);
    settle();
    assert_int_equal(state_of(u), UPSTREAM_STATE_UP);
    drop(u);
}

static void test_gone_before_it_was_looked_at(void **state) {
    for (unsigned i = 0; i < 50; i++) {
        struct upstream *u = make_upstream("tcp:localhost:9000");

        assert_int_equal(helper_attend(u, &care), 0);
        drop(u);
    }
    settle();
}

static void test_stops_in_the_middle(void **state) {
    struct care checked = care;

    checked.check_interval_usec = CHECK_USEC;
    for (unsigned i = 0; i < 20; i++) {
        struct upstream *u = make_upstream("tcp:localhost:9"), *other = make_upstream("tcp:127.0.0.1:9");

        assert_int_equal(helper_attend(u, &checked), 0);
        assert_int_equal(helper_attend(other, &checked), 0);
        helper_stop();
        drop(u);
        drop(other);
    }
}

/* Begins again after a stop, with upstreams from before. */
static void test_starts_again(void **state) {
    struct upstream *u = make_upstream("tcp:localhost:9000");

    assert_int_equal(helper_attend(u, &care), 0);
    helper_stop();
    assert_int_equal(helper_attend(u, &care), 0);
    settle();
    assert_int_equal(state_of(u), UPSTREAM_STATE_UP);
    drop(u);
}

static int listen_on_loopback(char text[static 64]) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(to);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &to, size), 0);
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &to, &size), 0);
    (void) snprintf(text, 64, "tcp:127.0.0.1:%u", ntohs(to.sin_port));
    return fd;
}

static void accept_one(int fd) {
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    char byte;

    assert_true(accepted >= 0);
    assert_int_equal(read(accepted, &byte, 1), 0); /* it says nothing and closes */
    close_fd(accepted);
}

static void test_a_check_brings_it_back(void **state) {
    struct care checked = care;
    char text[64];
    int fd = listen_on_loopback(text);
    struct upstream *u = make_upstream(text);

    checked.check_interval_usec = CHECK_USEC;
    assert_int_equal(upstream_failed(u, &care.health, -ECONNREFUSED, 1), UPSTREAM_WENT_DOWN);
    assert_int_equal(helper_attend(u, &checked), 0);
    accept_one(fd);
    accept_one(fd); /* the first one has been judged before this one began */
    assert_int_equal(state_of(u), UPSTREAM_STATE_UP);
    drop(u);
    close_fd(fd);
}

/* Checks of one that is there pace the test. */
static void test_a_check_puts_it_aside(void **state) {
    struct care checked = care;
    char here[64], gone[64];
    int fd = listen_on_loopback(here), closed = listen_on_loopback(gone);
    struct upstream *u = make_upstream(gone), *other = make_upstream(here);

    checked.check_interval_usec = CHECK_USEC;
    close_fd(closed);
    assert_int_equal(helper_attend(u, &checked), 0);
    assert_int_equal(helper_attend(other, &checked), 0);
    while (state_of(u) != UPSTREAM_STATE_ASIDE)
        accept_one(fd);
    assert_int_equal(state_of(other), UPSTREAM_STATE_UP);
    drop(u);
    drop(other);
    close_fd(fd);
}

static void test_checks_end(void **state) {
    struct care checked = care;
    char text[64];
    int fd = listen_on_loopback(text);
    struct upstream *u = make_upstream(text);

    checked.check_interval_usec = CHECK_USEC;
    assert_int_equal(helper_attend(u, &checked), 0);
    accept_one(fd);
    assert_int_equal(helper_attend(u, &care), 0); /* no interval any more */
    assert_int_equal(helper_attend(u, &checked), 0);
    accept_one(fd);
    drop(u);
    close_fd(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_nothing_to_wait_for, end),
        cmocka_unit_test_teardown(test_a_name_is_resolved, end),
        cmocka_unit_test_teardown(test_many_at_once, end),
        cmocka_unit_test_teardown(test_one_that_rests_is_not_waited_for, end),
        cmocka_unit_test_teardown(test_gone_before_it_was_looked_at, end),
        cmocka_unit_test_teardown(test_stops_in_the_middle, end),
        cmocka_unit_test_teardown(test_starts_again, end),
        cmocka_unit_test_teardown(test_a_check_brings_it_back, end),
        cmocka_unit_test_teardown(test_a_check_puts_it_aside, end),
        cmocka_unit_test_teardown(test_checks_end, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
