/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "address.h"

static void round_trips(void **state) {
    static const char *const texts[] = { "127.0.0.1:7000",  "0.0.0.0:0",         "255.255.255.255:65535",
                                         "[::]:7000",       "[::1]:1",           "[2001:db8::1]:443",
                                         "[fe80::1%lo]:22", "[ff02::1%lo]:5353", NULL };

    for (const char *const *text = texts; *text; text++) {
        char buf[ADDRESS_TEXT_MAX];
        struct address a;

        if (address_parse(*text, &a) != 0)
            fail_msg("'%s' was refused", *text);
        assert_string_equal(address_format(&a, buf), *text);
    }
}

static void random_round_trips(void **state) {
    srandom(1);
    for (int i = 0; i < 5000; i++) {
        struct address a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = (in_port_t) random() },
                             .size = sizeof(a.in6) };
        char buf[ADDRESS_TEXT_MAX];
        struct address back;

        for (size_t k = 0; k < 16; k++)
            a.in6.sin6_addr.s6_addr[k] = random() % 3 ? (uint8_t) random() : 0;
        if (random() % 2)
            a = (struct address){ .in = { .sin_family = AF_INET,
                                          .sin_port = (in_port_t) random(),
                                          .sin_addr.s_addr = (in_addr_t) random() },
                                  .size = sizeof(a.in) };
        assert_int_equal(address_parse(address_format(&a, buf), &back), 0);
        assert_int_equal(back.size, a.size);
        assert_memory_equal(&back.in6, &a.in6, a.size);
    }
}

static void refuses_slips(void **state) {
    static const char *const bad[] = {
        "",
        ":",
        ":7000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1:0x50",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        " 127.0.0.1:80",
        "127.1:80",
        "0127.0.0.1:80",
        "256.0.0.1:80",
        "localhost:80",
        "::1:80",
        "::1",
        "[::1]",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[:80",
        "]:80",
        "[127.0.0.1]:80",
        "[::1]x:80",
        "[fe80::1%]:80",
        "[fe80::1%nosuchif]:80",
        "[fe80::1%0]:80",
        "[::1%lo]:80",
        "[2001:db8::1%1]:80",
        "[0000:0000:0000:0000:0000:0000:0000:0000000000000000000000000000000000000000000000000000000000000001]:80",
        "127.0.0.1:99999999999999999999999999",
        NULL,
    };

    for (const char *const *text = bad; *text; text++) {
        struct address a = { .size = 4711 };
        if (address_parse(*text, &a) != -EINVAL)
            fail_msg("'%s' was accepted", *text);
        assert_int_equal(a.size, 4711);
    }
}

static void unknown_scope_prints_as_number(void **state) {
    char buf[ADDRESS_TEXT_MAX];
    struct address a;

    assert_int_equal(address_parse("[fe80::1%4000000000]:80", &a), 0);
    assert_int_equal(a.in6.sin6_scope_id, 4000000000u);
    assert_string_equal(address_format(&a, buf), "[fe80::1%4000000000]:80");
    assert_string_equal(address_format_host(&a, buf), "fe80::1%4000000000");
}

static void mapped_prints_as_ipv4(void **state) {
    char buf[ADDRESS_TEXT_MAX];
    struct address a, v4;
    uint8_t key[16], v4_key[16];

    assert_int_equal(address_parse("[::ffff:192.0.2.7]:80", &a), 0);
    assert_true(address_is_v4_mapped(&a));
    assert_string_equal(address_format(&a, buf), "192.0.2.7:80");
    assert_string_equal(address_format_host(&a, buf), "192.0.2.7");

    assert_int_equal(address_parse("192.0.2.7:1", &v4), 0);
    assert_false(address_is_v4_mapped(&v4));
    address_key(&a, key);
    address_key(&v4, v4_key);
    assert_memory_equal(key, v4_key, 16);

    assert_int_equal(address_parse("[::1]:80", &a), 0);
    assert_false(address_is_v4_mapped(&a));
    assert_string_equal(address_format_host(&a, buf), "::1");
    address_key(&a, key);
    assert_memory_equal(key, &in6addr_loopback, 16);
}

static void checks_what_the_kernel_gives(void **state) {
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x7f000001) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(81) };
    struct sockaddr un = { .sa_family = AF_UNIX };
    char buf[ADDRESS_TEXT_MAX];
    struct address a;

    assert_int_equal(address_from_sockaddr((struct sockaddr *) &in, sizeof(in), &a), 0);
    assert_string_equal(address_format(&a, buf), "127.0.0.1:80");
    assert_int_equal(address_from_sockaddr((struct sockaddr *) &in6, sizeof(in6), &a), 0);
    assert_string_equal(address_format(&a, buf), "[::]:81");
    /* recvmsg() may say more room than the family needs. */
    struct sockaddr_storage storage = {};
    memcpy(&storage, &in, sizeof(in));
    assert_int_equal(address_from_sockaddr((struct sockaddr *) &storage, sizeof(storage), &a), 0);
    assert_int_equal(a.size, sizeof(in));

    assert_int_equal(address_from_sockaddr(&un, sizeof(un), &a), -EAFNOSUPPORT);
    assert_int_equal(address_from_sockaddr((struct sockaddr *) &in, 0, &a), -EINVAL);
    assert_int_equal(address_from_sockaddr((struct sockaddr *) &in6, sizeof(in), &a), -EINVAL);
}

