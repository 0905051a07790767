/* SPDX-License-Identifier: MIT */
#include "sockets.h"

static void names_the_capability_and_how_to_get_it(void **state) {
    static const enum setting_id ids[] = { SETTING_MARK, SETTING_PRIORITY,       SETTING_CONGESTION,  SETTING_BUSY_POLL,
                                           SETTING_DSCP, SETTING_RECEIVE_BUFFER, SETTING_SEND_BUFFER, SETTING_TTL };

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_non_null(strstr(qos_failure_cause(ids[i], -EPERM), "CAP_NET_ADMIN"));
        assert_non_null(strstr(qos_failure_remedy(ids[i], -EPERM), "AmbientCapabilities="));
        assert_non_null(strstr(qos_failure_remedy(ids[i], -EPERM), "drop-in"));
        assert_non_null(strstr(qos_failure_remedy(ids[i], -EPERM), "setcap"));
    }
    assert_non_null(strstr(qos_failure_cause(SETTING_DSCP, -EPERM), "priority"));
}

static void names_the_lists_of_algorithms(void **state) {
    assert_non_null(strstr(qos_failure_cause(SETTING_CONGESTION, -EPERM), "net.ipv4.tcp_allowed_congestion_control"));
    assert_non_null(strstr(qos_failure_cause(SETTING_CONGESTION, -ENOENT), "module"));
    assert_non_null(
            strstr(qos_failure_remedy(SETTING_CONGESTION, -ENOENT), "net.ipv4.tcp_available_congestion_control"));
}

static void tells_of_either_leg_the_same(void **state) {
    assert_string_equal(qos_failure_cause(SETTING_UPSTREAM + SETTING_PRIORITY, -EPERM),
                        qos_failure_cause(SETTING_PRIORITY, -EPERM));
    assert_string_equal(qos_failure_remedy(SETTING_UPSTREAM + SETTING_CONGESTION, -ENOENT),
                        qos_failure_remedy(SETTING_CONGESTION, -ENOENT));
}

static void tells_memory_from_the_rest(void **state) {
    assert_non_null(strstr(qos_failure_cause(SETTING_TTL, -ENOBUFS), "memory"));
    assert_non_null(strstr(qos_failure_cause(SETTING_TTL, -ENOMEM), "memory"));
    assert_null(strstr(qos_failure_cause(SETTING_TTL, -EIO), "memory"));
}

static void always_says_something(void **state) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        for (int error = 0; error < 134; error++) {
            assert_true(strlen(qos_failure_cause(id, -error)) > 0);
            assert_true(strlen(qos_failure_remedy(id, -error)) > 0);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_capability_and_how_to_get_it),
        cmocka_unit_test(names_the_lists_of_algorithms),
        cmocka_unit_test(tells_of_either_leg_the_same),
        cmocka_unit_test(tells_memory_from_the_rest),
        cmocka_unit_test(always_says_something),
    };

    return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
