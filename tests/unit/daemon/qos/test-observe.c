/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <netinet/udp.h>

static void make_observed(struct connection *c, enum path path, uint8_t tos) {
    c->listener = make_listener(path, 0);
    assert_int_equal(qos_observe_arm(&c->listener), 0);
    c->client = make_client(path, &c->listener, tos);
    c->server = accept_one(&c->listener);
}

static void expect(const struct connection *c, enum qos_mark_label label, uint8_t tos) {
    uint8_t got = 0xff;

    assert_int_equal(qos_received_tos(&c->server, &got), label);
    assert_int_equal(got & 0xfc, tos);
}

/* Frozen: the kernel keeps only what the handshake brought. */
static void ipv4_tells_of_the_handshake(void **state) {
    static const enum path paths[] = { PATH_V4, PATH_MAPPED };
    struct connection c;

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        make_observed(&c, paths[i], 0xb8);
        expect(&c, QOS_MARK_HANDSHAKE, 0xb8);
        set_int(c.client, SOL_IP, IP_TOS, 0x28);
        send_and_receive(c.client, c.server.fd);
        expect(&c, QOS_MARK_HANDSHAKE, 0xb8);
        connection_done(&c);
    }
}

static void ipv6_tells_of_the_latest_segment(void **state) {
    struct connection c;

    make_observed(&c, PATH_V6, 0xb8);
    send_and_receive(c.client, c.server.fd);
    expect(&c, QOS_MARK_LATEST, 0xb8);
    set_int(c.client, SOL_IPV6, IPV6_TCLASS, 0x28);
    send_and_receive(c.client, c.server.fd);
    expect(&c, QOS_MARK_LATEST, 0x28);
    connection_done(&c);
}

static void says_nothing_unless_armed(void **state) {
    struct qos_socket udp = make_socket(AF_INET, SOCK_DGRAM);
    uint8_t tos = 0x55;

    for (enum path path = 0; path < PATH_MAX; path++) {
        struct connection c;

        connection_make(&c, path);
        assert_int_equal(qos_received_tos(&c.server, &tos), QOS_MARK_NONE);
        assert_int_equal(qos_received_tos(&c.listener, &tos), QOS_MARK_NONE);
        connection_done(&c);
    }
    assert_int_equal(qos_received_tos(&udp, &tos), QOS_MARK_NONE);
    assert_int_equal(tos, 0x55);
    close(udp.fd);
}

static void labels(void **state) {
    assert_null(qos_mark_label_name(QOS_MARK_NONE));
    assert_string_equal(qos_mark_label_name(QOS_MARK_HANDSHAKE), "handshake");
    assert_string_equal(qos_mark_label_name(QOS_MARK_LATEST), "latest");
}

/* A datagram with its mark and the address that it was sent to. */
static void datagrams_carry_mark_and_address(void **state) {
    for (enum path path = 0; path < PATH_MAX; path++) {
        int level = path == PATH_V6 ? SOL_IPV6 : SOL_IP, kind = path == PATH_V6 ? IPV6_TCLASS : IP_TOS;
        _Alignas(struct cmsghdr) char control[256];
        struct qos_socket udp;
        bool marked = false, addressed = false;
        char byte;
        struct iovec iov = { &byte, 1 };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        int sender;

        datagram_pair(path, &udp, &sender);
        assert_int_equal(qos_observe_arm(&udp), 0);
        set_int(sender, level, kind, 0xb8);
        assert_int_equal(send(sender, "x", 1, 0), 1);
        assert_int_equal(recvmsg(udp.fd, &msg, 0), 1);
        for (struct cmsghdr *m = CMSG_FIRSTHDR(&msg); m; m = CMSG_NXTHDR(&msg, m)) {
            if (m->cmsg_level == level && m->cmsg_type == kind)
                marked = *CMSG_DATA(m) == 0xb8;
            if ((m->cmsg_level == SOL_IP && m->cmsg_type == IP_PKTINFO) ||
                (m->cmsg_level == SOL_IPV6 && m->cmsg_type == IPV6_PKTINFO))
                addressed = true;
        }
        assert_true(marked);
        /* A socket that is bound to one address need not be told. */
        assert_int_equal(addressed, path != PATH_V4);
        assert_int_equal(get_int(udp.fd, SOL_SOCKET, SO_RXQ_OVFL), 1);
        close(udp.fd);
        close(sender);
    }
}

