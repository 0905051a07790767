/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "escape.h"
#include "macro.h"

static void test_escapes(void **state) {
    static const struct row {
        const char *text;
        size_t n;
        const char *shown;
    } rows[] = {
#define ROW(text, shown) { text, sizeof(text) - 1, shown }
        ROW("", ""),
        ROW("plain \"text\" 'x'", "plain \"text\" 'x'"),
        ROW("Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80", "Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x98\x80"),
        ROW("a\nb\rc\td", "a\\nb\\rc\\td"),
        ROW("\a\b\f\v\\", "\\a\\b\\f\\v\\\\"),
        ROW("\x1b[31m", "\\x1b[31m"),
        ROW("nul\0in", "nul\\x00in"),
        ROW("\x7f", "\\x7f"),
        ROW("\xc2\x85", "\\xc2\\x85"),                   /* C1: next line */
        ROW("\xff\xfe", "\\xff\\xfe"),                   /* never UTF-8 */
        ROW("\xc0\xaf", "\\xc0\\xaf"),                   /* overlong */
        ROW("\xed\xa0\x80", "\\xed\\xa0\\x80"),          /* surrogate */
        ROW("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"), /* above U+10FFFF */
        ROW("\xe2\x82", "\\xe2\\x82"),                   /* cut short */
        ROW("\x80ok", "\\x80ok"),
#undef ROW
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char buf[64];

        assert_int_equal(escape_text(buf, sizeof(buf), rows[i].text, rows[i].n), strlen(rows[i].shown));
        assert_string_equal(buf, rows[i].shown);
    }
}

static void test_cut_keeps_units_whole(void **state) {
    char buf[8];

    assert_int_equal(escape_text(buf, sizeof(buf), "1234567", 7), 7);
    assert_string_equal(buf, "1234567");
    assert_int_equal(escape_text(buf, sizeof(buf), "12345678", 8), 7);
    assert_string_equal(buf, "1234...");
    escape_text(buf, sizeof(buf), "123\xe2\x82\xac\xe2\x82\xac", 9);
    assert_string_equal(buf, "123...");
    escape_text(buf, sizeof(buf), "1\x01\x02", 3);
    assert_string_equal(buf, "1...");
    escape_text(buf, 4, "\x01", 1);
    assert_string_equal(buf, "...");
}

static void test_cut_of_plain_text(void **state) {
    assert_int_equal(escape_cut("abc", 3, 8), 3);
    assert_int_equal(escape_cut("abcdef", 6, 4), 4);
    assert_int_equal(escape_cut("ab\xe2\x82\xac", 5, 4), 2);
    assert_int_equal(escape_cut("ab\xe2\x82\xac", 5, 3), 2);
    assert_int_equal(escape_cut("ab\xe2\x82\xac", 5, 5), 5);
    assert_int_equal(escape_cut("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 6), 6);
    assert_int_equal(escape_cut("\x80\x80\x80", 3, 1), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_cut_keeps_units_whole),
        cmocka_unit_test(test_cut_of_plain_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
