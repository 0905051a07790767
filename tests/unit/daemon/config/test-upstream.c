/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config.h"

#define PATH_MAX_BYTES 107 /* unix(7), the final NUL left out */

static struct config_upstream parse(const char *text) {
    struct config_upstream u = { 0 };
    char *reason = NULL;

    if (config_upstream_parse(text, &u, &reason) != 0)
        fail_msg("'%s': %s", text, reason);
    assert_null(reason);
    return u;
}

static void addresses(void **state) {
    static const struct {
        const char *text, *canonical;
        int type, family;
    } cases[] = {
        { "tcp:127.0.0.1:9000", "tcp:127.0.0.1:9000", SOCK_STREAM, AF_INET },
        { "udp:10.0.0.5:53", "udp:10.0.0.5:53", SOCK_DGRAM, AF_INET },
        { "tcp:255.255.255.255:65535", "tcp:255.255.255.255:65535", SOCK_STREAM, AF_INET },
        { "tcp:[::1]:1", "tcp:[::1]:1", SOCK_STREAM, AF_INET6 },
        { "udp:[2001:0db8:0::1]:443", "udp:[2001:db8::1]:443", SOCK_DGRAM, AF_INET6 },
        { "tcp:[fe80::1%lo]:80", "tcp:[fe80::1%lo]:80", SOCK_STREAM, AF_INET6 },
        { "tcp:[::ffff:192.0.2.7]:80", "tcp:192.0.2.7:80", SOCK_STREAM, AF_INET6 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config_upstream u = parse(cases[i].text);

        assert_string_equal(u.text, cases[i].canonical);
        assert_int_equal(u.type, cases[i].type);
        assert_int_equal(u.address.sa.sa_family, cases[i].family);
        assert_true(u.address.size > 0);
        assert_null(u.host);
        assert_null(u.path);
        config_upstream_done(&u);
    }
}

static void names(void **state) {
    static const struct {
        const char *text, *host;
        int type;
        unsigned port;
    } cases[] = {
        { "tcp:localhost:1", "localhost", SOCK_STREAM, 1 },
        { "udp:app.example:65535", "app.example", SOCK_DGRAM, 65535 },
        { "tcp:a-b.c_d.example.:80", "a-b.c_d.example.", SOCK_STREAM, 80 },
        { "tcp:9front.example:80", "9front.example", SOCK_STREAM, 80 },
        { "tcp:127.0.0.1.example:80", "127.0.0.1.example", SOCK_STREAM, 80 },
        { "tcp:_dns.example:53", "_dns.example", SOCK_STREAM, 53 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct config_upstream u = parse(cases[i].text);

        assert_string_equal(u.text, cases[i].text);
        assert_string_equal(u.host, cases[i].host);
        assert_int_equal(u.type, cases[i].type);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.address.size, 0);
        assert_null(u.path);
        config_upstream_done(&u);
        assert_null(u.host);
        config_upstream_done(&u); /* once more does no harm */
    }
}

static void unix_sockets(void **state) {
    char longest[5 + PATH_MAX_BYTES + 1];
    struct config_upstream u = parse("unix:/run/app.sock");

    assert_string_equal(u.text, "unix:/run/app.sock");
    assert_string_equal(u.path, "/run/app.sock");
    assert_int_equal(u.type, SOCK_STREAM);
    assert_int_equal(u.address.size, 0);
    assert_null(u.host);
    config_upstream_done(&u);

    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "unix:/", 6);
    longest[sizeof(longest) - 1] = '\0';
    u = parse(longest);
    assert_int_equal(strlen(u.path), PATH_MAX_BYTES);
    config_upstream_done(&u);
}

static void refused(const char *text) {
    struct config_upstream u = { .port = 4711 };
    _cleanup_free_ char *reason = NULL;

    if (config_upstream_parse(text, &u, &reason) != -EINVAL)
        fail_msg("'%s' was accepted", text);
    assert_int_equal(u.port, 4711);
    assert_null(u.text);
    assert_non_null(strstr(reason, " is no upstream"));
    for (const char *c = reason; *c; c++)
        assert_true(*c >= ' ' && *c <= '~');
    assert_int_equal(config_upstream_parse(text, &u, NULL), -EINVAL);
}

