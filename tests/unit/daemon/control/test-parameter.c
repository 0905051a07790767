/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parameter.h"

struct request {
    const char *name, *other;
    bool flag;
    const json_t *list, *map;
};

static const struct parameter table[] = {
    PARAMETER(struct request, name, PARAMETER_STRING, true),
    PARAMETER(struct request, other, PARAMETER_STRING, false),
    PARAMETER(struct request, flag, PARAMETER_BOOL, false),
    PARAMETER(struct request, list, PARAMETER_STRING_LIST, false),
    PARAMETER(struct request, map, PARAMETER_STRING_MAP, false),
    PARAMETERS_END,
};

static void test_reads_every_type(_unused_ void **state) {
    json_t *j = json_loads(
            "{\"name\":\"a\",\"other\":\"b\",\"flag\":true,\"list\":[\"x\",\"y\"],\"map\":{\"k\":\"v\"}}", 0, NULL);
    struct request r = { 0 };

    assert_null(parameters_read(j, table, &r));
    assert_string_equal(r.name, "a");
    assert_string_equal(r.other, "b");
    assert_true(r.flag);
    assert_int_equal(json_array_size(r.list), 2);
    assert_string_equal(json_string_value(json_object_get(r.map, "k")), "v");
    json_decref(j);
}

static void test_optional_ones_may_be_absent_or_null(_unused_ void **state) {
    json_t *j = json_loads("{\"name\":\"a\",\"other\":null,\"list\":null}", 0, NULL);
    struct request r = { 0 };

    assert_null(parameters_read(j, table, &r));
    assert_null(r.other);
    assert_false(r.flag);
    assert_null(r.list);
    assert_null(r.map);
    json_decref(j);
}

static void test_names_the_fault(_unused_ void **state) {
    static const struct {
        const char *json, *fault;
    } cases[] = {
        { "{\"other\":\"b\"}", "name" },
        { "{\"name\":null}", "name" },
        { "{\"name\":1}", "name" },
        { "{\"name\":\"a\",\"flag\":\"true\"}", "flag" },
        { "{\"name\":\"a\",\"flag\":1}", "flag" },
        { "{\"name\":\"a\",\"list\":\"x\"}", "list" },
        { "{\"name\":\"a\",\"list\":[\"x\",1]}", "list" },
        { "{\"name\":\"a\",\"list\":[null]}", "list" },
        { "{\"name\":\"a\",\"map\":[]}", "map" },
        { "{\"name\":\"a\",\"map\":{\"k\":1}}", "map" },
        { "{\"name\":\"a\",\"nmae\":\"b\"}", "nmae" },
        { "{\"name\":\"a\",\"nmae\":null}", "nmae" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *j = json_loads(cases[i].json, 0, NULL);
        struct request r = { 0 };

        assert_non_null(j);
        assert_string_equal(parameters_read(j, table, &r), cases[i].fault);
        json_decref(j);
    }
}

static void test_no_parameters(_unused_ void **state) {
    json_t *j = json_loads("{\"name\":\"a\"}", 0, NULL);
    struct request r = { 0 };

    assert_null(parameters_read(NULL, NULL, NULL));
    assert_string_equal(parameters_read(j, NULL, NULL), "name");
    assert_string_equal(parameters_read(NULL, table, &r), "name");
    json_decref(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_every_type),
        cmocka_unit_test(test_optional_ones_may_be_absent_or_null),
        cmocka_unit_test(test_names_the_fault),
        cmocka_unit_test(test_no_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
