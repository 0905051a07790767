/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "plan.h"

struct option {
    enum option_id id;
    const char *value;
};

static int parse(const char *target, const struct option *options, size_t n, struct plan *ret, char **ret_reason) {
    const char *words[] = { target };
    struct args a = { .verb = "send", .words = words, .n_words = 1 };

    for (size_t i = 0; i < n; i++)
        a.option[options[i].id] = options[i].value;
    return plan_parse(&a, ret, ret_reason);
}

#define PARSE(ret, reason, target, ...)                                                                                \
    parse(target, (const struct option[]){ __VA_ARGS__ }, ARRAY_SIZE(((const struct option[]){ __VA_ARGS__ })), ret,   \
          reason)

#define REFUSED(expected, target, ...)                                                                                 \
    do {                                                                                                               \
        _cleanup_free_ char *reason_ = NULL;                                                                           \
        struct plan plan_ = { 0 };                                                                                     \
        assert_int_equal(PARSE(&plan_, &reason_, target, __VA_ARGS__), -EINVAL);                                       \
        if (!strstr(reason_, expected))                                                                                \
            fail_msg("'%s' is not in '%s'", expected, reason_);                                                        \
        assert_null(plan_.host);                                                                                       \
    } while (0)

static const struct option none = { OPTION_JSON, "" };

static void targets(void **state) {
    static const struct {
        const char *text;
        int type;
        const char *host, *port;
    } rows[] = {
        { "tcp:127.0.0.1:7000", SOCK_STREAM, "127.0.0.1", "7000" },
        { "udp:[::1]:7000", SOCK_DGRAM, "::1", "7000" },
        { "udp:[fe80::1%eth0]:7", SOCK_DGRAM, "fe80::1%eth0", "7" },
        { "tcp:gateway.example:echo", SOCK_STREAM, "gateway.example", "echo" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        _cleanup_(plan_done) struct plan p = { 0 };
        char *reason = NULL;

        assert_int_equal(PARSE(&p, &reason, rows[i].text, none), 0);
        assert_int_equal(p.type, rows[i].type);
        assert_string_equal(p.host, rows[i].host);
        assert_string_equal(p.port, rows[i].port);
    }
}

static void wrong_targets_are_explained(void **state) {
    REFUSED("is not tcp:HOST:PORT", "127.0.0.1:7000", none);
    REFUSED("is not tcp:HOST:PORT", "sctp:127.0.0.1:7000", none);
    REFUSED("goes in brackets: udp:[::1]:7000", "udp:::1:7000", none);
    REFUSED("goes in brackets", "udp:[::1:7000", none);
    REFUSED("goes in brackets", "tcp:localhost", none);
    REFUSED("lacks the host", "tcp::7000", none);
    REFUSED("lacks the host", "tcp:[]:7000", none);
    REFUSED("needs a port", "tcp:localhost:", none);
    REFUSED("needs a port, 1-65535", "tcp:localhost:0", none);
    REFUSED("needs a port, 1-65535", "tcp:localhost:65536", none);
    REFUSED("needs a port, 1-65535", "tcp:localhost:4295049296", none);
    REFUSED("needs a port, 1-65535", "udp:localhost:-1", none);
}

static void defaults(void **state) {
    _cleanup_(plan_done) struct plan p = { 0 };
    char *reason = NULL;

    assert_int_equal(PARSE(&p, &reason, "udp:a:1", none), 0);
    assert_int_equal(p.dscp, -1);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.interval_usec, 1000000);
    assert_int_equal(p.timeout_usec, 1000000);
    assert_int_equal(p.size, PLAN_SIZE_DEFAULT);
    assert_true(p.wait_reply);
}

static void tos_and_dscp_are_two_spellings(void **state) {
    _cleanup_(plan_done) struct plan tos = { 0 }, dscp = { 0 }, name = { 0 };
    char *reason = NULL;

    assert_int_equal(PARSE(&tos, &reason, "udp:a:1", { OPTION_TOS, "0x10" }), 0);
    assert_int_equal(PARSE(&dscp, &reason, "udp:a:1", { OPTION_DSCP, "4" }), 0);
    assert_int_equal(PARSE(&name, &reason, "udp:a:1", { OPTION_DSCP, "ef" }), 0);
    assert_int_equal(tos.dscp, 4);
    assert_int_equal(dscp.dscp, 4);
    assert_int_equal(name.dscp, 46);
}

static void wrong_marks_are_explained(void **state) {
    REFUSED("did you mean 'EF'", "udp:a:1", { OPTION_DSCP, "EFF" });
    REFUSED("ECN", "udp:a:1", { OPTION_TOS, "0xbb" });
    REFUSED("0xb8", "udp:a:1", { OPTION_TOS, "0xbb" });
    REFUSED("--dscp", "udp:a:1", { OPTION_DSCP, "64" });
    REFUSED("sent back", "udp:a:1", { OPTION_DSCP, "reflect" });
    REFUSED("two spellings", "udp:a:1", { OPTION_DSCP, "4" }, { OPTION_TOS, "0x10" });
}

