/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <netinet/udp.h>

#include "datagram_receive.h"

/* A server as the daemon arms it, and a client that sends several datagrams in one call. */
struct pair {
    struct qos_socket server;
    int client;
    struct datagram_intake in;
};

static void pair_begin(struct pair *p, enum path path) {
    *p = (struct pair){ 0 };
    datagram_pair(path, &p->server, &p->client);
    assert_int_equal(qos_observe_arm(&p->server), 0);
    set_int(p->server.fd, SOL_UDP, UDP_GRO, 1);
    set_int(p->server.fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
    assert_int_equal(datagram_intake_init(&p->in), 0);
}

static void pair_end(struct pair *p) {
    datagram_intake_done(&p->in);
    close(p->server.fd);
    close(p->client);
}

static uint8_t data[DATAGRAM_SIZE_MAX];

/* Datagrams of this size; the last one may be shorter. */
static void send_joined(struct pair *p, size_t size, int segment) {
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t) (i * 7 + i / 251);
    set_int(p->client, SOL_UDP, UDP_SEGMENT, segment);
    assert_int_equal(send(p->client, data, size, 0), size);
}

/* What is received of send_joined(), whether or not the kernel has joined it. */
static void expect_joined(struct pair *p, size_t size, size_t segment) {
    size_t offset = 0;
    struct span span;

    while (offset < size) {
        if (p->in.next == p->in.n)
            datagram_intake_receive(&p->in, p->server.fd, NULL);
        assert_true(datagram_intake_open(&p->in));
        while (datagram_intake_take(&p->in, &span)) {
            assert_int_equal(span.size, MIN(segment, size - offset));
            assert_memory_equal(span.data, data + offset, span.size);
            offset += span.size;
        }
    }
    assert_int_equal(offset, size);
}

static void test_joined_datagrams_are_taken_apart(void **state) {
    static const struct {
        size_t size;
        int segment;
    } cases[] = { { 1000, 100 }, { 1001, 100 }, { 199, 100 }, { 100, 100 }, { 64, 1 }, { 6400, 100 }, { 65507, 1400 } };

    for (enum path path = 0; path < PATH_MAX; path++) {
        struct pair p;

        pair_begin(&p, path);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
            send_joined(&p, cases[i].size, cases[i].segment);
            expect_joined(&p, cases[i].size, (size_t) cases[i].segment);
            assert_false(datagram_intake_open(&p.in));
        }
        pair_end(&p);
    }
}

static void test_sizes_at_the_ends(void **state) {
    struct pair p;
    struct span span;

    pair_begin(&p, PATH_V4);
    for (size_t size = 0; size <= 65507; size += 65507) {
        assert_int_equal(send(p.client, data, size, 0), size);
        datagram_intake_receive(&p.in, p.server.fd, NULL);
        assert_true(datagram_intake_open(&p.in));
        assert_true(datagram_intake_take(&p.in, &span));
        assert_int_equal(span.size, size);
        assert_non_null(span.data); /* an empty payload is one */
        assert_false(datagram_intake_take(&p.in, &span));
        assert_false(datagram_intake_open(&p.in));
    }
    pair_end(&p);
}

static void test_nothing_there(void **state) {
    struct pair p;

    pair_begin(&p, PATH_V6);
    assert_false(datagram_intake_open(&p.in));
    datagram_intake_receive(&p.in, p.server.fd, NULL);
    assert_false(datagram_intake_open(&p.in));
    assert_int_equal(send(p.client, "x", 1, 0), 1);
    datagram_intake_receive(&p.in, -1, NULL); /* an error is nothing, too */
    assert_false(datagram_intake_open(&p.in));
    pair_end(&p);
}

