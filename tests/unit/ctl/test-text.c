/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>

#include "text.h"

static void bytes(void **state) {
    static const struct {
        int64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0" },          { 1023, "1023" },    { 1024, "1.0K" },       { 1536, "1.5K" },
        { 10188, "9.9K" },   { 10189, "10K" },    { 65536, "64K" },       { 1047552, "1023K" },
        { 1048064, "1.0M" }, { 1048576, "1.0M" }, { 5368709120, "5.0G" }, { INT64_MAX, "8.0E" },
    };
    char buf[TEXT_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_string_equal(text_bytes(rows[i].bytes, buf), rows[i].text);
}

static void durations(void **state) {
    static const struct {
        int64_t usec;
        const char *text;
    } rows[] = {
        { 0, "0us" },          { 999, "999us" },       { 1240, "1.24ms" },       { 9999, "10.0ms" },
        { 99940, "99.9ms" },   { 250000, "250ms" },    { 999999, "1000ms" },     { 3200000, "3.2s" },
        { 59999999, "59.9s" }, { 125000000, "2m05s" }, { 11040000000, "3h04m" }, { 442800000000, "5d03h" },
    };
    char buf[TEXT_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_string_equal(text_duration(rows[i].usec, buf), rows[i].text);
}

static void rates(void **state) {
    char buf[TEXT_MAX];

    assert_string_equal(text_rate(0, buf), "0");
    assert_string_equal(text_rate(0.5, buf), "0.5");
    assert_string_equal(text_rate(12.3, buf), "12");
    assert_string_equal(text_rate(1234567.8, buf), "1234568");
}

static void escaped(const char *data, size_t size, const char *expected) {
    _cleanup_free_ char *text = text_escape(data, size);
    assert_string_equal(text, expected);
}

static void terminal_sequences_are_harmless(void **state) {
    escaped("plain text", 10, "plain text");
    escaped("a\033[31mb\nc\td\x7f", 12, "a\\x1b[31mb\\nc\\td\\x7f");
    escaped("a\0b", 3, "a\\x00b");
    escaped("", 0, "");
    /* C1 control, right-to-left override, a broken sequence */
    escaped("\xc2\x9b", 2, "\\xc2\\x9b");
    escaped("\xe2\x80\xae", 3, "\\xe2\\x80\\xae");
    escaped("\xe2\x82", 2, "\\xe2\\x82");
}

static void letters_follow_the_locale(void **state) {
    escaped("\xc3\xa9", 2, "\\xc3\\xa9");
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    escaped("\xc3\xa9", 2, "\xc3\xa9");
    escaped("\xc2\x9b", 2, "\\xc2\\x9b");
    escaped("\xe2\x80\xae", 3, "\\xe2\\x80\\xae");
    assert_int_equal(text_width("\xc3\xa9t\xc3\xa9"), 3);
    assert_int_equal(text_width("\xe6\x97\xa5"), 2);
    assert_int_equal(text_cut("\xe6\x97\xa5\xe6\x97\xa5", 3), 3);
    setlocale(LC_CTYPE, "C");
}

static void json_is_escaped_throughout(void **state) {
    json_t *v = json_pack("{s:s, s:[s,i], s:{s:s}}", "a", "x\033y", "list", "\n", 5, "o\033", "k\r", "v");
    json_t *safe = text_escape_json(v);
    json_t *expected = json_pack("{s:s, s:[s,i], s:{s:s}}", "a", "x\\x1by", "list", "\\n", 5, "o\\x1b", "k\\r", "v");

    assert_true(json_equal(safe, expected));
    json_decref(v);
    json_decref(safe);
    json_decref(expected);
}

static void widths(void **state) {
    assert_int_equal(text_width("abc"), 3);
    assert_int_equal(text_cut("abc", 2), 2);
    assert_int_equal(text_cut("abc", 9), 3);
    assert_int_equal(text_cut("abc", 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes),
        cmocka_unit_test(durations),
        cmocka_unit_test(rates),
        cmocka_unit_test(terminal_sequences_are_harmless),
        cmocka_unit_test(letters_follow_the_locale),
        cmocka_unit_test(json_is_escaped_throughout),
        cmocka_unit_test(widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