static void wrong_numbers_are_explained(void **state) {
    REFUSED("--count", "udp:a:1", { OPTION_COUNT, "0" });
    REFUSED("--count", "udp:a:1", { OPTION_COUNT, "-1" });
    REFUSED("--count", "udp:a:1", { OPTION_COUNT, "2x" });
    REFUSED("--count", "udp:a:1", { OPTION_COUNT, "99999999999999999999" });
    REFUSED("--interval", "udp:a:1", { OPTION_INTERVAL, "soon" });
    REFUSED("--timeout", "udp:a:1", { OPTION_TIMEOUT, "0" });
    REFUSED("1 to 65507 bytes", "udp:a:1", { OPTION_SIZE, "65508" });
    REFUSED("--size", "tcp:a:1", { OPTION_SIZE, "0" });
    REFUSED("--size", "tcp:a:1", { OPTION_SIZE, "1T" });
    REFUSED("--text needs", "tcp:a:1", { OPTION_TEXT, "" });
    REFUSED("one of --size, --text and --stdin", "udp:a:1", { OPTION_SIZE, "5" }, { OPTION_TEXT, "x" });
}

static void sizes(void **state) {
    _cleanup_(plan_done) struct plan bare = { 0 }, unit = { 0 };
    char *reason = NULL;

    assert_int_equal(PARSE(&bare, &reason, "udp:a:1", { OPTION_SIZE, "1400" }), 0);
    assert_int_equal(bare.size, 1400);
    assert_int_equal(PARSE(&unit, &reason, "tcp:a:1", { OPTION_SIZE, "1M" }), 0);
    assert_int_equal(unit.size, 1048576);
}

static void made_payloads_bear_their_number(void **state) {
    _cleanup_(plan_done) struct plan p = { 0 };
    char *reason = NULL, buf[64];

    assert_int_equal(PARSE(&p, &reason, "udp:a:1", none), 0);
    plan_payload(&p, 17, buf);
    assert_memory_equal(buf, "payload 17 ", 11);
    assert_int_equal(plan_number(&p, buf, sizeof(buf)), 17);
    assert_int_equal(plan_number(&p, "Received", 8), 0);
    assert_int_equal(plan_number(&p, "payload x ", 10), 0);
    assert_int_equal(plan_number(&p, "payload 17", 10), 0);
    assert_int_equal(plan_number(&p, "", 0), 0);
}

static void small_payloads_fit(void **state) {
    _cleanup_(plan_done) struct plan p = { 0 };
    char *reason = NULL, buf[4] = "";

    assert_int_equal(PARSE(&p, &reason, "udp:a:1", { OPTION_SIZE, "3" }), 0);
    plan_payload(&p, 1, buf);
    assert_string_equal(buf, "pay");
}

static void text_is_sent_as_it_is(void **state) {
    _cleanup_(plan_done) struct plan p = { 0 };
    char *reason = NULL, buf[16] = "";

    assert_int_equal(PARSE(&p, &reason, "udp:a:1", { OPTION_TEXT, "payload 5 x" }), 0);
    plan_payload(&p, 1, buf);
    assert_string_equal(buf, "payload 5 x");
    assert_int_equal(plan_number(&p, buf, p.size), 0);
}

/* A file of `size` bytes at its start. */
static int file_of(size_t size) {
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t) size), 0);
    return fd;
}

static void standard_input(void **state) {
    _cleanup_(plan_done) struct plan p = { 0 };
    char *reason = NULL;

    assert_int_equal(PARSE(&p, &reason, "udp:a:1", { OPTION_STDIN, "" }), 0);
    assert_true(p.from_stdin);
    _cleanup_close_ int empty = file_of(0), most = file_of(PLAN_DATAGRAM_MAX), large = file_of(PLAN_DATAGRAM_MAX + 1);
    assert_int_equal(plan_read(&p, empty), -ENODATA);
    assert_int_equal(plan_read(&p, large), -EFBIG);
    assert_int_equal(plan_read(&p, most), 0);
    assert_int_equal(p.size, PLAN_DATAGRAM_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(wrong_targets_are_explained),
        cmocka_unit_test(defaults),
        cmocka_unit_test(tos_and_dscp_are_two_spellings),
        cmocka_unit_test(wrong_marks_are_explained),
        cmocka_unit_test(wrong_numbers_are_explained),
        cmocka_unit_test(sizes),
        cmocka_unit_test(made_payloads_bear_their_number),
        cmocka_unit_test(small_payloads_fit),
        cmocka_unit_test(text_is_sent_as_it_is),
        cmocka_unit_test(standard_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
