/* SPDX-License-Identifier: MIT */
#include "reader.h"

#define LARGE .result = -EMSGSIZE, .reason = "limit"

static void test_streams(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P(""), .result = FRAME_END },
        { .stream = P("one\n"), .payloads = { P("one") }, .result = FRAME_END },
        { .stream = P("one\r\n"), .payloads = { P("one") }, .result = FRAME_END },
        { .stream = P("one\ntwo\r\n\n\r\nfive\n"),
          .payloads = { P("one"), P("two"), P(""), P(""), P("five") },
          .result = FRAME_END },
        /* One CR only, and only before LF. */
        { .stream = P("a\r\r\n"), .payloads = { P("a\r") }, .result = FRAME_END },
        { .stream = P("a\rb\n"), .payloads = { P("a\rb") }, .result = FRAME_END },
        { .stream = P("a\n\rb\n"), .payloads = { P("a"), P("\rb") }, .result = FRAME_END },
        { .stream = P("a\0b\n\0\n"), .payloads = { P("a\0b"), P("\0") }, .result = FRAME_END },
        /* The last line. */
        { .stream = P("one\ntwo"), .payloads = { P("one"), P("two") }, .result = FRAME_END },
        { .stream = P("x"), .payloads = { P("x") }, .result = FRAME_END },
        { .stream = P("two\r"), .payloads = { P("two\r") }, .result = FRAME_END },
        { .stream = P("\r"), .payloads = { P("\r") }, .result = FRAME_END },
    };

    assert_scenarios(FRAMING_LINE, scenarios, ARRAY_SIZE(scenarios));
}

static void test_limit(void **state) {
    static const struct scenario scenarios[] = {
        { .stream = P("12345\n"), .payloads = { P("12345") }, .limit_bytes = 5, .result = FRAME_END },
        { .stream = P("12345\r\n"), .payloads = { P("12345") }, .limit_bytes = 5, .result = FRAME_END },
        { .stream = P("1234\r\r\n"), .payloads = { P("1234\r") }, .limit_bytes = 5, .result = FRAME_END },
        { .stream = P("12345"), .payloads = { P("12345") }, .limit_bytes = 5, .result = FRAME_END },
        { .stream = P("1\n2"), .payloads = { P("1"), P("2") }, .limit_bytes = 1, .result = FRAME_END },
        { .stream = P("\r\n\n"), .payloads = { P(""), P("") }, .limit_bytes = 1, .result = FRAME_END },
        /* One over. */
        { .stream = P("123456\n"), .limit_bytes = 5, LARGE, .said_after = 6 },
        { .stream = P("123456\r\n"), .limit_bytes = 5, LARGE, .said_after = 6 },
        { .stream = P("12345\r\r\n"), .limit_bytes = 5, LARGE, .said_after = 7 },
        { .stream = P("12345\r6\n"), .limit_bytes = 5, LARGE, .said_after = 7 },
        { .stream = P("123456"), .limit_bytes = 5, LARGE, .said_after = 6 },
        { .stream = P("12345\r"), .limit_bytes = 5, LARGE },
        { .stream = P("ok\n12345678901234567890\nlate\n"),
          .payloads = { P("ok") },
          .limit_bytes = 5,
          LARGE,
          .said_after = 9 },
    };

    assert_scenarios(FRAMING_LINE, scenarios, ARRAY_SIZE(scenarios));
}

/* What was searched once is not searched again: LFs put there later go unseen. */
static void test_does_not_search_again(void **state) {
    const struct frame_ops *ops = frame_ops(FRAMING_LINE);
    struct frame_state s = { 0 };
    struct frame frame;
    uint8_t text[] = "0123456789\n";

    for (size_t size = 1; size < sizeof(text) - 1; size++) {
        assert_int_equal(frame_next(ops, &s, text, size, false, 100, &frame), FRAME_MORE);
        memset(text, '\n', size);
    }
    assert_int_equal(frame_next(ops, &s, text, sizeof(text) - 1, false, 100, &frame), FRAME_PAYLOAD);
    assert_int_equal(frame.consumed, 11);
}

/* Takes for ever if each byte costs a look at all bytes before it. */
static void test_a_byte_at_a_time(void **state) {
    enum { SIZE = 4 * 1024 * 1024 };
    const struct frame_ops *ops = frame_ops(FRAMING_LINE);
    _cleanup_free_ uint8_t *text = malloc(SIZE);
    struct frame_state s = { 0 };
    struct frame frame;
    int r = FRAME_MORE;

    assert_non_null(text);
    memset(text, 'x', SIZE);
    text[SIZE - 1] = '\n';
    for (size_t size = 1; size <= SIZE; size++) {
        assert_int_equal(r, FRAME_MORE);
        assert_int_equal(frame_take(ops, &s, size - 1, text + size - 1, 1, SIZE), 1);
        r = frame_next(ops, &s, text, size, false, SIZE, &frame);
    }
    assert_int_equal(r, FRAME_PAYLOAD);
    assert_int_equal(frame.size, SIZE - 1);
}

/* Only the line that lies across two spans is copied. */
static void test_copies_little(void **state) {
    _cleanup_reader_ struct reader r = { .ops = frame_ops(FRAMING_LINE), .limit_bytes = 100 };

    reader_feed(&r, "one\ntwo\nthr", 11);
    reader_feed(&r, "ee\nfour\nfive\n", 13);
    reader_end(&r);
    assert_int_equal(r.payloads.count, 5);
    assert_int_equal(r.copied, strlen("three\n"));
}

/* All of the line and nothing of the next one, but never much more than the limit. */
static void test_take(void **state) {
    const struct frame_ops *ops = frame_ops(FRAMING_LINE);
    static const uint8_t text[] = "0123456789\nabc\n";
    struct frame_state s = { 0 };
    struct frame frame;

    assert_int_equal(frame_next(ops, &s, text, 4, false, 100, &frame), FRAME_MORE);
    assert_int_equal(frame_take(ops, &s, 4, text + 4, 5, 100), 5);
    assert_int_equal(frame_take(ops, &s, 4, text + 4, 11, 100), 7);
    assert_int_equal(frame_take(ops, &s, 95, text, 10, 90), 3);
}

static void test_replies(void **state) {
    _cleanup_bytes_ struct bytes stream = { 0 };
    struct frame_wrap wrap;

    wrap_add(&stream, FRAMING_LINE, "abc", 3);
    wrap_add(&stream, FRAMING_LINE, NULL, 0);
    wrap_add(&stream, FRAMING_LINE, "a\rb", 3);
    wrap_add(&stream, FRAMING_LINE, "abc\r", 4);
    assert_int_equal(stream.size, 15);
    assert_memory_equal(stream.data, "abc\n\na\rb\nabc\r\r\n", 15);

    assert_int_equal(frame_wrap(frame_ops(FRAMING_LINE), "Received\n", 9, &wrap), -EBADMSG);
    assert_non_null(strstr(wrap.reason, "line feed"));
    assert_int_equal(wrap.prefix_size + wrap.suffix_size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_does_not_search_again),
        cmocka_unit_test(test_a_byte_at_a_time),
        cmocka_unit_test(test_copies_little),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
