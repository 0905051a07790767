/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <fcntl.h>

#include "bind.h"

static struct config_listen listen_of(const char *text) {
    struct config_listen l = { .text = (char *) text };

    assert_int_equal(address_parse_endpoint(text, &l.type, &l.address), 0);
    return l;
}

static struct endpoint *bind_ok(const char *text, const struct settings *set) {
    struct config_listen l = listen_of(text);
    _cleanup_free_ char *reason = NULL;
    struct endpoint *e;

    if (endpoint_bind(&l, "orders", set, &e, &reason) < 0)
        fail_msg("%s: %s", text, reason);
    assert_null(reason);
    return e;
}

/* The error, and that the reason has these words. */
static int bind_fails(const char *text, const struct settings *set, const char *words) {
    struct config_listen l = listen_of(text);
    _cleanup_free_ char *reason = NULL;
    struct endpoint *e = (void *) &l;
    int r = endpoint_bind(&l, "orders", set, &e, &reason);

    assert_true(r < 0);
    assert_ptr_equal(e, &l); /* set only on success */
    assert_non_null(reason);
    if (!strstr(reason, words))
        fail_msg("'%s' lacks '%s'", reason, words);
    return r;
}

static unsigned port_of(const struct endpoint *e) {
    struct sockaddr_in6 name;
    socklen_t size = sizeof(name);

    assert_int_equal(getsockname(e->socket.fd, (struct sockaddr *) &name, &size), 0);
    return ntohs(name.sin6_port);
}

