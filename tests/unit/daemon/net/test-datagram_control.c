/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/uio.h>

#include "address.h"
#include "datagram_control.h"

/* ---- what was received ---- */

struct received {
    struct msghdr msg;
    union datagram_control control;
};

static void add(struct received *r, int level, int type, const void *data, size_t size) {
    struct cmsghdr *c = (struct cmsghdr *) (r->control.bytes + r->msg.msg_controllen);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    r->msg.msg_control = &r->control;
    r->msg.msg_controllen += CMSG_SPACE(size);
}

static void test_nothing_came_along(void **state) {
    struct received r = { 0 };
    struct datagram_meta meta;

    datagram_control_read(&r.msg, &meta);
    assert_false(meta.has_tos);
    assert_false(meta.has_drops);
    assert_int_equal(meta.info_family, 0);
}

static void test_all_that_may_come_is_read(void **state) {
    const struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f000002), .ipi_ifindex = 1 };
    const uint8_t tos = 0xb8 | 1;
    const uint32_t drops = 4000000000;
    struct received r = { 0 };
    struct datagram_meta meta;

    add(&r, SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof(drops));
    add(&r, SOL_IP, IP_TOS, &tos, sizeof(tos));
    add(&r, SOL_IP, IP_PKTINFO, &info, sizeof(info));
    datagram_control_read(&r.msg, &meta);
    assert_true(meta.has_tos);
    assert_int_equal(meta.tos, 0xb9);
    assert_true(meta.has_drops);
    assert_int_equal(meta.drops, drops);
    assert_int_equal(meta.info_family, AF_INET);
    assert_int_equal(meta.info4.ipi_spec_dst.s_addr, htonl(0x7f000002));
}

static void test_what_is_not_known_is_passed_over(void **state) {
    const int value = 7;
    struct received r = { 0 };
    struct datagram_meta meta;

    add(&r, SOL_SOCKET, SCM_RIGHTS, &value, sizeof(value));
    add(&r, SOL_IPV6, IPV6_HOPLIMIT, &value, sizeof(value));
    add(&r, SOL_IPV6, IPV6_TCLASS, &value, sizeof(value));
    datagram_control_read(&r.msg, &meta);
    assert_int_equal(meta.info_family, 0);
    assert_false(meta.has_drops);
    assert_true(meta.has_tos);
    assert_int_equal(meta.tos, 7);
}

static void test_the_size_of_joined_datagrams_is_read(void **state) {
    static const struct {
        int given;
        uint32_t read;
    } cases[] = { { 1, 1 }, { 1472, 1472 }, { 65507, 65507 }, { 0, 0 }, { -1, 0 } };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct received r = { 0 };
        struct datagram_meta meta;

        add(&r, SOL_UDP, UDP_GRO, &cases[i].given, sizeof(cases[i].given));
        datagram_control_read(&r.msg, &meta);
        assert_int_equal(meta.segment_size, cases[i].read);
    }
}

/* ---- what is sent ---- */

struct sent {
    struct address to;
    struct msghdr msg;
    union datagram_control control;
};

static void write_reply(struct sent *s, const char *to, const struct datagram_meta *meta, bool reflect) {
    assert_int_equal(address_parse(to, &s->to), 0);
    s->msg = (struct msghdr){ .msg_name = &s->to.sa, .msg_namelen = s->to.size };
    memset(&s->control, 0xff, sizeof(s->control));
    datagram_control_write(&s->msg, &s->control, meta, reflect);
}

/* The data of the message of this kind, or NULL. */
static const void *find(const struct sent *s, int level, int type, size_t size) {
    struct msghdr msg = s->msg;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == level && c->cmsg_type == type) {
            assert_int_equal(c->cmsg_len, CMSG_LEN(size));
            return CMSG_DATA(c);
        }
    return NULL;
}

static int tos_of(const struct sent *s, int level, int type) {
    const void *data = find(s, level, type, sizeof(int));
    int value;

    if (!data)
        return -1;
    memcpy(&value, data, sizeof(value));
    return value;
}

static void test_without_information_nothing_is_written(void **state) {
    const struct datagram_meta meta = { .tos = 0xb8 };
    struct sent s;

    write_reply(&s, "127.0.0.1:9", &meta, true);
    assert_null(s.msg.msg_control);
    assert_int_equal(s.msg.msg_controllen, 0);
}

static void test_v4_leaves_from_the_address_it_came_to(void **state) {
    const struct datagram_meta meta = {
        .info_family = AF_INET,
        .info4 = { .ipi_ifindex = 3, .ipi_spec_dst.s_addr = htonl(0x0a000001), .ipi_addr.s_addr = htonl(0xe0000001) }
    };
    const struct in_pktinfo *info;
    struct sent s;

    write_reply(&s, "192.0.2.1:9", &meta, false);
    info = find(&s, SOL_IP, IP_PKTINFO, sizeof(*info));
    assert_non_null(info);
    assert_int_equal(info->ipi_spec_dst.s_addr, htonl(0x0a000001));
    assert_int_equal(info->ipi_ifindex, 0); /* the way back is the routing table's business */
    assert_int_equal(tos_of(&s, SOL_IP, IP_TOS), -1);
}

