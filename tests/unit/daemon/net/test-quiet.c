/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <fcntl.h>

#include "quiet.h"

#define PASSED "listeners = { t = { target = \"echo\"; }; u = { target = \"echo\"; }; };"

static struct live live;
static int kept_tcp, kept_udp; /* the service manager's copies */

static int keep(const struct endpoint *e) {
    int fd = fcntl(e->socket.fd, F_DUPFD_CLOEXEC, 3);

    assert_true(fd >= 0);
    return fd;
}

static int setup(void **state) {
    live_begin(&live, 2);
    kept_tcp = keep(live_pass(&live, "t", PATH_V4, SOCK_STREAM));
    kept_udp = keep(live_pass(&live, "u", PATH_V4, SOCK_DGRAM));
    live_must_apply(&live, PASSED);
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    close_fd(kept_tcp);
    close_fd(kept_udp);
    return 0;
}

struct answer {
    unsigned n;
    bool quiet, stay;
};

static bool on_answer(bool quiet, void *userdata) {
    struct answer *a = userdata;

    a->n++;
    a->quiet = quiet;
    return a->stay;
}

static bool ask(bool stay) {
    struct answer a = { .stay = stay };

    assert_int_equal(quiet_ask(live.net, on_answer, &a), 0);
    while (a.n == 0)
        mailbox_wait(&live.net->mailbox, live.net);
    live_turn(&live);
    assert_int_equal(a.n, 1);
    return a.quiet;
}

static void assert_serves(void) {
    int tcp = live_connect(&live, "t"), udp = live_datagram(&live, "u");

    live_send(tcp, "tcp", 3);
    live_expect_text(tcp, "tcp");
    live_send(udp, "udp", 3);
    live_expect_text(udp, "udp");
    close_fd(tcp);
    close_fd(udp);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
}

static void test_nothing_to_do_is_quiet_and_serves_on_if_that_is_wanted(void **state) {
    for (unsigned i = 0; i < 3; i++) {
        assert_true(ask(false));
        assert_serves();
    }
}

static void test_a_flow_is_not_quiet_and_goes_on(void **state) {
    int fd = live_connect(&live, "t");

    live_send(fd, "a", 1);
    live_expect_text(fd, "a");
    assert_false(ask(true));
    live_send(fd, "b", 1);
    live_expect_text(fd, "b");
    close_fd(fd);
    assert_serves();
}

static void test_an_unread_datagram_of_an_unclaimed_socket_is_not_quiet(void **state) {
    struct endpoint *e = live_pass(&live, "nobody", PATH_V4, SOCK_DGRAM);
    struct address to = live_address(e);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(ask(false));
    assert_int_equal(sendto(fd, "x", 1, 0, &to.sa, to.size), 1);
    assert_false(ask(true));
    assert_serves();
    close_fd(fd);
}

/* The moment between the answer and the end. */
static void test_what_comes_to_a_quiet_net_stays_in_the_sockets(void **state) {
    int tcp, udp, fd;
    char data[8];

    assert_true(ask(true));
    tcp = live_connect(&live, "t");
    udp = live_datagram(&live, "u");
    live_send(udp, "later", 5);
    live_turn(&live);
    live_turn(&live);
    net_stop(live.net);
    assert_int_equal(net_flows(live.net), 0);

    assert_int_equal(recv(kept_udp, data, sizeof(data), MSG_DONTWAIT), 5);
    assert_memory_equal(data, "later", 5);
    fd = accept4(kept_tcp, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close_fd(fd);
    close_fd(tcp);
    close_fd(udp);
}

static void test_sockets_go_back_to_what_was_found(void **state) {
    int found = -1, changed = -1, after = -1;
    socklen_t size = sizeof(int);

    assert_int_equal(getsockopt(kept_tcp, IPPROTO_IP, IP_TTL, &found, &size), 0);
    assert_int_equal(setsockopt(kept_tcp, IPPROTO_IP, IP_TTL, &(int){ 33 }, size), 0);
    assert_int_equal(getsockopt(kept_tcp, IPPROTO_IP, IP_TTL, &changed, &size), 0);
    assert_int_equal(changed, 33);
    net_stop(live.net);
    net_restore(live.net);
    assert_int_equal(getsockopt(kept_tcp, IPPROTO_IP, IP_TTL, &after, &size), 0);
    assert_int_equal(after, found);
}

int main(void) {
#define LIVE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        LIVE_TEST(test_nothing_to_do_is_quiet_and_serves_on_if_that_is_wanted),
        LIVE_TEST(test_a_flow_is_not_quiet_and_goes_on),
        LIVE_TEST(test_an_unread_datagram_of_an_unclaimed_socket_is_not_quiet),
        LIVE_TEST(test_what_comes_to_a_quiet_net_stays_in_the_sockets),
        LIVE_TEST(test_sockets_go_back_to_what_was_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
