/* SPDX-License-Identifier: MIT */
#include "reader.h"

static void test_each_span_is_a_payload(void **state) {
    _cleanup_reader_ struct reader r = { .ops = frame_ops(FRAMING_CHUNK), .limit_bytes = 10 };
    _cleanup_payloads_ struct payloads want = { 0 };

    reader_feed(&r, "a\nb", 3);
    reader_feed(&r, "", 0);
    reader_feed(&r, "\0", 1);
    reader_feed(&r, "0123456789", 10);
    reader_end(&r);
    payloads_add(&want, "a\nb", 3);
    payloads_add(&want, "\0", 1);
    payloads_add(&want, "0123456789", 10);
    assert_payloads(&r.payloads, &want);
    assert_int_equal(r.result, FRAME_END);
    assert_int_equal(r.copied, 0);
}

static void test_cut_at_the_limit(void **state) {
    _cleanup_reader_ struct reader r = { .ops = frame_ops(FRAMING_CHUNK), .limit_bytes = 4 };
    _cleanup_payloads_ struct payloads want = { 0 };

    reader_feed(&r, "0123456789", 10);
    reader_end(&r);
    payloads_add(&want, "0123", 4);
    payloads_add(&want, "4567", 4);
    payloads_add(&want, "89", 2);
    assert_payloads(&r.payloads, &want);
    assert_int_equal(r.result, FRAME_END);
}

static void test_replies_are_bare(void **state) {
    _cleanup_bytes_ struct bytes stream = { 0 };

    wrap_add(&stream, FRAMING_CHUNK, "one\n", 4);
    wrap_add(&stream, FRAMING_CHUNK, NULL, 0);
    wrap_add(&stream, FRAMING_CHUNK, "two", 3);
    assert_int_equal(stream.size, 7);
    assert_memory_equal(stream.data, "one\ntwo", 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_span_is_a_payload),
        cmocka_unit_test(test_cut_at_the_limit),
        cmocka_unit_test(test_replies_are_bare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
