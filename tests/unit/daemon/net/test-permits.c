/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include "accept.h"

static bool permits(const char *allow, const char *deny, const char *peer) {
    struct settings set;
    struct address address;
    uint8_t key[16];
    char allow_pair[256], deny_pair[256];
    bool permitted;

    snprintf(allow_pair, sizeof(allow_pair), "allow=%s", allow);
    snprintf(deny_pair, sizeof(deny_pair), "deny=%s", deny);
    settings_make(&set, allow_pair, deny_pair, NULL);
    assert_int_equal(address_parse(peer, &address), 0);
    address_key(&address, key);
    permitted = accept_permits(&set, key);
    settings_done(&set);
    return permitted;
}

static void test_without_lists_everybody_may_come_in(void **state) {
    assert_true(permits("none", "none", "192.0.2.1:1"));
    assert_true(permits("none", "none", "[2001:db8::1]:1"));
}

static void test_who_is_not_allowed_stays_out(void **state) {
    assert_true(permits("10.0.0.0/8", "none", "10.1.2.3:1"));
    assert_false(permits("10.0.0.0/8", "none", "11.1.2.3:1"));
    assert_false(permits("10.0.0.0/8", "none", "[2001:db8::1]:1"));
}

static void test_who_is_denied_stays_out(void **state) {
    assert_false(permits("none", "10.0.0.0/8", "10.1.2.3:1"));
    assert_true(permits("none", "10.0.0.0/8", "11.1.2.3:1"));
    assert_true(permits("none", "10.0.0.0/8", "[2001:db8::1]:1"));
}

static void test_the_most_specific_entry_wins(void **state) {
    assert_true(permits("10.1.0.0/16", "10.0.0.0/8", "10.1.2.3:1"));
    assert_false(permits("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3:1"));
    assert_false(permits("10.0.0.0/8,10.1.2.3", "10.1.0.0/16", "10.1.2.4:1"));
    assert_true(permits("10.0.0.0/8,10.1.2.3", "10.1.0.0/16", "10.1.2.3:1"));
    assert_false(permits("0.0.0.0/0", "10.1.2.3", "10.1.2.3:1"));
}

static void test_a_tie_denies(void **state) {
    assert_false(permits("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3:1"));
    assert_false(permits("0.0.0.0/0", "0.0.0.0/0", "10.1.2.3:1"));
    assert_false(permits("10.1.2.3", "10.1.2.3", "10.1.2.3:1"));
}

static void test_v4_mapped_matches_as_v4(void **state) {
    assert_true(permits("10.0.0.0/8", "none", "[::ffff:10.1.2.3]:1"));
    assert_false(permits("none", "10.0.0.0/8", "[::ffff:10.1.2.3]:1"));
    assert_false(permits("::/0", "none", "10.1.2.3:1")); /* all of IPv6 is not everybody */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_lists_everybody_may_come_in),
        cmocka_unit_test(test_who_is_not_allowed_stays_out),
        cmocka_unit_test(test_who_is_denied_stays_out),
        cmocka_unit_test(test_the_most_specific_entry_wins),
        cmocka_unit_test(test_a_tie_denies),
        cmocka_unit_test(test_v4_mapped_matches_as_v4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
