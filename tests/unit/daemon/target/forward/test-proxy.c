/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "make.h"
#include "proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct got {
    int result;
    bool known;
    char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];
};

/* From memory of exactly that size, so that a sanitizer sees who reads over its end. */
static struct got read_header(const void *data, size_t size) {
    void *copy = malloc(MAX(size, (size_t) 1));
    struct address from, to;
    struct got got = { 0 };

    assert_non_null(copy);
    memcpy(copy, data, size);
    got.result = proxy_read(copy, size, &got.known, &from, &to);
    free(copy);
    if (got.result > 0 && got.known) {
        address_format(&from, got.from);
        address_format(&to, got.to);
    }
    return got;
}

/* Any part of it is not whole yet; what follows does not matter. */
static void expect_header(const void *data, size_t size, const char *from, const char *to) {
    char *longer = malloc(size + 4);
    struct got got;

    assert_non_null(longer);
    memcpy(longer, data, size);
    memcpy(longer + size, (const char[]){ '\n', '\r', '\n', 'x' }, 4);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(read_header(data, i).result, -EAGAIN);
    for (size_t i = 0; i <= 4; i++) {
        got = read_header(longer, size + i);
        assert_int_equal(got.result, size);
        assert_int_equal(got.known, from != NULL);
        assert_string_equal(got.from, from ? from : "");
        assert_string_equal(got.to, to ? to : "");
    }
    free(longer);
}

static void expect_refused(const void *data, size_t size) {
    assert_int_equal(read_header(data, size).result, -EBADMSG);
}

/* ---- version 1 ---- */

static void expect_v1(const char *from, const char *to, const char *text) {
    struct address a = make_address(from), b = make_address(to);
    uint8_t buf[PROXY_HEADER_MAX];
    size_t size = proxy_write_v1(buf, &a, &b);

    assert_int_equal(size, strlen(text));
    assert_memory_equal(buf, text, size);
}