static void test_a_tcp_endpoint_listens(void **state) {
    struct settings set;
    struct endpoint *e;

    settings_make(&set, "dscp=EF", "nodelay=true", NULL);
    e = bind_ok("tcp:127.0.0.1:0", &set);
    assert_int_equal(get_int(e->socket.fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(get_int(e->socket.fd, SOL_IP, IP_TOS), 0xb8);
    assert_int_equal(get_int(e->socket.fd, SOL_IP, IP_RECVTOS), 1);
    assert_true(fcntl(e->socket.fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(e->socket.fd, F_GETFL) & O_NONBLOCK);
    assert_false(e->passed);
    assert_string_equal(e->text, "tcp:127.0.0.1:0");
    assert_true(e->cookie != 0);
    assert_int_equal(e->baseline.option[QOS_OPTION_TOS], 0); /* as the kernel gave it */
    endpoint_unref(e);
    settings_done(&set);
}

static void test_a_udp_endpoint_tells_addresses_and_marks(void **state) {
    struct settings set;
    struct endpoint *e;

    settings_make(&set, "dscp=CS1", NULL);
    e = bind_ok("udp:[::1]:0", &set);
    assert_int_equal(get_int(e->socket.fd, SOL_IPV6, IPV6_RECVPKTINFO), 0); /* it has one only */
    endpoint_unref(e);
    e = bind_ok("udp:[::]:0", &set);
    assert_int_equal(get_int(e->socket.fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    assert_int_equal(get_int(e->socket.fd, SOL_IPV6, IPV6_RECVPKTINFO), 1);
    assert_int_equal(get_int(e->socket.fd, SOL_IPV6, IPV6_TCLASS), 0x20);
    endpoint_unref(e);
    settings_done(&set);
}

static void test_any_v6_address_takes_v4_too(void **state) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    _cleanup_close_ int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct settings set;
    struct endpoint *e;

    settings_make(&set, NULL);
    e = bind_ok("tcp:[::]:0", &set);
    to.sin_port = htons((uint16_t) port_of(e));
    assert_int_equal(connect(client, (struct sockaddr *) &to, sizeof(to)), 0);
    endpoint_unref(e);
    settings_done(&set);
}

static void test_any_port_is_told(void **state) {
    struct settings set;
    struct endpoint *e;

    settings_make(&set, NULL);
    e = bind_ok("tcp:127.0.0.1:0", &set);
    assert_int_equal(ntohs(e->address.in.sin_port), port_of(e));
    endpoint_unref(e);
    e = bind_ok("udp:[::1]:0", &set);
    assert_int_equal(ntohs(e->address.in6.sin6_port), port_of(e));
    endpoint_unref(e);
    settings_done(&set);
}

static void test_an_address_in_use(void **state) {
    struct settings set;
    struct endpoint *tcp, *udp;
    char text[64];

    settings_make(&set, NULL);
    tcp = bind_ok("tcp:127.0.0.1:0", &set);
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", port_of(tcp));
    assert_int_equal(bind_fails(text, &set, "another program or listener has this address"), -EADDRINUSE);
    udp = bind_ok("udp:127.0.0.1:0", &set);
    snprintf(text, sizeof(text), "udp:127.0.0.1:%u", port_of(udp));
    assert_int_equal(bind_fails(text, &set, "cannot bind: Address already in use"), -EADDRINUSE);
    endpoint_unref(tcp);
    endpoint_unref(udp);
    settings_done(&set);
}

static void test_a_restart_takes_the_port_of_closed_connections(void **state) {
    struct settings set;
    struct endpoint *e;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    _cleanup_close_ int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[64], byte;
    int server;

    settings_make(&set, NULL);
    e = bind_ok("tcp:127.0.0.1:0", &set);
    to.sin_port = htons((uint16_t) port_of(e));
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", port_of(e));
    assert_int_equal(connect(client, (struct sockaddr *) &to, sizeof(to)), 0);
    server = accept4(e->socket.fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(server >= 0);
    close(server); /* first: this side keeps TIME_WAIT */
    assert_int_equal(read(client, &byte, 1), 0);
    client = close_fd(client);
    endpoint_unref(e);
    endpoint_unref(bind_ok(text, &set));
    settings_done(&set);
}

static void test_an_address_that_no_interface_has(void **state) {
    struct settings set;

    settings_make(&set, NULL);
    assert_int_equal(bind_fails("tcp:192.0.2.1:0", &set, "no interface has this address"), -EADDRNOTAVAIL);
    assert_int_equal(bind_fails("udp:[2001:db8::1]:0", &set, "no interface has this address"), -EADDRNOTAVAIL);
    settings_done(&set);
}

static int bind_low_port(void *arg) {
    struct config_listen l = { .text = (char *) "tcp:127.0.0.1:809" };
    struct settings set;
    struct endpoint *e;
    char *reason = NULL;

    settings_make(&set, NULL);
    CHECK(address_parse_endpoint(l.text, &l.type, &l.address) == 0);
    CHECK(endpoint_bind(&l, "orders", &set, &e, &reason) == -EACCES);
    CHECK(reason && strstr(reason, "CAP_NET_BIND_SERVICE"));
    free(reason);
    settings_done(&set);
    return 0;
}

static void test_a_port_that_needs_a_capability(void **state) {
    if (read_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start") <= 809)
        skip();
    run_unprivileged(bind_low_port, NULL);
}

static void test_a_setting_that_the_socket_refuses(void **state) {
    struct settings set;

    settings_make(&set, "congestion=nosuch", NULL);
    assert_int_equal(bind_fails("tcp:127.0.0.1:0", &set, "congestion cannot be applied to tcp:127.0.0.1:0"), -ENOENT);
    endpoint_unref(bind_ok("udp:127.0.0.1:0", &set)); /* is nothing to a UDP socket */
    settings_done(&set);
}

static int mark_without_capability(void *arg) {
    struct config_listen l = { .text = (char *) "udp:127.0.0.1:0" };
    struct settings set;
    struct endpoint *e;
    char *reason = NULL;

    settings_make(&set, "mark=0x1", NULL);
    CHECK(address_parse_endpoint(l.text, &l.type, &l.address) == 0);
    /* It serves all the same; the log says what it goes without. */
    CHECK(endpoint_bind(&l, "orders", &set, &e, &reason) == 0);
    CHECK(!reason && e->lacks_capability);
    endpoint_unref(e);
    settings_done(&set);
    return 0;
}

static void test_a_setting_that_needs_a_capability(void **state) {
    run_unprivileged(mark_without_capability, NULL);
}

static void test_an_inherited_setting_is_left_alone(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct endpoint e = { .refs = 1, .socket = s, .text = (char *) "tcp:x" };
    _cleanup_free_ char *reason = NULL;
    struct settings set;

    set_int(s.fd, SOL_IP, IP_TOS, 0x28);
    qos_baseline_capture(&s, &e.baseline);
    settings_make(&set, "ttl=9", NULL);
    assert_int_equal(endpoint_prepare(&e, "orders", &set, &reason), 0);
    assert_int_equal(get_int(s.fd, SOL_IP, IP_TOS), 0x28);
    assert_int_equal(get_int(s.fd, SOL_IP, IP_TTL), 9);
    settings_done(&set);
    close(s.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tcp_endpoint_listens),
        cmocka_unit_test(test_a_udp_endpoint_tells_addresses_and_marks),
        cmocka_unit_test(test_any_v6_address_takes_v4_too),
        cmocka_unit_test(test_any_port_is_told),
        cmocka_unit_test(test_an_address_in_use),
        cmocka_unit_test(test_a_restart_takes_the_port_of_closed_connections),
        cmocka_unit_test(test_an_address_that_no_interface_has),
        cmocka_unit_test(test_a_port_that_needs_a_capability),
        cmocka_unit_test(test_a_setting_that_the_socket_refuses),
        cmocka_unit_test(test_a_setting_that_needs_a_capability),
        cmocka_unit_test(test_an_inherited_setting_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