/* Where nobody listens. */
static struct sockaddr_in6 nobody(const struct pair *p) {
    struct sockaddr_in6 name = { 0 };
    socklen_t size = sizeof(name);
    int fd = socket(p->server.domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(getsockname(p->server.fd, (struct sockaddr *) &name, &size), 0);
    name.sin6_port = 0;
    assert_int_equal(bind(fd, (struct sockaddr *) &name, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &name, &size), 0);
    close(fd);
    if (p->server.domain == AF_INET6)
        name.sin6_addr = in6addr_loopback;
    return name;
}

static void test_errors_are_passed_over(void **state) {
    for (enum path path = 0; path < PATH_MAX; path++) {
        struct sockaddr_in6 to;
        struct pair p;
        struct span span;

        pair_begin(&p, path);
        qos_serve_datagrams(&p.server, true);
        to = nobody(&p);
        assert_int_equal(send(p.client, "x", 1, 0), 1);
        assert_int_equal(sendto(p.server.fd, "y", 1, 0, (struct sockaddr *) &to, sizeof(to)), 1);
        datagram_intake_receive(&p.in, p.server.fd, NULL);
        assert_true(datagram_intake_open(&p.in));
        assert_true(datagram_intake_take(&p.in, &span));
        assert_int_equal(span.size, 1);
        assert_memory_equal(span.data, "x", 1);
        pair_end(&p);
    }
}

static void test_the_rest_of_a_message_is_left_out(void **state) {
    struct pair p;
    struct span span;

    pair_begin(&p, PATH_MAPPED);
    send_joined(&p, 1000, 100);
    set_int(p.client, SOL_UDP, UDP_SEGMENT, 0);
    assert_int_equal(send(p.client, "next", 4, 0), 4);
    datagram_intake_receive(&p.in, p.server.fd, NULL);
    assert_true(datagram_intake_open(&p.in));
    assert_int_equal(p.in.n_parts, 10);
    assert_true(datagram_intake_take(&p.in, &span));
    datagram_intake_skip(&p.in);
    assert_false(datagram_intake_take(&p.in, &span));
    assert_true(datagram_intake_open(&p.in));
    assert_true(datagram_intake_take(&p.in, &span));
    assert_int_equal(span.size, 4);
    assert_memory_equal(span.data, "next", 4);
    pair_end(&p);
}

static void test_each_message_has_its_peer_and_mark(void **state) {
    enum { N = 3 };
    struct pair p;
    int clients[N];
    struct sockaddr_in6 server;
    socklen_t size = sizeof(server);

    pair_begin(&p, PATH_V6);
    assert_int_equal(getsockname(p.server.fd, (struct sockaddr *) &server, &size), 0);
    server.sin6_addr = in6addr_loopback;
    for (int i = 0; i < N; i++) {
        clients[i] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *) &server, size), 0);
        set_int(clients[i], SOL_IPV6, IPV6_TCLASS, 8 * (i + 1));
        set_int(clients[i], SOL_UDP, UDP_SEGMENT, 2);
        assert_int_equal(send(clients[i], "abcdef", 6, 0), 6);
    }
    datagram_intake_receive(&p.in, p.server.fd, NULL);
    for (int i = 0; i < N; i++) {
        struct sockaddr_in6 name;
        const struct address *peer;

        assert_int_equal(getsockname(clients[i], (struct sockaddr *) &name, &size), 0);
        assert_true(datagram_intake_open(&p.in));
        peer = datagram_intake_peer(&p.in);
        assert_int_equal(peer->size, sizeof(name));
        assert_int_equal(peer->in6.sin6_port, name.sin6_port);
        assert_memory_equal(&peer->in6.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
        assert_int_equal(p.in.meta.tos, 8 * (i + 1));
        assert_int_equal(p.in.n_parts, 3);
        close(clients[i]);
    }
    pair_end(&p);
}

/* All that a kernel may tell of one datagram, on a socket that carries both families and was given timestamps by its unit. */
static void test_no_control_message_is_cut(void **state) {
    struct pair p;

    for (enum path path = 0; path < PATH_MAX; path++) {
        pair_begin(&p, path);
        set_int(p.server.fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
        set_int(p.server.fd, SOL_SOCKET, SO_RCVBUF, 4096);
        for (int i = 0; i < 100; i++) /* until it drops, and tells so */
            assert_int_equal(send(p.client, data, 1000, 0), 1000);
        do
            datagram_intake_receive(&p.in, p.server.fd, NULL);
        while (p.in.n > 0);
        set_int(p.server.fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
        send_joined(&p, 1000, 100);
        datagram_intake_receive(&p.in, p.server.fd, NULL);
        assert_true(datagram_intake_open(&p.in));
        assert_int_equal(p.in.messages[0].msg_hdr.msg_flags & MSG_CTRUNC, 0);
        assert_true(p.in.meta.has_drops && p.in.meta.drops > 0);
        assert_true(p.in.meta.has_tos);
        assert_int_equal(p.in.meta.info_family > 0, path != PATH_V4); /* that one is bound to one address */
        assert_int_equal(p.in.n_parts, 10);
        pair_end(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_datagrams_are_taken_apart),
        cmocka_unit_test(test_sizes_at_the_ends),
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_errors_are_passed_over),
        cmocka_unit_test(test_the_rest_of_a_message_is_left_out),
        cmocka_unit_test(test_each_message_has_its_peer_and_mark),
        cmocka_unit_test(test_no_control_message_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