/* And what was there before goes back by the baseline. */
static void a_datagram_socket_is_served_and_let_go(void **state) {
    for (enum path path = 0; path < PATH_MAX; path++) {
        struct qos_socket udp;
        struct qos_baseline base;
        unsigned failed, options = path == PATH_V4 ? 2 : 3;
        int sender;

        datagram_pair(path, &udp, &sender);
        qos_baseline_capture(&udp, &base);
        for (int on = 1; on >= 0; on--) {
            qos_serve_datagrams(&udp, on);
            assert_int_equal(get_int(udp.fd, SOL_UDP, UDP_GRO), on);
            assert_int_equal(get_int(udp.fd, SOL_IP, IP_RECVERR), on);
            if (path != PATH_V4)
                assert_int_equal(get_int(udp.fd, SOL_IPV6, IPV6_RECVERR), on);
        }
        qos_serve_datagrams(&udp, true);
        assert_int_equal(qos_baseline_restore(&udp, &base, &failed), options);
        assert_int_equal(failed, 0);
        assert_int_equal(get_int(udp.fd, SOL_UDP, UDP_GRO), 0);
        assert_int_equal(get_int(udp.fd, SOL_IP, IP_RECVERR), 0);
        close(udp.fd);
        close(sender);
    }
}

static void a_reflected_mark_has_its_priority_behind_it(void **state) {
    for (enum path path = 0; path < PATH_MAX; path++) {
        struct qos_baseline base;
        struct settings set;
        struct connection c;

        connection_make(&c, path);
        qos_baseline_capture(&c.listener, &base);
        settings_defaults(&set);
        assert_int_equal(qos_set_tos(&c.server, 0x88, &set, &base), 0);
        assert_int_equal(get_int(c.server.fd, SOL_SOCKET, SO_PRIORITY), 2); /* the kernel's for AF41 */
        assert_int_equal(settings_set_text(&set, setting_find("priority"), "3", NULL), 0);
        assert_int_equal(qos_set_tos(&c.server, 0xb8, &set, &base), 0);
        assert_int_equal(get_int(c.server.fd, SOL_IP, IP_TOS) & 0xfc, 0xb8);
        if (path != PATH_V4)
            assert_int_equal(get_int(c.server.fd, SOL_IPV6, IPV6_TCLASS) & 0xfc, 0xb8);
        assert_int_equal(get_int(c.server.fd, SOL_SOCKET, SO_PRIORITY), 3);
        settings_done(&set);
        connection_done(&c);
    }
}

static void quickack_is_armed_again(void **state) {
    struct connection c;

    connection_make(&c, PATH_V4);
    qos_rearm_quickack(c.server.fd, false);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_QUICKACK), 0);
    qos_rearm_quickack(c.server.fd, true);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_QUICKACK), 1);
    connection_done(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_tells_of_the_handshake),
        cmocka_unit_test(ipv6_tells_of_the_latest_segment),
        cmocka_unit_test(says_nothing_unless_armed),
        cmocka_unit_test(labels),
        cmocka_unit_test(datagrams_carry_mark_and_address),
        cmocka_unit_test(a_reflected_mark_has_its_priority_behind_it),
        cmocka_unit_test(quickack_is_armed_again),
        cmocka_unit_test(a_datagram_socket_is_served_and_let_go),
    };

    return cmocka_run_group_tests_name("observe", tests, NULL, NULL);
}
