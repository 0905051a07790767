/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "field.h"
#include <cmocka.h>

static void absent_and_mistyped_fields_read_as_empty(void **state) {
    json_t *o = json_pack("{s:s, s:i, s:n}", "text", "x", "number", 7, "nothing");

    assert_string_equal(field_text(o, "text"), "x");
    assert_string_equal(field_text(o, "number"), "");
    assert_string_equal(field_text(o, "absent"), "");
    assert_string_equal(field_text(NULL, "text"), "");
    assert_int_equal(field_number(o, "number"), 7);
    assert_int_equal(field_number(o, "text"), 0);
    assert_true(field_has(o, "text"));
    assert_false(field_has(o, "nothing"));
    assert_false(field_has(o, "absent"));
    json_decref(o);
}

static void joined(json_t *o, const char *expected) {
    _cleanup_free_ char *text = field_join(o, "a", ", ");
    assert_string_equal(text, expected);
    json_decref(o);
}

static void lists_are_joined(void **state) {
    joined(json_pack("{s:[s,s]}", "a", "x", "y"), "x, y");
    joined(json_pack("{s:[]}", "a"), "");
    joined(json_object(), "");
    joined(json_pack("{s:s}", "a", "no list"), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_and_mistyped_fields_read_as_empty),
        cmocka_unit_test(lists_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
