/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "suggest.h"

static const char *const words[] = { "receive_buffer", "send_buffer", "dscp", "tos", "nodelay", "EF", "AF41", NULL };

static void finds_slips(void **state) {
    static const char *const slips[][2] = {
        { "recieve_buffer", "receive_buffer" },
        { "recv_buffer", "receive_buffer" },
        { "send_bufer", "send_buffer" },
        { "sendbuffer", "send_buffer" },
        { "DSCP", "dscp" },
        { "dcsp", "dscp" },
        { "dscpp", "dscp" },
        { "no_delay", "nodelay" },
        { "EFF", "EF" },
        { "FE", "EF" },
        { "E", "EF" },
        { "af4", "AF41" },
        { "tos", "tos" },
    };

    for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
        const char *near = suggest_near(slips[i][0], words);
        assert_non_null(near);
        assert_string_equal(near, slips[i][1]);
    }
}

static void stays_silent_when_nothing_is_near(void **state) {
    static const char *const far[] = { "", "x", "ttl", "compression", "12", "congestion", "XX", NULL };

    for (const char *const *word = far; *word; word++)
        if (suggest_near(*word, words))
            fail_msg("'%s' gave '%s'", *word, suggest_near(*word, words));
    assert_null(suggest_near("dscp", (const char *const[]){ NULL }));
}

static void prefers_the_nearest(void **state) {
    assert_string_equal(suggest_near("timeout", (const char *const[]){ "timeoutXX", "timeouts", "timeou", NULL }),
                        "timeouts");
}

static void bounds_long_words(void **state) {
    char longest[66], near[65];

    memset(longest, 'a', 65);
    longest[65] = '\0';
    memset(near, 'a', 64);
    near[64] = '\0';
    assert_null(suggest_near(longest, (const char *const[]){ near, NULL }));
    /* A candidate of that length is passed over, not read past. */
    assert_null(suggest_near(near, (const char *const[]){ longest, NULL }));
    near[63] = 'b';
    longest[64] = '\0';
    assert_string_equal(suggest_near(near, (const char *const[]){ longest, NULL }), longest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_slips),
        cmocka_unit_test(stays_silent_when_nothing_is_near),
        cmocka_unit_test(prefers_the_nearest),
        cmocka_unit_test(bounds_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
