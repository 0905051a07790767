/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event.h"

static void test_message_ids(void **state) {
    for (enum event_kind kind = 0; kind < EVENT_KIND_MAX; kind++) {
        const char *id = event_message_id(kind);

        assert_int_equal(strlen(id), 32);
        assert_int_equal(strspn(id, "0123456789abcdef"), 32);
        for (enum event_kind other = 0; other < kind; other++)
            assert_string_not_equal(id, event_message_id(other));
    }
}

static void test_names(void **state) {
    assert_string_equal(event_kind_name(EVENT_SETTING_CHANGED), "setting-changed");
    assert_string_equal(event_kind_name(EVENT_PAYLOADS_SUPPRESSED), "payloads-suppressed");
    for (enum event_kind kind = 0; kind < EVENT_KIND_MAX; kind++) {
        const char *name = event_kind_name(kind);

        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        for (enum event_kind other = 0; other < kind; other++)
            assert_string_not_equal(name, event_kind_name(other));
    }
}

static void test_priorities(void **state) {
    assert_int_equal(event_kind_priority(EVENT_WORKER_STUCK), LOG_CRIT);
    for (enum event_kind kind = 0; kind < EVENT_KIND_MAX; kind++)
        assert_in_range(event_kind_priority(kind), LOG_CRIT, LOG_DEBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_ids),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_priorities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