static struct datagram_meta to_v6(const char *text) {
    struct datagram_meta meta = { .info_family = AF_INET6, .info6.ipi6_ifindex = 4 };
    struct address a;

    assert_int_equal(address_parse(text, &a), 0);
    meta.info6.ipi6_addr = a.in6.sin6_addr;
    return meta;
}

static void test_v6_leaves_from_the_address_it_came_to(void **state) {
    const struct datagram_meta meta = to_v6("[2001:db8::1]:7");
    const struct in6_pktinfo *info;
    struct sent s;

    write_reply(&s, "[2001:db8::2]:9", &meta, false);
    info = find(&s, SOL_IPV6, IPV6_PKTINFO, sizeof(*info));
    assert_non_null(info);
    assert_memory_equal(&info->ipi6_addr, &meta.info6.ipi6_addr, 16);
    assert_int_equal(info->ipi6_ifindex, 0);
}

static void test_link_local_keeps_the_interface(void **state) {
    const struct datagram_meta meta = to_v6("[fe80::1]:7");
    const struct in6_pktinfo *info;
    struct sent s;

    write_reply(&s, "[fe80::2]:9", &meta, false);
    info = find(&s, SOL_IPV6, IPV6_PKTINFO, sizeof(*info));
    assert_non_null(info);
    assert_int_equal(info->ipi6_ifindex, 4);
}

static void test_multicast_is_no_source(void **state) {
    const struct datagram_meta meta = to_v6("[ff02::1]:7");
    struct sent s;

    write_reply(&s, "[fe80::2]:9", &meta, false);
    assert_null(find(&s, SOL_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo)));
}

static void test_reflect_returns_the_dscp_without_ecn(void **state) {
    struct datagram_meta meta = { .has_tos = true, .tos = 0xb8 | 3 };
    struct sent s;

    write_reply(&s, "192.0.2.1:9", &meta, true);
    assert_int_equal(tos_of(&s, SOL_IP, IP_TOS), 0xb8);
    assert_int_equal(tos_of(&s, SOL_IPV6, IPV6_TCLASS), -1);
    write_reply(&s, "[2001:db8::2]:9", &meta, true);
    assert_int_equal(tos_of(&s, SOL_IPV6, IPV6_TCLASS), 0xb8);
    assert_int_equal(tos_of(&s, SOL_IP, IP_TOS), -1);
    write_reply(&s, "[::ffff:192.0.2.1]:9", &meta, true); /* it leaves as IPv4 */
    assert_int_equal(tos_of(&s, SOL_IP, IP_TOS), 0xb8);
    assert_int_equal(tos_of(&s, SOL_IPV6, IPV6_TCLASS), -1);
    write_reply(&s, "192.0.2.1:9", &meta, false);
    assert_int_equal(tos_of(&s, SOL_IP, IP_TOS), -1);
    meta.has_tos = false;
    write_reply(&s, "192.0.2.1:9", &meta, true);
    assert_int_equal(tos_of(&s, SOL_IP, IP_TOS), -1);
}

static void test_a_size_of_segments_is_added(void **state) {
    const struct datagram_meta meta = { .has_tos = true, .tos = 0xb8, .info_family = AF_INET };
    static const char *const peers[] = { "192.0.2.1:9", "[2001:db8::2]:9", "[::ffff:192.0.2.1]:9" };

    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        const void *data;
        struct sent s;
        uint16_t size;

        write_reply(&s, peers[i], &meta, true);
        datagram_control_add_segment(&s.msg, &s.control, 1472);
        data = find(&s, SOL_UDP, UDP_SEGMENT, sizeof(size));
        assert_non_null(data);
        memcpy(&size, data, sizeof(size));
        assert_int_equal(size, 1472);
        assert_non_null(find(&s, SOL_IP, IP_PKTINFO, sizeof(struct in_pktinfo)));
        assert_int_equal(MAX(tos_of(&s, SOL_IP, IP_TOS), tos_of(&s, SOL_IPV6, IPV6_TCLASS)), 0xb8);
    }
}

static void test_only_a_size_of_segments(void **state) {
    const struct datagram_meta meta = { 0 };
    struct sent s;

    write_reply(&s, "192.0.2.1:9", &meta, false);
    assert_null(s.msg.msg_control);
    datagram_control_add_segment(&s.msg, &s.control, 8);
    assert_non_null(find(&s, SOL_UDP, UDP_SEGMENT, sizeof(uint16_t)));
}

/* ---- both on real sockets ---- */

/* A datagram from one loopback address to another, and the reply. */
struct exchange {
    struct qos_socket server;
    int client;
    struct address to, from; /* the server as the client names it; where the reply came from */
};