static void endpoints(void **state) {
    static const char *const bad[] = { "",
                                       "tcp",
                                       "tcp:",
                                       "127.0.0.1:80",
                                       "TCP:127.0.0.1:80",
                                       "sctp:127.0.0.1:80",
                                       "tcp:80",
                                       "udp:*:80",
                                       "tcp://127.0.0.1:80",
                                       NULL };
    char buf[ADDRESS_TEXT_MAX];
    struct address a;
    int type = 0;

    assert_int_equal(address_parse_endpoint("tcp:127.0.0.1:7000", &type, &a), 0);
    assert_int_equal(type, SOCK_STREAM);
    assert_string_equal(address_format(&a, buf), "127.0.0.1:7000");
    assert_int_equal(address_parse_endpoint("udp:[::]:7000", &type, &a), 0);
    assert_int_equal(type, SOCK_DGRAM);
    assert_string_equal(address_format(&a, buf), "[::]:7000");
    for (const char *const *text = bad; *text; text++)
        if (address_parse_endpoint(*text, &type, &a) != -EINVAL)
            fail_msg("'%s' was accepted", *text);
}

static void hosts_without_a_port(void **state) {
    static const char *const good[] = { "127.0.0.1", "0.0.0.0", "::", "::1", "2001:db8::1", "fe80::1%lo", NULL };
    static const char *const bad[] = {
        "",
        "localhost",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "256.0.0.1",
        "127.0.0.1 ",
        "127.1",
        "::1%lo",
        "fe80::1%",
        "fe80::1%nosuchif",
        "::1::",
        "0000:0000:0000:0000:0000:0000:0000:0000000000000000000000000000000000000000000000000000000001",
        NULL,
    };
    char buf[ADDRESS_TEXT_MAX];
    struct address a;

    for (const char *const *text = good; *text; text++) {
        assert_int_equal(address_parse_host(*text, &a), 0);
        assert_string_equal(address_format_host(&a, buf), *text);
        assert_int_equal(a.in.sin_port, 0);
    }
    for (const char *const *text = bad; *text; text++) {
        a.size = 4711;
        if (address_parse_host(*text, &a) != -EINVAL)
            fail_msg("'%s' was accepted", *text);
        assert_int_equal(a.size, 4711);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(random_round_trips),
        cmocka_unit_test(refuses_slips),
        cmocka_unit_test(unknown_scope_prints_as_number),
        cmocka_unit_test(mapped_prints_as_ipv4),
        cmocka_unit_test(checks_what_the_kernel_gives),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(hosts_without_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
