/* SPDX-License-Identifier: MIT */
#include "reader.h"

static void test_streams(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P(""), .result = FRAME_END },
        { .stream = P("a\0\r\n"), .payloads = { P("a\0\r\n") }, .result = FRAME_END },
        { .stream = P("12345"), .payloads = { P("12345") }, .limit_bytes = 5, .result = FRAME_END },
        { .stream = P("123456"), .limit_bytes = 5, .result = -EMSGSIZE, .reason = "limit", .said_after = 6 },
        { .stream = P("123456789"), .limit_bytes = 5, .result = -EMSGSIZE, .reason = "limit", .said_after = 6 },
        { .stream = P("1"), .payloads = { P("1") }, .limit_bytes = 1, .result = FRAME_END },
    };

    assert_scenarios(FRAMING_EOF, scenarios, ARRAY_SIZE(scenarios));
}

static void test_take(void **state) {
    const struct frame_ops *ops = frame_ops(FRAMING_EOF);
    static const uint8_t text[] = "0123456789";
    struct frame_state s = { 0 };
    struct frame frame;

    assert_int_equal(frame_next(ops, &s, text, 4, false, 100, &frame), FRAME_MORE);
    assert_int_equal(frame_take(ops, &s, 4, text + 4, 6, 100), 6);
}

static void test_replies_are_bare(void **state) {
    _cleanup_bytes_ struct bytes stream = { 0 };

    wrap_add(&stream, FRAMING_EOF, "whole\n", 6);
    assert_int_equal(stream.size, 6);
    assert_memory_equal(stream.data, "whole\n", 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_replies_are_bare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