static void exchange_begin(struct exchange *e, enum path path, const char *to) {
    int sender;

    datagram_pair(path, &e->server, &sender);
    close(sender);
    assert_int_equal(qos_observe_arm(&e->server), 0);
    assert_int_equal(address_parse(to, &e->to), 0);

    struct sockaddr_in6 name;
    socklen_t size = sizeof(name);
    assert_int_equal(getsockname(e->server.fd, (struct sockaddr *) &name, &size), 0);
    e->to.in.sin_port = name.sin6_port; /* the port stands in the same place for both families */
    e->client = socket(e->to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(e->client >= 0);
}

/* Receives on the server and replies as the daemon does. */
static void answer(struct exchange *e, bool reflect, struct datagram_meta *ret) {
    union datagram_control rx_control, tx_control;
    struct sockaddr_storage peer;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_name = &peer,
                          .msg_namelen = sizeof(peer),
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &rx_control,
                          .msg_controllen = sizeof(rx_control) };

    assert_int_equal(recvmsg(e->server.fd, &msg, 0), 1);
    assert_int_equal(msg.msg_flags & MSG_CTRUNC, 0); /* room for all that is armed */
    datagram_control_read(&msg, ret);
    datagram_control_write(&msg, &tx_control, ret, reflect);
    assert_int_equal(sendmsg(e->server.fd, &msg, 0), 1);
}

static uint8_t receive_reply(struct exchange *e) {
    struct sockaddr_storage peer;
    union datagram_control control;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_name = &peer,
                          .msg_namelen = sizeof(peer),
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control) };
    struct datagram_meta meta;

    assert_int_equal(recvmsg(e->client, &msg, 0), 1);
    assert_int_equal(address_from_sockaddr((struct sockaddr *) &peer, msg.msg_namelen, &e->from), 0);
    datagram_control_read(&msg, &meta);
    return meta.tos;
}

static void exchange_end(struct exchange *e) {
    close(e->server.fd);
    close(e->client);
}

static void send_byte(struct exchange *e) {
    assert_int_equal(sendto(e->client, "x", 1, 0, &e->to.sa, e->to.size), 1);
}

static void assert_from(const struct exchange *e, const char *host) {
    char text[ADDRESS_TEXT_MAX];

    assert_string_equal(address_format_host(&e->from, text), host);
}

static const struct {
    enum path path;
    const char *to, *host;
} real[] = {
    { PATH_V6, "[::1]:1", "::1" },
    { PATH_MAPPED, "127.0.0.1:1", "127.0.0.1" },
    { PATH_MAPPED, "127.0.0.2:1", "127.0.0.2" },
};

static void test_a_real_reply_comes_from_where_the_datagram_went(void **state) {
    for (size_t i = 0; i < ARRAY_SIZE(real); i++) {
        struct exchange e;
        struct datagram_meta meta;

        exchange_begin(&e, real[i].path, real[i].to);
        send_byte(&e);
        answer(&e, false, &meta);
        receive_reply(&e);
        assert_from(&e, real[i].host);
        exchange_end(&e);
    }
}

static void test_a_real_mark_is_reflected(void **state) {
    for (size_t i = 0; i < ARRAY_SIZE(real); i++) {
        bool v6 = real[i].path == PATH_V6;
        struct exchange e;
        struct datagram_meta meta;

        exchange_begin(&e, real[i].path, real[i].to);
        set_int(e.client, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TCLASS : IP_TOS, 0x88);
        set_int(e.client, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
        send_byte(&e);
        answer(&e, true, &meta);
        assert_true(meta.has_tos);
        assert_int_equal(meta.tos, 0x88);
        assert_int_equal(receive_reply(&e), 0x88);
        exchange_end(&e);
    }
}

static void test_a_broadcast_to_a_dual_stack_socket_is_answered(void **state) {
    struct exchange e;
    struct datagram_meta meta;

    exchange_begin(&e, PATH_MAPPED, "127.255.255.255:1");
    set_int(e.client, SOL_SOCKET, SO_BROADCAST, 1);
    send_byte(&e);
    answer(&e, false, &meta);
    receive_reply(&e);
    assert_from(&e, "127.0.0.1");
    exchange_end(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_came_along),
        cmocka_unit_test(test_all_that_may_come_is_read),
        cmocka_unit_test(test_what_is_not_known_is_passed_over),
        cmocka_unit_test(test_the_size_of_joined_datagrams_is_read),
        cmocka_unit_test(test_without_information_nothing_is_written),
        cmocka_unit_test(test_v4_leaves_from_the_address_it_came_to),
        cmocka_unit_test(test_v6_leaves_from_the_address_it_came_to),
        cmocka_unit_test(test_link_local_keeps_the_interface),
        cmocka_unit_test(test_multicast_is_no_source),
        cmocka_unit_test(test_reflect_returns_the_dscp_without_ecn),
        cmocka_unit_test(test_a_size_of_segments_is_added),
        cmocka_unit_test(test_only_a_size_of_segments),
        cmocka_unit_test(test_a_real_reply_comes_from_where_the_datagram_went),
        cmocka_unit_test(test_a_real_mark_is_reflected),
        cmocka_unit_test(test_a_broadcast_to_a_dual_stack_socket_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
