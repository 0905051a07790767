/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build.h"

static void check_bytes(const void *data, size_t size, const char *expected) {
    json_t *j = build_bytes(data, size);

    assert_non_null(j);
    assert_string_equal(json_string_value(j), expected);
    json_decref(j);
}

static void test_any_bytes_become_text(_unused_ void **state) {
    char all[256];
    json_t *j;

    check_bytes("plain", 5, "plain");
    check_bytes("", 0, "");
    check_bytes("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    check_bytes("a\xff", 2, "a\\xff");
    check_bytes("a\0b", 3, "a\\x00b");
    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (char) i;
    j = build_bytes(all, sizeof(all));
    assert_non_null(j);
    json_decref(j);
}

static void test_null_passes_through(_unused_ void **state) {
    assert_null(build_text(NULL));
    assert_null(build_owned(NULL));
    assert_null(build_add(NULL, json_integer(1)));
    assert_null(build_add(json_array(), NULL));
    assert_null(build_member(NULL, "k", json_integer(1)));
    assert_null(build_member(json_object(), "k", NULL));
}

static void test_large_numbers_stay_positive(_unused_ void **state) {
    json_t *j = build_number(UINT64_MAX);

    assert_int_equal(json_integer_value(j), INT64_MAX);
    json_decref(j);
}

static void test_lists(_unused_ void **state) {
    static const char *const texts[] = { "a", "b", NULL };
    json_t *j = build_texts(texts), *empty = build_texts(NULL);

    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(json_string_value(json_array_get(j, 1)), "b");
    assert_int_equal(json_array_size(empty), 0);
    json_decref(j);
    json_decref(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_bytes_become_text),
        cmocka_unit_test(test_null_passes_through),
        cmocka_unit_test(test_large_numbers_stay_positive),
        cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