static void slips(void **state) {
    static const char *const bad[] = {
        "",
        ":",
        "tcp",
        "tcp:",
        "udp:",
        "unix:",
        "127.0.0.1:9000",
        "app.example:80",
        "TCP:127.0.0.1:9000",
        " tcp:127.0.0.1:9000",
        "tcp: 127.0.0.1:9000",
        "tcp:127.0.0.1:9000 ",
        "tcp//127.0.0.1:9000",
        "tcp://127.0.0.1:9000",
        "sctp:127.0.0.1:9000",
        "http:app.example:80",
        /* ports */
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:",
        "tcp:127.0.0.1:0",
        "tcp:127.0.0.1:65536",
        "tcp:127.0.0.1:-1",
        "tcp:127.0.0.1:0x50",
        "tcp:127.0.0.1:80:80",
        "tcp:[::1]:0",
        "tcp:[::1]:65536",
        "tcp:[::1]:",
        "udp:app.example",
        "udp:app.example:",
        "udp:app.example:0",
        "udp:app.example:00080",
        "udp:app.example:080",
        "udp:app.example:65536",
        "udp:app.example:99999999999999999999999",
        "udp:app.example:+80",
        "udp:app.example:-80",
        "udp:app.example: 80",
        "udp:app.example:80 ",
        "udp:app.example:8o",
        "udp:app.example:http",
        "udp:app.example:80:90",
        /* what looks like an address and is none is no name */
        "tcp:256.0.0.1:80",
        "tcp:127.1:80",
        "tcp:1.2.3.4.5:80",
        "tcp:1:80",
        "tcp:.:80",
        "tcp:...:80",
        "tcp:::1:80",
        "tcp:[::1]",
        "tcp:[::1:80",
        "tcp:::1]:80",
        "tcp:[]:80",
        "tcp:[127.0.0.1]:80",
        "tcp:[fe80::1%nosuchif]:80",
        "tcp:[::1%lo]:80",
        /* names */
        "tcp::80",
        "tcp:-app:80",
        "tcp:.app:80",
        "tcp:app example:80",
        "tcp:app/example:80",
        "tcp:app@example:80",
        "tcp:*:80",
        "tcp:\xc3\xa4pp.example:80",
        "tcp:app\n:80",
        "tcp:app\x1b[31m:80",
        "tcp:%s%n:80",
        "\xff\xfe",
        /* paths */
        "unix:run/app.sock",
        "unix:./app.sock",
        "unix:@abstract",
        "unix: /run/app.sock",
        "unix:/run/\n",
        "unix:/run/\x1b[31m",
        "unix:/run/\x7f",
        "unix:/run/\xc3\xa4",
        "unix:/run/\xff",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        refused(bad[i]);
}

static char *repeat(const char *before, size_t n, const char *after) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fputs(before, f);
    for (size_t i = 0; i < n; i++)
        putc('x', f);
    fputs(after, f);
    fclose(f);
    return text;
}

static void lengths(void **state) {
    _cleanup_free_ char *longest = repeat("tcp:", CONFIG_HOST_MAX, ":80"),
                        *longer = repeat("tcp:", CONFIG_HOST_MAX + 1, ":80"), *huge = repeat("udp:", 1000000, ":80"),
                        *path = repeat("unix:/", PATH_MAX_BYTES, ""), *huge_path = repeat("unix:/", 1000000, ""),
                        *huge_port = repeat("tcp:127.0.0.1:80", 100000, "");
    struct config_upstream u = parse(longest);

    assert_int_equal(strlen(u.host), CONFIG_HOST_MAX);
    config_upstream_done(&u);
    refused(longer);
    refused(huge);
    refused(path);
    refused(huge_path);
    refused(huge_port);
}

static void each_fault_says_what_is_right(void **state) {
    struct config_upstream u;
    char *reason = NULL;

    assert_int_equal(config_upstream_parse("tcp:127.0.0.1", &u, &reason), -EINVAL);
    assert_string_equal(reason, "'tcp:127.0.0.1' is no upstream, write for example tcp:127.0.0.1:9000, "
                                "tcp:app.example:80, udp:[::1]:53 or unix:/run/app.sock");
    free(reason);
    assert_int_equal(config_upstream_parse("unix:app\n", &u, &reason), -EINVAL);
    assert_string_equal(reason, "'unix:app?' is no upstream: the path of a Unix socket begins with '/', is printable "
                                "ASCII, and has at most 107 bytes");
    free(reason);
}

/* Hostile text: accepted and clean, or refused with a clean reason. What is accepted comes back the same. */
static void random_text_is_judged(void **state) {
    static const char *const prefixes[] = { "tcp:", "udp:", "unix:/", "" };
    static const char alphabet[] = "0123456789.:[]-_ab/%\n\x1b\xff";

    srandom(1);
    for (int i = 0; i < 40000; i++) {
        char text[32], *end = stpcpy(text, prefixes[random() % 4]);
        struct config_upstream u = { 0 }, again;
        char *reason = NULL;

        for (long n = random() % 20; n > 0; n--)
            *end++ = alphabet[(size_t) random() % (sizeof(alphabet) - 1)];
        *end = '\0';
        if (config_upstream_parse(text, &u, &reason) < 0) {
            assert_non_null(reason);
            free(reason);
            continue;
        }
        for (const char *c = u.text; *c; c++)
            assert_true(*c >= ' ' && *c <= '~');
        assert_int_equal((u.address.size > 0) + (u.host != NULL) + (u.path != NULL), 1);
        again = parse(u.text);
        assert_string_equal(again.text, u.text);
        config_upstream_done(&again);
        config_upstream_done(&u);
    }
}

static void balances(void **state) {
    const char *const *names = config_balance_names();

    assert_string_equal(names[BALANCE_ROUND_ROBIN], "round_robin");
    assert_string_equal(names[BALANCE_LEAST_FLOWS], "least_flows");
    assert_string_equal(names[BALANCE_SOURCE_HASH], "source_hash");
    assert_string_equal(names[BALANCE_FIRST], "first");
    assert_null(names[BALANCE_FIRST + 1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(names),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(slips),
        cmocka_unit_test(lengths),
        cmocka_unit_test(each_fault_says_what_is_right),
        cmocka_unit_test(random_text_is_judged),
        cmocka_unit_test(balances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
