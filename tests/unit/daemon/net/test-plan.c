/* SPDX-License-Identifier: MIT */
#include "live.h"

static struct live live;

static int setup(void **state) {
    live_begin(&live, 2);
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    return 0;
}

#define A_AND_B                                                                                                        \
    "listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"                 \
    "              b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"
#define ONLY_B "listeners = { b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"
#define NONE "listeners = { };"

static void assert_echoes(int fd, const char *text) {
    live_send(fd, text, strlen(text));
    live_expect_text(fd, text);
}

static void assert_listener_echoes(const char *listener) {
    _cleanup_close_ int fd = live_connect(&live, listener);

    assert_echoes(fd, "hello");
}

/* The text with each "PORT" replaced by the number. */
static char *with_port(const char *text, const struct address *a) {
    char *out = NULL, *at;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    _cleanup_free_ char *copy = strdup(text);

    assert_non_null(f);
    for (char *rest = copy; rest; rest = at) {
        at = strstr(rest, "PORT");
        if (at) {
            *at = '\0';
            at += 4;
        }
        fprintf(f, "%s", rest);
        if (at)
            fprintf(f, "%u", ntohs(a->in.sin_port));
    }
    fclose(f);
    return out;
}

/* ---- what comes and stays ---- */

static void test_listeners_begin_to_serve(void **state) {
    _cleanup_close_ int tcp = -EBADF, udp = -EBADF, other = -EBADF;

    live_must_apply(&live, A_AND_B);
    tcp = live_connect(&live, "a");
    udp = live_datagram(&live, "a");
    other = live_connect(&live, "b");
    assert_echoes(tcp, "stream");
    assert_echoes(udp, "datagram");
    live_send(other, "x", 1);
    live_expect_text(other, "Received");
}

static void test_what_is_the_same_is_left_alone(void **state) {
    _cleanup_close_ int fd = -EBADF;
    struct endpoint *tcp, *udp;
    struct listener *a;

    live_must_apply(&live, A_AND_B);
    a = net_listener(live.net, "a");
    tcp = live_endpoint(&live, "a", SOCK_STREAM, 0);
    udp = live_endpoint(&live, "a", SOCK_DGRAM, 0);
    fd = live_connect(&live, "a");
    assert_echoes(fd, "before");
    live_must_apply(&live, A_AND_B);
    assert_ptr_equal(net_listener(live.net, "a"), a);
    assert_ptr_equal(live_endpoint(&live, "a", SOCK_STREAM, 0), tcp);
    assert_ptr_equal(live_endpoint(&live, "a", SOCK_DGRAM, 0), udp);
    assert_int_equal(a->n_endpoints, 2);
    assert_echoes(fd, "after");
    assert_listener_echoes("a");
}

static void test_a_target_holds_for_new_flows(void **state) {
    _cleanup_close_ int old = -EBADF, new = -EBADF;

    live_must_apply(&live, ONLY_B);
    old = live_connect(&live, "b");
    live_send(old, "x", 1);
    live_expect_text(old, "Received");
    live_must_apply(&live, "listeners = { b = { target = \"ack\"; reply = \"Thanks\";"
                           "                    listen = [ \"tcp:127.0.0.1:0\" ]; }; };");
    new = live_connect(&live, "b");
    live_send(new, "x", 1);
    live_expect_text(new, "Thanks");
    live_send(old, "x", 1);
    live_expect_text(old, "Received");
}

