/* SPDX-License-Identifier: MIT */
#include "reader.h"

#define TRUNCATED .result = -EBADMSG, .reason = "ended inside a frame"
#define LARGE .result = -EMSGSIZE, .reason = "limit"
#define BEGIN .result = -EBADMSG, .reason = "begin with a digit from 1 to 9"
#define DIGITS .result = -EBADMSG, .reason = "not digits and a space"

static void test_streams(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P(""), .result = FRAME_END },
        { .stream = P("1 a"), .payloads = { P("a") }, .result = FRAME_END },
        { .stream = P("3 a\0\n"), .payloads = { P("a\0\n") }, .result = FRAME_END },
        { .stream = P("10 <34>1 - - 2 xy5 hello"),
          .payloads = { P("<34>1 - - "), P("xy"), P("hello") },
          .result = FRAME_END },
        { .stream = P("2  a3 1 2"), .payloads = { P(" a"), P("1 2") }, .result = FRAME_END },
        /* The limit, and one over. */
        { .stream = P("10 0123456789"), .payloads = { P("0123456789") }, .limit_bytes = 10, .result = FRAME_END },
        { .stream = P("11 0123456789a"), .limit_bytes = 10, LARGE, .said_after = 2 },
        { .stream = P("2 ab11 0123456789a"), .payloads = { P("ab") }, .limit_bytes = 10, LARGE, .said_after = 6 },
    };

    assert_scenarios(FRAMING_OCTET_COUNT, scenarios, ARRAY_SIZE(scenarios));
}

static void test_hostile(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P("0 "), BEGIN, .said_after = 1 },
        { .stream = P("03 abc"), BEGIN, .said_after = 1 },
        { .stream = P("-3 abc"), BEGIN, .said_after = 1 },
        { .stream = P("+3 abc"), BEGIN, .said_after = 1 },
        { .stream = P(" 3 abc"), BEGIN, .said_after = 1 },
        { .stream = P("\0003 abc"), BEGIN, .said_after = 1 },
        { .stream = P("<34>1 hello\n"), BEGIN, .said_after = 1 },
        { .stream = P("\n3 abc"), BEGIN, .said_after = 1 },
        { .stream = P("3\tabc"), DIGITS, .said_after = 2 },
        { .stream = P("3abc"), DIGITS, .said_after = 2 },
        { .stream = P("3-1 abc"), DIGITS, .said_after = 2 },
        { .stream = P("1e2 abc"), DIGITS, .said_after = 2 },
        { .stream = P("3\0 abc"), DIGITS, .said_after = 2 },
        { .stream = P("3\262 abc"), DIGITS, .said_after = 2 },
        { .stream = P("1001 a"), LARGE, .said_after = 4 },
        { .stream = P("9999x"), LARGE, .said_after = 4 },
        { .stream = P("999x"), DIGITS, .said_after = 4 },
        { .stream = P("9999999x"), .limit_bytes = FRAME_LIMIT_MAX, DIGITS, .said_after = 8 },
        { .stream = P("12345678 a"),
          .limit_bytes = FRAME_LIMIT_MAX,
          .result = -EBADMSG,
          .reason = "more than 7 digits",
          .said_after = 8 },
        { .stream = P("18446744073709551617 a"),
          .limit_bytes = FRAME_LIMIT_MAX,
          .result = -EBADMSG,
          .reason = "more than 7 digits",
          .said_after = 8 },
        { .stream = P("18446744073709551617 a"), LARGE, .said_after = 4 },
        /* A wrong prefix does not harm what came before it. */
        { .stream = P("1 a2 bcx"), .payloads = { P("a"), P("bc") }, BEGIN, .said_after = 8 },
        { .stream = P("1 a\n1 b"), .payloads = { P("a") }, BEGIN, .said_after = 4 },
    };

    assert_scenarios(FRAMING_OCTET_COUNT, scenarios, ARRAY_SIZE(scenarios));
}

static void test_truncated(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P("3"), TRUNCATED },
        { .stream = P("3 "), TRUNCATED },
        { .stream = P("3 ab"), TRUNCATED },
        { .stream = P("1 a12"), .payloads = { P("a") }, TRUNCATED },
        { .stream = P("9999999"), .limit_bytes = FRAME_LIMIT_MAX, TRUNCATED },
        { .stream = P("9999999 "), .limit_bytes = FRAME_LIMIT_MAX, TRUNCATED },
    };

    assert_scenarios(FRAMING_OCTET_COUNT, scenarios, ARRAY_SIZE(scenarios));
}

static void test_replies(void **state) {
    const struct frame_ops *ops = frame_ops(FRAMING_OCTET_COUNT);
    _cleanup_bytes_ struct bytes stream = { 0 };
    struct frame_wrap wrap;

    wrap_add(&stream, FRAMING_OCTET_COUNT, "abc", 3);
    wrap_add(&stream, FRAMING_OCTET_COUNT, "0123456789", 10);
    assert_int_equal(stream.size, 5 + 13);
    assert_memory_equal(stream.data, "3 abc10 0123456789", 5 + 13);

    assert_int_equal(frame_wrap(ops, "", 9999999, &wrap), 0);
    assert_int_equal(wrap.prefix_size, 8);
    assert_memory_equal(wrap.prefix, "9999999 ", 8);
    assert_int_equal(frame_wrap(ops, "", 10000000, &wrap), -EMSGSIZE);
    assert_non_null(strstr(wrap.reason, "7 digits"));
    assert_int_equal(frame_wrap(ops, NULL, 0, &wrap), -EBADMSG);
    assert_non_null(strstr(wrap.reason, "empty"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
