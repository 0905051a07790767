/* SPDX-License-Identifier: MIT */
/* The table, the names, and what holds for every framing. */
#include "reader.h"

static void test_names(void **state) {
    static const char *const want[] = { "chunk", "line", "octet_count", "length32", "eof" };
    const char *const *names = frame_names();

    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        enum framing id = FRAMING_INVALID;

        assert_string_equal(names[i], want[i]);
        assert_int_equal(frame_parse(want[i], &id), 0);
        assert_int_equal(id, i);
        assert_non_null(frame_ops(id));
    }
    assert_null(names[ARRAY_SIZE(want)]);
}

static void test_unknown(void **state) {
    static const char *const wrong[] = { "", "Line", "lines", "lin", "octet-count", "line ", "off" };
    enum framing id = FRAMING_EOF;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(frame_parse(wrong[i], &id), -EINVAL);
    assert_int_equal(id, FRAMING_EOF);
    assert_null(frame_ops(FRAMING_INVALID));
    assert_null(frame_ops(FRAMING_MAX));
}

static void test_nothing_came(void **state) {
    for (int id = 0; id < FRAMING_MAX; id++) {
        struct frame_state s = { 0 };
        struct frame frame;

        assert_int_equal(frame_next(frame_ops(id), &s, NULL, 0, false, 10, &frame), FRAME_MORE);
        assert_int_equal(frame_take(frame_ops(id), &s, 0, NULL, 0, 10), 0);
        assert_int_equal(frame_next(frame_ops(id), &s, NULL, 0, true, 10, &frame), FRAME_END);
        assert_null(frame.payload);
    }
}

/* A caller that asks again with nothing new gets the same answer, and the state does not drift. */
static void test_asked_twice(void **state) {
    static const struct piece part[FRAMING_MAX] = {
        [FRAMING_LINE] = P("ab\r"),
        [FRAMING_OCTET_COUNT] = P("5 abc"),
        [FRAMING_LENGTH32] = P("\0\0\0\5abc"),
        [FRAMING_EOF] = P("abc"),
    };

    for (int id = FRAMING_LINE; id < FRAMING_MAX; id++) {
        const uint8_t *data = (const uint8_t *) part[id].data;
        struct frame_state s = { 0 };
        struct frame frame;
        size_t needed;

        assert_int_equal(frame_next(frame_ops(id), &s, data, part[id].size, false, 10, &frame), FRAME_MORE);
        needed = s.needed;
        assert_int_equal(frame_next(frame_ops(id), &s, data, part[id].size, false, 10, &frame), FRAME_MORE);
        assert_int_equal(s.needed, needed);
    }
}

/* A limit lowered in the middle of a frame holds for that frame, and without waiting for the rest of it. */
static void test_limit_lowered(void **state) {
    static const struct piece part[FRAMING_MAX] = {
        [FRAMING_LINE] = P("0123456789012345678901234"),
        [FRAMING_OCTET_COUNT] = P("80 0123456789012345678901234"),
        [FRAMING_LENGTH32] = P("\0\0\0\120"
                               "0123456789012345678901234"),
        [FRAMING_EOF] = P("0123456789012345678901234"),
    };

    for (int id = FRAMING_LINE; id < FRAMING_MAX; id++) {
        const uint8_t *data = (const uint8_t *) part[id].data;
        struct frame_state s = { 0 };
        struct frame frame;

        assert_int_equal(frame_next(frame_ops(id), &s, data, part[id].size, false, 100, &frame), FRAME_MORE);
        assert_int_equal(frame_take(frame_ops(id), &s, part[id].size, data, 5, 5), 1);
        assert_int_equal(frame_next(frame_ops(id), &s, data, part[id].size, false, 5, &frame), -EMSGSIZE);
    }
}

/* And a raised one lets the frame in, nothing lost. */
static void test_limit_raised(void **state) {
    static const uint8_t text[] = "012345\n";
    struct frame_state s = { 0 };
    struct frame frame;

    assert_int_equal(frame_next(frame_ops(FRAMING_LINE), &s, text, 5, false, 5, &frame), FRAME_MORE);
    assert_int_equal(frame_next(frame_ops(FRAMING_LINE), &s, text, 7, false, 6, &frame), FRAME_PAYLOAD);
    assert_int_equal(frame.size, 6);
    assert_int_equal(frame.consumed, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_unknown),       cmocka_unit_test(test_nothing_came),
        cmocka_unit_test(test_asked_twice), cmocka_unit_test(test_limit_lowered), cmocka_unit_test(test_limit_raised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