static void test_every_entry_for_any_port_gets_one(void **state) {
    struct address first, second;

    live_must_apply(&live, "listeners = { a = { target = \"echo\";"
                           "  listen = [ \"tcp:127.0.0.1:0\", \"tcp:127.0.0.1:0\" ]; }; };");
    assert_int_equal(net_listener(live.net, "a")->n_endpoints, 2);
    first = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    second = live_address(live_endpoint(&live, "a", SOCK_STREAM, 1));
    assert_int_not_equal(first.in.sin_port, second.in.sin_port);

    /* And keeps it. */
    live_must_apply(&live, "listeners = { a = { target = \"echo\";"
                           "  listen = [ \"tcp:127.0.0.1:0\", \"tcp:127.0.0.1:0\" ]; }; };");
    assert_int_equal(net_listener(live.net, "a")->n_endpoints, 2);
    assert_int_equal(live_address(live_endpoint(&live, "a", SOCK_STREAM, 0)).in.sin_port, first.in.sin_port);
    assert_int_equal(live_address(live_endpoint(&live, "a", SOCK_STREAM, 1)).in.sin_port, second.in.sin_port);
}

static void test_new_endpoints_have_the_settings(void **state) {
    live_must_apply(&live, "profiles = { p = { dscp = \"EF\"; }; };"
                           "listeners = { a = { target = \"echo\"; profile = \"p\"; ttl = 7;"
                           "  listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; }; };");
    for (unsigned i = 0; i < 2; i++) {
        int fd = live_endpoint(&live, "a", i ? SOCK_STREAM : SOCK_DGRAM, 0)->socket.fd;

        assert_int_equal(get_int(fd, SOL_IP, IP_TOS), 0xb8);
        assert_int_equal(get_int(fd, SOL_IP, IP_TTL), 7);
    }
}

/* ---- what goes ---- */

static void test_a_removed_listener_lets_its_flows_finish_and_refuses_others(void **state) {
    _cleanup_close_ int fd = -EBADF;
    struct address to;

    live_must_apply(&live, A_AND_B);
    to = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    fd = live_connect(&live, "a");
    assert_echoes(fd, "before");
    live_must_apply(&live, ONLY_B);
    assert_null(net_listener(live.net, "a"));
    assert_echoes(fd, "after");
    live_turn(&live);
    assert_int_equal(live_try_connect(&to), -ECONNREFUSED);
    LIVE_UNTIL(&live, live_flows(&live) == 1);
}

static void test_a_removed_listener_may_come_back_while_flows_of_it_live(void **state) {
    _cleanup_free_ char *again = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct address to;

    live_must_apply(&live, A_AND_B);
    to = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    again = with_port("listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:PORT\" ]; }; };", &to);
    fd = live_connect(&live, "a");
    assert_echoes(fd, "before");
    live_must_apply(&live, NONE);
    live_must_apply(&live, again);
    assert_listener_echoes("a");
    assert_echoes(fd, "after");
}

static void test_a_listen_entry_that_goes_is_refused_at_once(void **state) {
    _cleanup_close_ int fd = -EBADF;
    struct address tcp;

    live_must_apply(&live, A_AND_B);
    tcp = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    fd = live_connect(&live, "a");
    assert_echoes(fd, "before");
    live_must_apply(&live, "listeners = { a = { target = \"echo\"; listen = [ \"udp:127.0.0.1:0\" ]; }; };");
    assert_int_equal(net_listener(live.net, "a")->n_endpoints, 1);
    assert_int_equal(live_try_connect(&tcp), -ECONNREFUSED);
    assert_echoes(fd, "after");
}

static void test_a_removed_udp_endpoint_is_free_again(void **state) {
    _cleanup_free_ char *again = NULL;
    struct address to;

    live_must_apply(&live, A_AND_B);
    to = live_address(live_endpoint(&live, "a", SOCK_DGRAM, 0));
    again = with_port("listeners = { c = { target = \"echo\"; listen = [ \"udp:127.0.0.1:PORT\" ]; }; };", &to);
    live_must_apply(&live, NONE);
    live_must_apply(&live, again);

    _cleanup_close_ int fd = live_datagram(&live, "c");
    assert_echoes(fd, "hello");
}

