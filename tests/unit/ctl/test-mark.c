/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "mark.h"

static void marks_read_as_names(void **state) {
    static const struct {
        struct mark mark;
        const char *text;
    } rows[] = {
        { { MARK_PACKET, 0xb8 }, "EF" },
        { { MARK_PACKET, 0xbb }, "EF ce" },
        { { MARK_PACKET, 0x01 }, "CS0 ect1" },
        { { MARK_PACKET, 0x10 }, "4" },
        { { MARK_LATEST, 0x88 }, "AF41 (latest)" },
        { { MARK_UNKNOWN, 0 }, "unknown" },
        { { MARK_LATEST, 0x02 }, "CS0 ect0 (latest)" },
    };
    char buf[MARK_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_string_equal(mark_format(&rows[i].mark, buf), rows[i].text);
}

union any_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* A marked datagram over loopback, to itself: what mark_set() sends, mark_of_message() reads. */
static void round_trip(int family, uint8_t tos) {
    union any_address a = { .sa.sa_family = (sa_family_t) family };
    socklen_t size = family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
    char data[4], control[256];
    struct iovec iov = { data, sizeof(data) };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };

    if (family == AF_INET)
        a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        a.in6.sin6_addr = in6addr_loopback;
    _cleanup_close_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, &a.sa, size) < 0)
        skip();
    assert_int_equal(getsockname(fd, &a.sa, &size), 0);
    assert_int_equal(mark_set(fd, family, tos), 0);
    assert_int_equal(mark_observe(fd, family), 0);
    assert_int_equal(sendto(fd, "x", 1, 0, &a.sa, size), 1);
    assert_int_equal(recvmsg(fd, &message, 0), 1);

    struct mark m = mark_of_message(&message);
    assert_int_equal(m.label, MARK_PACKET);
    assert_int_equal(m.tos, tos);
}

static void ipv4_datagrams_carry_the_mark(void **state) {
    round_trip(AF_INET, 0xb8);
    round_trip(AF_INET, 0);
}

static void ipv6_datagrams_carry_the_mark(void **state) {
    round_trip(AF_INET6, 0x88);
}

static void nothing_read_is_unknown(void **state) {
    struct msghdr message = { 0 };

    assert_int_equal(mark_of_message(&message).label, MARK_UNKNOWN);
    assert_int_equal(mark_of_stream(-1, true).label, MARK_UNKNOWN);
    assert_int_equal(mark_of_stream(-1, false).label, MARK_UNKNOWN);
    assert_null(mark_label_name(MARK_UNKNOWN));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_read_as_names),
        cmocka_unit_test(ipv4_datagrams_carry_the_mark),
        cmocka_unit_test(ipv6_datagrams_carry_the_mark),
        cmocka_unit_test(nothing_read_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
