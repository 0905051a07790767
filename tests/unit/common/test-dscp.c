/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dscp.h"

static void knows_the_registry(void **state) {
    static const struct {
        const char *text;
        int dscp;
    } names[] = {
        { "BE", 0 },    { "DF", 0 },    { "CS0", 0 },   { "LE", 1 },    { "CS1", 8 },          { "AF11", 10 },
        { "AF12", 12 }, { "AF13", 14 }, { "CS2", 16 },  { "AF21", 18 }, { "AF22", 20 },        { "AF23", 22 },
        { "CS3", 24 },  { "AF31", 26 }, { "AF32", 28 }, { "AF33", 30 }, { "CS4", 32 },         { "AF41", 34 },
        { "AF42", 36 }, { "AF43", 38 }, { "CS5", 40 },  { "VA", 44 },   { "VOICE-ADMIT", 44 }, { "NQB", 45 },
        { "EF", 46 },   { "CS6", 48 },  { "CS7", 56 },
    };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(dscp_parse(names[i].text), names[i].dscp);
    for (const char *const *name = dscp_names(); *name; name++, n++)
        assert_true(dscp_parse(*name) >= 0);
    assert_int_equal(n, ARRAY_SIZE(names));
}

static void ignores_case_and_takes_numbers(void **state) {
    assert_int_equal(dscp_parse("ef"), 46);
    assert_int_equal(dscp_parse("Voice-Admit"), 44);
    assert_int_equal(dscp_parse("46"), 46);
    assert_int_equal(dscp_parse("0x2e"), 46);
    assert_int_equal(dscp_parse("0"), 0);
    assert_int_equal(dscp_parse("63"), 63);
}

static void refuses_the_rest(void **state) {
    static const char *const bad[] = {
        "",   "64",      "-1", "EFF", "E", " EF", "EF ", "AF44", "AF10", "CS8", "1.0", "0x40", "99999999999999999999",
        "0x", "reflect", NULL
    };

    for (const char *const *text = bad; *text; text++)
        if (dscp_parse(*text) != -EINVAL)
            fail_msg("'%s' was accepted", *text);
}

static void formats_every_value(void **state) {
    for (unsigned dscp = 0; dscp < DSCP_COUNT; dscp++) {
        char buf[DSCP_TEXT_MAX];
        assert_int_equal(dscp_parse(dscp_format(dscp, buf)), dscp);
        if (dscp_name(dscp))
            assert_string_equal(buf, dscp_name(dscp));
    }
    assert_string_equal(dscp_name(0), "CS0");
    assert_string_equal(dscp_name(44), "VA");
    assert_null(dscp_name(2));
    assert_null(dscp_name(64));
}

static void splits_the_byte(void **state) {
    for (unsigned tos = 0; tos < 256; tos++)
        assert_int_equal(dscp_to_tos(dscp_from_tos((uint8_t) tos)) | ecn_from_tos((uint8_t) tos), tos);
    assert_int_equal(dscp_to_tos(46), 0xb8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_registry), cmocka_unit_test(ignores_case_and_takes_numbers),
        cmocka_unit_test(refuses_the_rest),   cmocka_unit_test(formats_every_value),
        cmocka_unit_test(splits_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
