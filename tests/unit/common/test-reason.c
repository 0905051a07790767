/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "reason.h"

static void quotes_only_what_a_terminal_can_bear(void **state) {
    char buf[REASON_QUOTE_MAX], text[1000];

    assert_string_equal(reason_quote("EFF", buf), "'EFF'");
    assert_string_equal(reason_quote("", buf), "''");
    assert_string_equal(reason_quote("a\n[2J\177b\xc3\xa4", buf), "'a?[2J?b?"
                                                                  "?'");

    for (size_t n = 50; n < 100; n++) {
        memset(text, 'x', n);
        text[n] = '\0';
        reason_quote(text, buf);
        assert_true(strlen(buf) < REASON_QUOTE_MAX);
        if (strlen(buf) != n + 2)
            assert_string_equal(buf + strlen(buf) - 5, "x...'");
    }
}

static void keeps_the_error(void **state) {
    _cleanup_free_ char *reason = NULL;

    assert_int_equal(reason_set(&reason, -ERANGE, "%s is %d", "x", 9), -ERANGE);
    assert_string_equal(reason, "x is 9");
    assert_int_equal(reason_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_only_what_a_terminal_can_bear),
        cmocka_unit_test(keeps_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