static void test_workers_let_go_of_what_is_removed(void **state) {
    struct endpoint *tcp, *udp;

    live_must_apply(&live, A_AND_B);
    tcp = endpoint_ref(live_endpoint(&live, "a", SOCK_STREAM, 0));
    udp = endpoint_ref(live_endpoint(&live, "a", SOCK_DGRAM, 0));
    live_must_apply(&live, ONLY_B);
    LIVE_UNTIL(&live, __atomic_load_n(&tcp->refs, __ATOMIC_ACQUIRE) == 1);
    LIVE_UNTIL(&live, __atomic_load_n(&udp->refs, __ATOMIC_ACQUIRE) == 1);
    endpoint_unref(tcp);
    endpoint_unref(udp);
}

/* ---- what cannot be ---- */

static void test_a_port_in_use_is_a_fault_and_nothing_changes(void **state) {
    _cleanup_free_ char *text = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct address to;

    live_must_apply(&live, A_AND_B);
    to = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    fd = live_connect(&live, "a");
    text = with_port("listeners = {\n"
                     "b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:0\" ]; };\n"
                     "c = { target = \"echo\";\n"
                     "listen = [ \"tcp:127.0.0.1:0\", \"tcp:127.0.0.1:PORT\" ]; }; };",
                     &to);
    assert_int_equal(live_apply(&live, text), -EINVAL);
    assert_non_null(strstr(live.faults, "a.conf:4: listeners.c.listen: tcp:127.0.0.1:"));
    assert_non_null(
            strstr(live.faults, "another program or listener has this address: listener 'a' has tcp:127.0.0.1:"));
    assert_null(net_listener(live.net, "c"));
    assert_int_equal(live.net->n_listeners, 2);
    assert_echoes(fd, "still here");
    assert_listener_echoes("a");
}

static void test_a_listener_that_stays_loses_what_an_aborted_plan_gave_it(void **state) {
    live_must_apply(&live, ONLY_B);
    assert_int_equal(live_apply(&live,
                                "listeners = { b = { target = \"ack\";"
                                "  listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\", \"tcp:192.0.2.1:1\" ]; }; };"),
                     -EINVAL);
    assert_int_equal(net_listener(live.net, "b")->n_endpoints, 1);
    live_must_apply(&live, ONLY_B);
    assert_int_equal(net_listener(live.net, "b")->n_endpoints, 1);
}

static void test_every_fault_is_told(void **state) {
    assert_int_equal(
            live_apply(&live,
                       "listeners = { a = { target = \"echo\"; };"
                       "  b = { target = \"echo\"; listen = [ \"tcp:192.0.2.1:1\" ]; };"
                       "  c = { target = \"echo\"; congestion = \"nosuch\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"),
            -EINVAL);
    assert_non_null(strstr(live.faults, "listeners.a: no socket: systemd passed none of this name"));
    assert_non_null(strstr(live.faults, "listeners.b.listen: tcp:192.0.2.1:1: cannot bind"));
    assert_non_null(strstr(live.faults, "listeners.c.listen: tcp:127.0.0.1:0: congestion cannot be applied"));
    assert_int_equal(live.net->n_listeners, 0);
}

static void test_a_daemon_that_ends_when_idle_binds_nothing(void **state) {
    assert_int_equal(live_apply(&live,
                                "daemon = { exit_on_idle = \"1m\"; };"
                                "listeners = {\n a = { target = \"echo\";\n listen = [ \"tcp:127.0.0.1:0\" ]; }; };"),
                     -EINVAL);
    assert_non_null(strstr(live.faults, "a.conf:3: listeners.a.listen: systemd passed no socket of this name"));
    (void) live_pass(&live, "a", PATH_V4, SOCK_STREAM);
    live_must_apply(&live, "daemon = { exit_on_idle = \"1m\"; };"
                           "listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };");
}

/* ---- passed sockets ---- */

#define PASSED_A "listeners = { a = { target = \"echo\"; dscp = \"AF11\"; }; };"

