/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "args.h"

/* Parses a command line given as words; the first is the program. */
#define PARSE(ret, reason, ...)                                                                                        \
    ({                                                                                                                 \
        const char *argv_[] = { "sockqctl", __VA_ARGS__ };                                                             \
        args_parse(ARRAY_SIZE(argv_), argv_, ret, reason);                                                             \
    })

static void options_stand_anywhere(void **state) {
    _cleanup_(args_done) struct args a = { 0 };
    char *reason = NULL;

    assert_int_equal(
            PARSE(&a, &reason, "--json", "set", "--flow", "0.1.2", "orders", "dscp=EF", "--control=/x", "mark=1"), 0);
    assert_string_equal(a.verb, "set");
    assert_int_equal(a.n_words, 3);
    assert_string_equal(a.words[0], "orders");
    assert_string_equal(a.words[1], "dscp=EF");
    assert_string_equal(a.words[2], "mark=1");
    assert_non_null(a.option[OPTION_JSON]);
    assert_string_equal(a.option[OPTION_FLOW], "0.1.2");
    assert_string_equal(a.option[OPTION_CONTROL], "/x");
    assert_null(a.option[OPTION_NEW_ONLY]);
}

static void dashes_end_options(void **state) {
    _cleanup_(args_done) struct args a = { 0 };
    char *reason = NULL;

    assert_int_equal(PARSE(&a, &reason, "get", "--", "--json", "-"), 0);
    assert_null(a.option[OPTION_JSON]);
    assert_int_equal(a.n_words, 2);
    assert_string_equal(a.words[0], "--json");
}

static void option_argument_may_look_like_option(void **state) {
    _cleanup_(args_done) struct args a = { 0 };
    char *reason = NULL;

    assert_int_equal(PARSE(&a, &reason, "send", "--text", "--json", "-h"), 0);
    assert_string_equal(a.option[OPTION_TEXT], "--json");
    assert_null(a.option[OPTION_JSON]);
    assert_non_null(a.option[OPTION_HELP]);
}

static void nothing_is_no_verb(void **state) {
    _cleanup_(args_done) struct args a = { 0 };
    char *reason = NULL;

    assert_int_equal(args_parse(1, (const char *[]){ "sockqctl" }, &a, &reason), 0);
    assert_null(a.verb);
}

static void refused(const char *first, const char *second, const char *expected) {
    struct args a = { 0 };
    _cleanup_free_ char *reason = NULL;
    const char *argv[] = { "sockqctl", first, second };

    assert_int_equal(args_parse(second ? 3 : 2, argv, &a, &reason), -EINVAL);
    assert_string_equal(reason, expected);
    assert_null(a.words);
}

static void wrong_options_are_explained(void **state) {
    refused("--jsno", NULL, "unknown option --jsno, did you mean --json?");
    refused("--zzzzzz", NULL, "unknown option --zzzzzz");
    refused("-x", NULL, "unknown option -x");
    refused("-hx", NULL, "unknown option -hx");
    refused("--json=1", NULL, "--json takes no value");
    refused("--flow", NULL, "--flow needs ID");
    refused("--json", "--json", "--json is given twice");
}

static void durations(void **state) {
    static const struct {
        const char *text;
        int64_t usec;
    } good[] = { { "2", 2000000 }, { "0.5", 500000 }, { "0", 0 }, { "200ms", 200000 }, { "1m", 60000000 } };
    static const char *const bad[] = { "", "x", "-1", "1x", "1e3", "2 s x", "99999999999999999999999999999999999" };
    int64_t usec;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(args_duration(good[i].text, &usec), 0);
        assert_int_equal(usec, good[i].usec);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(args_duration(bad[i], &usec) < 0);
}

static void settings_are_split_at_the_first_equals_sign(void **state) {
    static const char *const words[] = { "dscp=EF", "allow=", "x=a=b" };
    _cleanup_free_ char *reason = NULL;
    json_t *settings = NULL;

    assert_int_equal(args_settings(words, ARRAY_SIZE(words), &settings, &reason), 0);
    assert_string_equal(json_string_value(json_object_get(settings, "dscp")), "EF");
    assert_string_equal(json_string_value(json_object_get(settings, "allow")), "");
    assert_string_equal(json_string_value(json_object_get(settings, "x")), "a=b");
    json_decref(settings);
}

static void settings_refused(const char *first, const char *second, const char *expected) {
    const char *words[] = { first, second };
    _cleanup_free_ char *reason = NULL;
    json_t *settings = NULL;

    assert_int_equal(args_settings(words, second ? 2 : 1, &settings, &reason), -EINVAL);
    assert_string_equal(reason, expected);
    assert_null(settings);
}

static void wrong_settings_are_explained(void **state) {
    settings_refused("dscp", NULL, "'dscp' is not SETTING=VALUE");
    settings_refused("=EF", NULL, "'=EF' is not SETTING=VALUE");
    settings_refused("dscp=EF", "dscp=CS1", "dscp is given twice");
    settings_refused("dscp=\xff", NULL, "'dscp=\xff' is not valid UTF-8");
    settings_refused("\xff=1", NULL, "'\xff=1' is not valid UTF-8");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(dashes_end_options),
        cmocka_unit_test(option_argument_may_look_like_option),
        cmocka_unit_test(nothing_is_no_verb),
        cmocka_unit_test(wrong_options_are_explained),
        cmocka_unit_test(durations),
        cmocka_unit_test(settings_are_split_at_the_first_equals_sign),
        cmocka_unit_test(wrong_settings_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
