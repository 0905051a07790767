/* SPDX-License-Identifier: MIT */
#include "option.h"

#include <fcntl.h>

#include "sockets.h"

static void knows_what_a_socket_is(void **state) {
    struct connection c;
    struct qos_socket udp = make_socket(AF_INET6, SOCK_DGRAM);

    connection_make(&c, PATH_V4);
    assert_int_equal(c.listener.domain, AF_INET);
    assert_int_equal(c.listener.type, SOCK_STREAM);
    assert_true(c.listener.listening);
    assert_false(c.server.listening);
    assert_false(c.server.v4_mapped);
    connection_done(&c);

    connection_make(&c, PATH_V6);
    assert_int_equal(c.server.domain, AF_INET6);
    assert_false(c.server.v4_mapped);
    connection_done(&c);

    connection_make(&c, PATH_MAPPED);
    assert_int_equal(c.server.domain, AF_INET6);
    assert_true(c.server.v4_mapped);
    assert_false(c.listener.v4_mapped);
    connection_done(&c);

    assert_int_equal(udp.type, SOCK_DGRAM);
    assert_false(udp.listening);
    close(udp.fd);
}

static void refuses_what_it_cannot_serve(void **state) {
    _cleanup_close_ int file = open("/dev/null", O_RDONLY | O_CLOEXEC),
                        local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                        mptcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    struct qos_socket s = { .fd = 77 };

    assert_int_equal(qos_socket_init(&s, file), -ENOTSOCK);
    assert_int_equal(qos_socket_init(&s, -1), -EBADF);
    assert_int_equal(qos_socket_init(&s, local), -EAFNOSUPPORT);
    if (mptcp >= 0) /* this kernel has it */
        assert_int_equal(qos_socket_init(&s, mptcp), -ESOCKTNOSUPPORT);
    assert_int_equal(s.fd, 77);
}

static void options_follow_family_and_type(void **state) {
    struct qos_socket v4 = make_socket(AF_INET, SOCK_STREAM), udp = make_socket(AF_INET6, SOCK_DGRAM);
    uint64_t value;

    assert_int_equal(option_get(&v4, QOS_OPTION_TCLASS, &value), -EOPNOTSUPP);
    assert_int_equal(option_set(&v4, QOS_OPTION_HOPS, 1), -EOPNOTSUPP);
    assert_int_equal(option_get(&udp, QOS_OPTION_TCLASS, &value), 0);
    assert_int_equal(option_get(&udp, QOS_OPTION_TOS, &value), 0);
    assert_int_equal(option_get(&udp, QOS_OPTION_NODELAY, &value), -EOPNOTSUPP);
    close(v4.fd);
    close(udp.fd);
}

/* A TCP socket keeps the ECN bits for itself, a UDP socket keeps what was set. */
static void ecn_counts_for_datagrams_only(void **state) {
    struct qos_socket tcp = make_socket(AF_INET, SOCK_STREAM), udp = make_socket(AF_INET, SOCK_DGRAM);
    uint64_t value;

    assert_int_equal(option_set(&tcp, QOS_OPTION_TOS, 0xbb), 0);
    assert_int_equal(option_get(&tcp, QOS_OPTION_TOS, &value), 0);
    assert_true(option_equal(&tcp, QOS_OPTION_TOS, value, 0xbb));
    assert_false(option_equal(&tcp, QOS_OPTION_TOS, value, 0xbf));
    assert_int_equal(option_set(&udp, QOS_OPTION_TOS, 0xbb), 0);
    assert_int_equal(option_get(&udp, QOS_OPTION_TOS, &value), 0);
    assert_int_equal(value, 0xbb);
    assert_false(option_equal(&udp, QOS_OPTION_TOS, value, 0xb8));
    close(tcp.fd);
    close(udp.fd);
}

static void pacing_rates_need_more_than_32_bits(void **state) {
    struct qos_socket s = make_socket(AF_INET, SOCK_STREAM);
    uint64_t value;

    assert_int_equal(option_get(&s, QOS_OPTION_PACING_RATE, &value), 0);
    assert_true(value == OPTION_PACING_UNLIMITED);
    assert_int_equal(option_set(&s, QOS_OPTION_PACING_RATE, UINT64_C(12500000000)), 0);
    assert_int_equal(option_get(&s, QOS_OPTION_PACING_RATE, &value), 0);
    assert_true(value == UINT64_C(12500000000));
    close(s.fd);
}

static int sets_the_same_mark(void *arg) {
    const struct qos_socket *s = arg;
    uint64_t value;

    CHECK(option_set(s, QOS_OPTION_MARK, 5) == 0);
    CHECK(option_set(s, QOS_OPTION_MARK, 6) == -EPERM);
    CHECK(option_get(s, QOS_OPTION_MARK, &value) == 0 && value == 5);
    return 0;
}

static void what_is_so_already_needs_no_capability(void **state) {
    struct qos_socket s;

    need_net_admin();
    s = make_socket(AF_INET, SOCK_DGRAM);
    set_int(s.fd, SOL_SOCKET, SO_MARK, 5);
    run_unprivileged(sets_the_same_mark, &s);
    close(s.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_a_socket_is),
        cmocka_unit_test(refuses_what_it_cannot_serve),
        cmocka_unit_test(options_follow_family_and_type),
        cmocka_unit_test(ecn_counts_for_datagrams_only),
        cmocka_unit_test(pacing_rates_need_more_than_32_bits),
        cmocka_unit_test(what_is_so_already_needs_no_capability),
    };

    return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