static void test_a_passed_socket_serves_the_listener_of_its_name(void **state) {
    struct endpoint *e = live_pass(&live, "a", PATH_V4, SOCK_STREAM);

    live_must_apply(&live, PASSED_A);
    assert_ptr_equal(live_endpoint(&live, "a", SOCK_STREAM, 0), e);
    assert_int_equal(live.net->n_unclaimed, 0);
    assert_int_equal(get_int(e->socket.fd, SOL_IP, IP_TOS), 0x28);
    assert_listener_echoes("a");
}

static void test_what_connects_to_an_unclaimed_socket_is_reset(void **state) {
    struct endpoint *e = live_pass(&live, "other", PATH_V4, SOCK_STREAM);
    struct address to = live_address(e);
    int fd;

    live_must_apply(&live, A_AND_B);
    fd = live_connect_from(&to, NULL);
    live_expect_reset(fd);
    close(fd);
}

static void test_a_passed_socket_goes_and_comes_back(void **state) {
    struct endpoint *tcp = live_pass(&live, "a", PATH_V4, SOCK_STREAM);
    struct endpoint *udp = live_pass(&live, "a", PATH_V6, SOCK_DGRAM);
    struct address to = live_address(tcp);

    for (unsigned i = 0; i < 3; i++) {
        int fd;

        live_must_apply(&live, PASSED_A);
        assert_int_equal(net_listener(live.net, "a")->n_endpoints, 2);
        assert_int_equal(live.net->n_unclaimed, 0);
        assert_listener_echoes("a");
        fd = live_datagram(&live, "a");
        assert_echoes(fd, "datagram");
        close(fd);
        assert_int_equal(get_int(tcp->socket.fd, SOL_IP, IP_TOS), 0x28);

        live_must_apply(&live, ONLY_B);
        assert_int_equal(live.net->n_unclaimed, 2);
        assert_int_equal(get_int(tcp->socket.fd, SOL_IP, IP_TOS), 0); /* as it was found */
        assert_int_equal(get_int(udp->socket.fd, SOL_IPV6, IPV6_TCLASS), 0);
        fd = live_connect_from(&to, NULL);
        live_expect_reset(fd);
        close(fd);
    }
}

static void test_an_aborted_plan_leaves_no_trace_on_a_passed_socket(void **state) {
    struct endpoint *e = live_pass(&live, "a", PATH_V4, SOCK_STREAM);

    assert_int_equal(live_apply(&live, "listeners = { a = { target = \"echo\"; dscp = \"EF\"; ttl = 9; };"
                                       "              b = { target = \"echo\"; }; };"),
                     -EINVAL);
    assert_int_equal(live.net->n_unclaimed, 1);
    assert_int_equal(get_int(e->socket.fd, SOL_IP, IP_TOS), 0);
    assert_int_not_equal(get_int(e->socket.fd, SOL_IP, IP_TTL), 9);
    live_must_apply(&live, PASSED_A);
    assert_listener_echoes("a");
}

static void test_listen_is_not_bound_beside_a_passed_socket(void **state) {
    live_pass(&live, "a", PATH_MAPPED, SOCK_STREAM);
    live_must_apply(&live, "listeners = { a = { target = \"echo\"; listen = [ \"tcp:192.0.2.1:1\" ]; }; };");
    assert_int_equal(net_listener(live.net, "a")->n_endpoints, 1);
    assert_listener_echoes("a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_listeners_begin_to_serve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_the_same_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_target_holds_for_new_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_entry_for_any_port_gets_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_endpoints_have_the_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_removed_listener_lets_its_flows_finish_and_refuses_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_removed_listener_may_come_back_while_flows_of_it_live, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_listen_entry_that_goes_is_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_removed_udp_endpoint_is_free_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_workers_let_go_of_what_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_port_in_use_is_a_fault_and_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_listener_that_stays_loses_what_an_aborted_plan_gave_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_fault_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_daemon_that_ends_when_idle_binds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_passed_socket_serves_the_listener_of_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_connects_to_an_unclaimed_socket_is_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_passed_socket_goes_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_aborted_plan_leaves_no_trace_on_a_passed_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listen_is_not_bound_beside_a_passed_socket, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
