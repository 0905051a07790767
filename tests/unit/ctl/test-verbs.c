/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "verb.h"

static int check(const char *verb, size_t n_words, int option, char **ret_reason) {
    static const char *words[] = { "a", "b", "c" };
    struct args a = { .verb = verb, .words = words, .n_words = n_words };

    if (option >= 0)
        a.option[option] = "x";
    return verb_check(verb_find(verb), &a, ret_reason);
}

static void refused(const char *verb, size_t n_words, int option, const char *expected) {
    _cleanup_free_ char *reason = NULL;

    assert_int_equal(check(verb, n_words, option, &reason), -EINVAL);
    assert_string_equal(reason, expected);
}

static void words_and_options_are_checked(void **state) {
    char *reason = NULL;

    assert_int_equal(check("get", 2, OPTION_JSON, &reason), 0);
    assert_int_equal(check("set", 3, OPTION_NEW_ONLY, &reason), 0);
    assert_int_equal(check("status", 0, OPTION_CONTROL, &reason), 0);
    refused("get", 1, -1, "get needs LISTENER|profile:NAME SETTING");
    refused("get", 3, -1, "get does not take 'c'");
    refused("status", 0, OPTION_WATCH, "status does not take --watch");
    refused("flows", 0, OPTION_NEW_ONLY, "flows does not take --new-only");
    refused("status", 1, -1, "status does not take 'a'");
}

static void mistyped_verbs_get_a_suggestion(void **state) {
    assert_null(verb_find("staus"));
    assert_string_equal(verb_suggest("staus"), "status");
    assert_string_equal(verb_suggest("mointor"), "monitor");
    assert_null(verb_suggest("frobnicate"));
}

/* The help is made from the rows: nothing may be missing or too wide for 80 columns. */
static void rows_are_complete(void **state) {
    const struct verb *v;

    for (size_t i = 0; (v = verb_row(i)); i++) {
        assert_ptr_equal(verb_find(v->name), v);
        assert_non_null(v->run);
        assert_true(*v->help && strlen(v->help) < 58);
        assert_true(v->words_min <= v->words_max);
        for (const char *line = v->details; *line;) {
            size_t length = strcspn(line, "\n");
            if (length > 80)
                fail_msg("%s: '%.*s' is too wide", v->name, (int) length, line);
            line += length + (line[length] == '\n');
        }
    }
    for (int i = 0; i < OPTION_MAX; i++)
        assert_true(option_row(i)->name && *option_row(i)->help);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_options_are_checked),
        cmocka_unit_test(mistyped_verbs_get_a_suggestion),
        cmocka_unit_test(rows_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
