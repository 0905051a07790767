/* SPDX-License-Identifier: MIT */
#include "reader.h"

#define TRUNCATED .result = -EBADMSG, .reason = "ended inside a frame"
#define LARGE .result = -EMSGSIZE, .reason = "limit"

static void test_streams(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P(""), .result = FRAME_END },
        { .stream = P("\0\0\0\0"), .payloads = { P("") }, .result = FRAME_END },
        { .stream = P("\0\0\0\3abc"), .payloads = { P("abc") }, .result = FRAME_END },
        { .stream = P("\0\0\0\1a\0\0\0\0\0\0\0\2\0\n\0\0\0\3xyz"),
          .payloads = { P("a"), P(""), P("\0\n"), P("xyz") },
          .result = FRAME_END },
        { .stream = P("\0\0\0\4\0\0\0\1"), .payloads = { P("\0\0\0\1") }, .result = FRAME_END },
        /* The limit, and one over. */
        { .stream = P("\0\0\0\5abcde"), .payloads = { P("abcde") }, .limit_bytes = 5, .result = FRAME_END },
        { .stream = P("\0\0\0\6abcdef"), .limit_bytes = 5, LARGE, .said_after = 4 },
        { .stream = P("\0\0\0\1a\0\0\0\6abcdef"), .payloads = { P("a") }, .limit_bytes = 5, LARGE, .said_after = 9 },
    };

    assert_scenarios(FRAMING_LENGTH32, scenarios, ARRAY_SIZE(scenarios));
}

static void test_hostile(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P("\377\377\377\377abc"), .limit_bytes = FRAME_LIMIT_MAX, LARGE, .said_after = 4 },
        { .stream = P("\200\0\0\0abc"), .limit_bytes = FRAME_LIMIT_MAX, LARGE, .said_after = 4 },
        { .stream = P("\100\0\0\1abc"), .limit_bytes = FRAME_LIMIT_MAX, LARGE, .said_after = 4 },
        { .stream = P("\1\0\0\0abc"), LARGE, .said_after = 4 }, /* the wrong byte order */
        { .stream = P("GET / HTTP/1.1\r\n"), LARGE, .said_after = 4 },
    };

    assert_scenarios(FRAMING_LENGTH32, scenarios, ARRAY_SIZE(scenarios));
}

static void test_truncated(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P("\0"), TRUNCATED },
        { .stream = P("\0\0\0"), TRUNCATED },
        { .stream = P("\377\377\377"), TRUNCATED },
        { .stream = P("\0\0\0\3"), TRUNCATED },
        { .stream = P("\0\0\0\3ab"), TRUNCATED },
        { .stream = P("\0\0\0\1a\0\0\0\1"), .payloads = { P("a") }, TRUNCATED },
        { .stream = P("\100\0\0\0abc"), .limit_bytes = FRAME_LIMIT_MAX, TRUNCATED },
    };

    assert_scenarios(FRAMING_LENGTH32, scenarios, ARRAY_SIZE(scenarios));
}

/* The caller learns how much to wait for, and takes exactly that. */
static void test_needed(void **state) {
    const struct frame_ops *ops = frame_ops(FRAMING_LENGTH32);
    static const uint8_t text[] = "\0\0\1\0abc";
    struct frame_state s = { 0 };
    struct frame frame;

    assert_int_equal(frame_next(ops, &s, text, 1, false, 1000, &frame), FRAME_MORE);
    assert_int_equal(s.needed, 4);
    assert_int_equal(frame_take(ops, &s, 1, text, 7, 1000), 3);
    assert_int_equal(frame_next(ops, &s, text, 7, false, 1000, &frame), FRAME_MORE);
    assert_int_equal(s.needed, 4 + 256);
    assert_int_equal(frame_take(ops, &s, 7, text, 5, 1000), 5);
    assert_int_equal(frame_take(ops, &s, 258, text, 5, 1000), 2);
}

static void test_replies(void **state) {
    const struct frame_ops *ops = frame_ops(FRAMING_LENGTH32);
    _cleanup_bytes_ struct bytes stream = { 0 };
    struct frame_wrap wrap;

    wrap_add(&stream, FRAMING_LENGTH32, "abc", 3);
    wrap_add(&stream, FRAMING_LENGTH32, NULL, 0);
    assert_int_equal(stream.size, 11);
    assert_memory_equal(stream.data, "\0\0\0\3abc\0\0\0\0", 11);

    assert_int_equal(frame_wrap(ops, "", UINT32_MAX, &wrap), 0);
    assert_memory_equal(wrap.prefix, "\377\377\377\377", 4);
    assert_int_equal(frame_wrap(ops, "", (size_t) UINT32_MAX + 1, &wrap), -EMSGSIZE);
    assert_non_null(strstr(wrap.reason, "32 bits"));
    assert_int_equal(wrap.prefix_size + wrap.suffix_size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams), cmocka_unit_test(test_hostile), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_needed),  cmocka_unit_test(test_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
