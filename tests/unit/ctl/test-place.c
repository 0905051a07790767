/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "place.h"

#define FIND(ret, ...)                                                                                                 \
    place_find((const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), ret)

/* `expected` begins what is expected; NULL: nothing is. */
static void assert_expects(const struct place *p, const char *expected) {
    assert_false(p->option);
    if (!expected) {
        assert_null(p->expects);
        return;
    }
    assert_non_null(p->expects);
    if (strncmp(p->expects, expected, strlen(expected)) != 0)
        fail_msg("'%s' instead of '%s'", p->expects, expected);
}

static void words_follow_the_synopsis(void **state) {
    struct place p;

    place_find(NULL, 0, &p);
    assert_expects(&p, "VERB");
    FIND(&p, "st");
    assert_expects(&p, "VERB");
    assert_string_equal(p.current, "st");
    FIND(&p, "get", "");
    assert_expects(&p, "LISTENER|profile:NAME ");
    assert_null(p.first);
    FIND(&p, "get", "orders", "");
    assert_expects(&p, "SETTING");
    assert_string_equal(p.first, "orders");
    FIND(&p, "get", "orders", "dscp", "");
    assert_expects(&p, NULL);
    FIND(&p, "status", "");
    assert_expects(&p, NULL);
    FIND(&p, "nonsense", "");
    assert_expects(&p, NULL);
}

static void the_last_word_repeats_where_it_may(void **state) {
    struct place p;

    FIND(&p, "set", "orders", "dscp=EF", "nodelay=true", "t");
    assert_expects(&p, "SETTING=VALUE...");
    FIND(&p, "unset", "orders", "dscp", "nodelay", "");
    assert_expects(&p, "[SETTING...]");
}

static void options_stand_anywhere(void **state) {
    struct place p;

    FIND(&p, "--json", "get", "--timeout", "5", "orders", "");
    assert_expects(&p, "SETTING");
    FIND(&p, "set", "--fl");
    assert_true(p.option);
    assert_ptr_equal(p.verb, verb_find("set"));
    FIND(&p, "-");
    assert_true(p.option);
    FIND(&p, "close", "--", "-");
    assert_expects(&p, "[LISTENER]");
}

static void options_have_arguments(void **state) {
    struct place p;

    FIND(&p, "monitor", "--level", "de");
    assert_expects(&p, "LEVEL");
    assert_string_equal(p.current, "de");
    FIND(&p, "monitor", "--level=de");
    assert_expects(&p, "LEVEL");
    assert_string_equal(p.current, "de");
    assert_string_equal(p.word, "--level=de");
    FIND(&p, "monitor", "--json=x");
    assert_expects(&p, NULL);
    FIND(&p, "monitor", "--nonsense=x");
    assert_expects(&p, NULL);
}

static void the_control_socket_is_known(void **state) {
    struct place p;

    FIND(&p, "--control", "/a", "set", "");
    assert_string_equal(p.control, "/a");
    FIND(&p, "set", "--control=/b", "");
    assert_string_equal(p.control, "/b");
    FIND(&p, "--control", "/un");
    assert_null(p.control);
    assert_expects(&p, "PATH");
}

static void assert_alternatives(const char *synopsis, const char *expected) {
    _cleanup_free_ char *all = strdup("");
    const char *name;
    size_t length;

    while (place_alternative(&synopsis, &name, &length)) {
        char *more;

        assert_true(asprintf(&more, "%s%.*s ", all, (int) length, name) >= 0);
        free(all);
        all = more;
    }
    assert_string_equal(all, expected);
}

static void alternatives_are_told_apart(void **state) {
    assert_alternatives("[VERB|SETTING|settings]", "VERB SETTING settings ");
    assert_alternatives("LISTENER|profile:NAME SETTING", "LISTENER profile:NAME ");
    assert_alternatives("SETTING=VALUE...", "SETTING=VALUE ");
    assert_alternatives("off|zlib[:1-9]|gzip[:1-9]|auto", "off zlib gzip auto ");
    assert_alternatives("PREFIX[,PREFIX...]|none", "PREFIX none ");
    assert_alternatives("", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_follow_the_synopsis),   cmocka_unit_test(the_last_word_repeats_where_it_may),
        cmocka_unit_test(options_stand_anywhere),      cmocka_unit_test(options_have_arguments),
        cmocka_unit_test(the_control_socket_is_known), cmocka_unit_test(alternatives_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
