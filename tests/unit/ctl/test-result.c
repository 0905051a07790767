/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "result.h"

static json_t *key(const char *outcome, int applied, int deferred, int failed) {
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "setting", "dscp", "outcome", outcome, "requested", "EF",
                     "applied", applied, "deferred", deferred, "failed", failed, "not_applicable", 0);
}

static void status_of(json_t *first, json_t *second, enum status expected) {
    json_t *keys = json_pack("[o, o*]", first, second);
    assert_int_equal(result_status(keys), expected);
    json_decref(keys);
}

static void exit_status(void **state) {
    status_of(key("applied", 3, 0, 0), NULL, STATUS_DONE);
    status_of(key("deferred", 0, 3, 0), NULL, STATUS_DONE);
    status_of(key("not_applicable", 0, 0, 0), NULL, STATUS_DONE);
    status_of(key("failed", 0, 0, 3), NULL, STATUS_FAILED);
    status_of(key("failed", 1, 0, 3), NULL, STATUS_PARTLY);
    status_of(key("applied", 2, 0, 1), NULL, STATUS_PARTLY);
    status_of(key("applied", 2, 0, 0), key("failed", 0, 0, 1), STATUS_PARTLY);
    status_of(key("not_applicable", 0, 0, 0), key("failed", 0, 0, 1), STATUS_FAILED);
    assert_int_equal(result_status(NULL), STATUS_DONE);
}

static char *print(json_t *keys) {
    char *text = NULL;
    size_t size;
    struct output o = { .file = open_memstream(&text, &size) };

    assert_int_equal(result_print(&o, keys), 0);
    fclose(o.file);
    json_decref(keys);
    return text;
}

static void requested_against_effective(void **state) {
    json_t *k = key("applied", 12, 0, 0);
    json_object_set_new(k, "old", json_string("CS0"));
    json_object_set_new(
            k, "effective",
            json_pack("[{s:s,s:i},{s:s,s:i}]", "value", "416K", "sockets", 10, "value", "208K", "sockets", 2));
    json_object_set_new(k, "reason", json_string("capped by net.core.rmem_max"));
    json_object_set_new(k, "remedy", json_string("raise it"));

    _cleanup_free_ char *text = print(json_pack("[o]", k));
    assert_string_equal(text, "SETTING  RESULT   BEFORE  REQUESTED  EFFECTIVE            SOCKETS\n"
                              "dscp     applied  CS0     EF         416K (10), 208K (2)  12 applied\n"
                              "dscp: capped by net.core.rmem_max; try: raise it\n");
}

static void failures_name_the_error(void **state) {
    json_t *k = key("failed", 0, 0, 2);
    json_object_set_new(k, "errno", json_string("EPERM"));

    _cleanup_free_ char *text = print(json_pack("[o]", k));
    assert_non_null(strstr(text, "failed"));
    assert_non_null(strstr(text, "2 failed\n"));
    assert_non_null(strstr(text, "dscp: (EPERM)\n"));
}

static void unknown_outcomes_are_shown(void **state) {
    _cleanup_free_ char *text = print(json_pack("[o]", key("postponed", 0, 0, 0)));
    assert_non_null(strstr(text, "dscp     postponed  -       EF         -          none\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status),
        cmocka_unit_test(requested_against_effective),
        cmocka_unit_test(failures_name_the_error),
        cmocka_unit_test(unknown_outcomes_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
