/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event.h"

static void test_names_round_trip(void **state) {
    assert_string_equal(event_level_name(LOG_EMERG), "emerg");
    assert_string_equal(event_level_name(LOG_WARNING), "warning");
    assert_string_equal(event_level_name(LOG_DEBUG), "debug");
    for (int level = LOG_EMERG; level <= LOG_DEBUG; level++) {
        const char digit[] = { (char) ('0' + level), '\0' };

        assert_int_equal(event_level_parse(event_level_name(level)), level);
        assert_int_equal(event_level_parse(digit), level);
    }
}

static void test_not_a_level(void **state) {
    static const char *const texts[] = { "", "8", "-1", "10", "07", "INFO", "information", "inf", " info" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(event_level_parse(texts[i]), -EINVAL);
}

static void test_enabled_follows_level(void **state) {
    event_set_level(LOG_WARNING);
    assert_true(event_enabled(EVENT_START_FAILED));
    assert_true(event_enabled(EVENT_ACCESS_DENIED));
    assert_false(event_enabled(EVENT_DAEMON_READY));
    event_set_level(LOG_DEBUG);
    assert_true(event_enabled(EVENT_FLOW_OPENED));
    assert_int_equal(event_level(), LOG_DEBUG);
}

static void test_level_stays_in_range(void **state) {
    event_set_level(100);
    assert_int_equal(event_level(), LOG_DEBUG);
    event_set_level(-100);
    assert_int_equal(event_level(), LOG_EMERG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_round_trip),
        cmocka_unit_test(test_not_a_level),
        cmocka_unit_test(test_enabled_follows_level),
        cmocka_unit_test(test_level_stays_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
