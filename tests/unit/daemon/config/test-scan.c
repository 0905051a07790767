/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "scan.h"

static const struct scan_budget plenty = { 1000, 1000 };

/* Scans text without a fault and tells what was found: "i" an integer, "w" too wide, "z" a leading zero, then the lines
 * of strings. */
static void expect(const char *text, const char *expected) {
    static const char letters[] = { [SCAN_SURE] = 'i', [SCAN_TOO_WIDE] = 'w', [SCAN_LEADING_ZERO] = 'z' };
    struct scan_budget budget = plenty;
    struct scan scan = { 0 };
    const char *reason = "";
    char found[256];
    size_t n = 0;
    unsigned line;

    int r = scan_text(text, strlen(text), &budget, &scan, &line, &reason);
    assert_string_equal(reason, "");
    assert_int_equal(r, 0);
    for (size_t i = 0; i < scan.n_integers; i++)
        found[n++] = letters[scan.integers[i]];
    found[n] = '\0';
    for (size_t i = 0; i < scan.n_strings; i++)
        n += (size_t) snprintf(found + n, sizeof(found) - n, " %u", scan.string_lines[i]);
    scan_done(&scan);
    assert_string_equal(found, expected);
}

static void expect_refused_bytes(const char *text, size_t size, unsigned expected_line, const char *expected) {
    struct scan_budget budget = { 3, 3 };
    struct scan scan = { 0 };
    const char *reason = "";
    unsigned line = 0;

    assert_int_equal(scan_text(text, size, &budget, &scan, &line, &reason), -EINVAL);
    assert_string_equal(reason, expected);
    assert_int_equal(line, expected_line);
    assert_null(scan.integers);
    assert_null(scan.string_lines);
}

static void expect_refused(const char *text, unsigned line, const char *expected) {
    expect_refused_bytes(text, strlen(text), line, expected);
}

static void test_integers_of_32_bits(void **state) {
    expect("a = 0 b = -1 c = +7 d = 2147483647 e = -2147483648", "iiiii");
    expect("a = 2147483648", "w");
    expect("a = -2147483649", "w");
    expect("a = 10000000000", "w");
    expect("a = 99999999999999999999999999", "w");
}

static void test_integers_with_suffix(void **state) {
    expect("a = 10000000000L b = 9223372036854775807LL", "ii");
    expect("a = 9223372036854775808L", "w");
    expect("a = -9223372036854775809L", "w");
}

static void test_hex(void **state) {
    expect("a = 0xb8 b = 0XFFFFFFFF c = 0x7fffffffffffffffL", "iii");
    expect("a = 0x100000000", "w");
    expect("a = 0x8000000000000000L", "w");
    expect("a = 0x00000000000b8", "i");
}

static void test_leading_zero(void **state) {
    expect("a = 010", "z");
    expect("a = -007", "z");
    expect("a = 00", "z");
}

/* The token ends where libconfig ends it, not at the next space. */
static void test_numbers_without_space(void **state) {
    expect("a=10000000000b=1", "wi");
    expect("a=1b2=-0x10", "ii");
    expect("a=[1,2,10000000000]", "iiw");
}

static void test_what_is_no_integer(void **state) {
    expect("a = 1.5 b = .5 c = 10000000000.0 d = 1e10 e = 10000000000E-3 f = 1.e5", "");
    expect("a10000000000 = true; b-10000000000 = \"10000000000\"; # 10000000000", " 1");
    expect("/* 10000000000 */ // 10000000000\n# 10000000000", "");
    expect("+ - . e", "");
}

static void test_lines_of_strings(void **state) {
    expect("a = \"x\";\nb = [\n\"y\",\n\"z\"\n];\n", " 1 3 4");
    expect("a = \"x\ny\"\n\"z\", \"\"\n", " 1 3");
    expect("a = \"x\" /* \n */ # \"\n \"y\" b = \"z\"", " 1 3");
    expect("a = \"q\\\"\\\\\"; b = \"\\x41\\x0a\"", " 1 1");
}

static void test_include(void **state) {
    expect_refused("a = 1;\n  @include \"/etc/passwd\"\n", 2,
                   "@include is not supported, put the other file among the drop-ins");
    expect("a = \"\n@include \\\"x\\\"\n\";\n# @include \"x\"\n/*\n@include \"x\"\n*/", " 1");
}

static void test_nul_bytes(void **state) {
    expect_refused_bytes("a = 1;\n\0b", 9, 2, "not a text file, there is a NUL byte");
    expect_refused("a =\n\"x\\x00y\"", 2, "a string cannot hold a NUL byte");
    expect("a = \"\\\\x00\"", " 1");
}

static void test_what_is_not_closed(void **state) {
    expect_refused("a = 1;\n/* x\n\n", 2, "the comment that begins here is not closed");
    expect_refused("a = 1;\n/*/\n", 2, "the comment that begins here is not closed");
    expect_refused("a = 1;\n\nb = \"x\\\"\n\n", 3, "the string that begins here is not closed");
    expect_refused("\"\\", 1, "the string that begins here is not closed");
}

static void test_depth(void **state) {
    expect("a = {{{{{{{{ }}}}}}}}; b = [[[[[[[[ ]]]]]]]] ((((((((", "");
    expect("} } } ] )", "");
    expect_refused("a =\n{{{{([[[{", 2, "nested too deeply");
}

static void test_budget(void **state) {
    expect_refused("a = 1; b : 2; c = 3;\nd = 4;", 2, "too many keys");
    expect_refused("a = [ 1, 2,\n3, 4,\n5 ]", 2, "too many elements");
}

static void test_keys_of_one_group(void **state) {
    struct scan_budget budget = { SCAN_KEYS_MAX, 0 };
    struct scan scan;
    const char *reason;
    unsigned line;
    char text[8 * SCAN_GROUP_KEYS_MAX], *end = stpcpy(text, "a={");

    for (int i = 0; i < SCAN_GROUP_KEYS_MAX; i++)
        end = stpcpy(end, "b=1;");
    strcpy(end, "}\nc={d=1}");
    assert_int_equal(scan_text(text, strlen(text), &budget, &scan, &line, &reason), 0);
    scan_done(&scan);
    strcpy(end, "\nb=1;");
    assert_int_equal(scan_text(text, strlen(text), &budget, &scan, &line, &reason), -EINVAL);
    assert_string_equal(reason, "too many keys in one group");
    assert_int_equal(line, 2);
}

static void test_budget_is_shared(void **state) {
    struct scan_budget budget = { 3, 0 };
    struct scan scan;
    const char *reason;
    unsigned line;

    assert_int_equal(scan_text("a=1 b=2", 7, &budget, &scan, &line, &reason), 0);
    scan_done(&scan);
    assert_int_equal(scan_text("a=1 b=2", 7, &budget, &scan, &line, &reason), -EINVAL);
    assert_string_equal(reason, "too many keys");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_of_32_bits),
        cmocka_unit_test(test_integers_with_suffix),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_leading_zero),
        cmocka_unit_test(test_numbers_without_space),
        cmocka_unit_test(test_what_is_no_integer),
        cmocka_unit_test(test_lines_of_strings),
        cmocka_unit_test(test_include),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_what_is_not_closed),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_keys_of_one_group),
        cmocka_unit_test(test_budget_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