static void test_write_v1(void **state) {
    expect_v1("192.0.2.1:7000", "198.51.100.2:80", "PROXY TCP4 192.0.2.1 198.51.100.2 7000 80\r\n");
    expect_v1("[2001:db8::1]:7000", "[2001:db8::2]:80", "PROXY TCP6 2001:db8::1 2001:db8::2 7000 80\r\n");
    expect_v1("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    expect_v1("192.0.2.1:1", "[2001:db8::2]:2", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
    expect_v1("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
              "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
              "65535\r\n");
}

static void test_read_v1(void **state) {
    static const struct {
        const char *text, *from, *to;
    } cases[] = {
        { "PROXY TCP4 192.0.2.1 198.51.100.2 7000 80\r\n", "192.0.2.1:7000", "198.51.100.2:80" },
        { "PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "[2001:db8::1]:0", "[::1]:65535" },
        { "PROXY UNKNOWN\r\n", NULL, NULL },
        { "PROXY UNKNOWN ffff::1 whatever 99999 x y z\r\n", NULL, NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_header(cases[i].text, strlen(cases[i].text), cases[i].from, cases[i].to);
}

static void test_wrong_v1(void **state) {
    static const char *const cases[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        " PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 0x1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 99999999999999999999\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 app.example 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 fe80::1%lo fe80::2 1 2\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_refused(cases[i], strlen(cases[i]));
    expect_refused("PROXY UNKNOWN\0\r\n", 16);
    expect_refused("PROXY \0TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 38);
}

/* A line that does not end is waited for up to its longest size only. */
static void test_endless_v1(void **state) {
    char text[200];

    (void) snprintf(text, sizeof(text), "PROXY UNKNOWN ");
    memset(text + 14, 'x', sizeof(text) - 14);
    assert_int_equal(read_header(text, 106).result, -EAGAIN);
    assert_int_equal(read_header(text, 107).result, -EBADMSG);
    text[105] = '\r';
    text[106] = '\n';
    assert_int_equal(read_header(text, 107).result, 107);
    text[105] = 'x';
    text[106] = '\r';
    text[107] = '\n';
    assert_int_equal(read_header(text, 108).result, -EBADMSG);
}

/* ---- version 2 ---- */

#define V4_BODY "\xc0\x00\x02\x01\xc6\x33\x64\x02\x1b\x58\x00\x50"
#define V6_BODY "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x1b\x58\x00\x50"

static void test_write_v2(void **state) {
    static const char v4[] = SIGNATURE "\x21\x11\x00\x0c" V4_BODY, v6[] = SIGNATURE "\x21\x21\x00\x24" V6_BODY;
    struct address a = make_address("192.0.2.1:7000"), b = make_address("198.51.100.2:80");
    struct address c = make_address("[2001:db8::1]:7000"), d = make_address("[2001:db8::2]:80");
    struct address mapped = make_address("[::ffff:192.0.2.1]:7000");
    uint8_t buf[PROXY_HEADER_MAX];

    assert_int_equal(proxy_write_v2(buf, &a, &b), 28);
    assert_memory_equal(buf, v4, 28);
    assert_int_equal(proxy_write_v2(buf, &mapped, &b), 28);
    assert_memory_equal(buf, v4, 28);
    assert_int_equal(proxy_write_v2(buf, &c, &d), 52);
    assert_memory_equal(buf, v6, 52);
    assert_int_equal(proxy_write_v2(buf, &a, &d), 52);
    expect_header(buf, 52, "192.0.2.1:7000", "[2001:db8::2]:80");
}

static void test_read_v2(void **state) {
    expect_header(SIGNATURE "\x21\x11\x00\x0c" V4_BODY, 28, "192.0.2.1:7000", "198.51.100.2:80");
    expect_header(SIGNATURE "\x21\x21\x00\x24" V6_BODY, 52, "[2001:db8::1]:7000", "[2001:db8::2]:80");
    /* With extensions behind. */
    expect_header(SIGNATURE "\x21\x11\x00\x10" V4_BODY "\x04\x00\x01\x00", 32, "192.0.2.1:7000", "198.51.100.2:80");
    /* LOCAL, with a body and without; UNSPEC; datagrams; Unix: the connection's own addresses count. */
    expect_header(SIGNATURE "\x20\x00\x00\x00", 16, NULL, NULL);
    expect_header(SIGNATURE "\x20\x11\x00\x0c" V4_BODY, 28, NULL, NULL);
    expect_header(SIGNATURE "\x21\x00\x00\x02xx", 18, NULL, NULL);
    expect_header(SIGNATURE "\x21\x12\x00\x0c" V4_BODY, 28, NULL, NULL);
    expect_header(SIGNATURE "\x21\x31\x00\x04xxxx", 20, NULL, NULL);
}

static void test_wrong_v2(void **state) {
    expect_refused(SIGNATURE "\x11\x11\x00\x0c" V4_BODY, 28); /* version 1 */
    expect_refused(SIGNATURE "\x31\x11\x00\x0c" V4_BODY, 28);
    expect_refused(SIGNATURE "\x22\x11\x00\x0c" V4_BODY, 28); /* no such command */
    expect_refused(SIGNATURE "\x21\x11\x00\x0b" V4_BODY, 28); /* too short for its addresses */
    expect_refused(SIGNATURE "\x21\x21\x00\x23" V6_BODY, 52);
    expect_refused("\r\n\r\n\0\r\nQUIX\n\x21\x11\x00\x0c" V4_BODY, 28);
    /* A size that nobody would wait for is refused at once. */
    expect_refused(SIGNATURE "\x21\x11\xff\xff", 16);
    expect_refused(SIGNATURE "\x21\x11\x02\x09", 16); /* 16 + 521 = PROXY_READ_MAX + 1 */
    assert_int_equal(read_header(SIGNATURE "\x21\x11\x02\x08", 16).result, -EAGAIN);
}

static void test_nothing_yet(void **state) {
    assert_int_equal(read_header("", 0).result, -EAGAIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_v1),   cmocka_unit_test(test_read_v1),     cmocka_unit_test(test_wrong_v1),
        cmocka_unit_test(test_endless_v1), cmocka_unit_test(test_write_v2),    cmocka_unit_test(test_read_v2),
        cmocka_unit_test(test_wrong_v2),   cmocka_unit_test(test_nothing_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
