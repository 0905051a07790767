/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "config.h"

static void expect_format(const struct config_where *where, const char *key, const char *text, const char *expected) {
    struct config_faults faults = { 0 };

    config_faults_add(&faults, where, key, "%s", text);
    assert_int_equal(faults.n, 1);
    _cleanup_free_ char *line = config_fault_format(&faults.items[0]);
    assert_string_equal(line, expected);
    config_faults_done(&faults);
    assert_int_equal(faults.n, 0);
}

static void test_format(void **state) {
    expect_format(&(struct config_where){ "/f", 3 }, "listeners.a", "wrong", "/f:3: listeners.a: wrong");
    expect_format(&(struct config_where){ "/f", 0 }, "listeners.a", "wrong", "/f: listeners.a: wrong");
    expect_format(&(struct config_where){ "/f", 3 }, NULL, "wrong", "/f:3: wrong");
    expect_format(&(struct config_where){ "/f", 0 }, NULL, "wrong", "/f: wrong");
}

/* Faults end up on terminals, in the journal and in JSON. */
static void test_hostile_text(void **state) {
    const struct config_where f = { "/f", 0 };

    expect_format(&f, NULL, "a\nb\033[2J\x7f", "/f: a?b?[2J?");
    expect_format(&f, "k\n", "x", "/f: k?: x");
    expect_format(&(struct config_where){ "/f\n\xff", 0 }, NULL, "x", "/f??: x");
    expect_format(&f, NULL, "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "/f: \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
    expect_format(&f, NULL, "\xff\x80 \xc3 \xe2\x82", "/f: ?? ? ??");
    expect_format(&f, NULL, "\xc0\xaf \xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80", "/f: ?? ??? ??? ????");
}

static void test_long_text(void **state) {
    const struct config_where where = { "/f", 1 };
    struct config_faults faults = { 0 };
    char text[2000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    config_faults_add(&faults, &where, text, "%s", text);
    assert_int_equal(faults.n, 1);
    assert_int_equal(strlen(faults.items[0].text), 512);
    assert_string_equal(faults.items[0].text + 500, "xxxxxxxxx...");
    assert_int_equal(strlen(faults.items[0].key), 512);
    config_faults_done(&faults);
}

static void test_limit(void **state) {
    struct config_faults faults = { 0 };

    for (unsigned i = 1; i <= CONFIG_FAULTS_MAX; i++)
        config_faults_add(&faults, &(struct config_where){ "/f", i }, NULL, "wrong");
    assert_int_equal(faults.n, CONFIG_FAULTS_MAX);
    assert_string_equal(faults.items[CONFIG_FAULTS_MAX - 1].text, "wrong");
    for (unsigned i = 0; i < 3; i++)
        config_faults_add(&faults, &(struct config_where){ "/g", i }, "key", "wrong");
    assert_int_equal(faults.n, CONFIG_FAULTS_MAX);
    _cleanup_free_ char *line = config_fault_format(&faults.items[CONFIG_FAULTS_MAX - 1]);
    assert_string_equal(line, "/g: more than 199 faults, the others are left out");
    assert_int_equal(faults.items[CONFIG_FAULTS_MAX - 2].line, CONFIG_FAULTS_MAX - 1);
    config_faults_done(&faults);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
