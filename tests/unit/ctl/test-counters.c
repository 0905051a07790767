/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include <cmocka.h>

static json_t *reply(int flows, int bytes, int ef) {
    return json_pack("{s:[{s:s, s:i, s:{s:i, s:i}, s:{s:i}, s:{}}]}", "listeners", "listener", "orders", "flows", flows,
                     "counters", "rx_bytes", bytes, "errors", 0, "dscp_received", "EF", ef, "ecn_received");
}

static void all_numbers_in_one_list(void **state) {
    json_t *r = reply(3, 100, 7);
    json_t *flat = counters_flatten(json_array_get(json_object_get(r, "listeners"), 0));
    json_t *expected =
            json_pack("{s:i, s:i, s:i, s:i}", "flows", 3, "rx_bytes", 100, "errors", 0, "dscp_received.EF", 7);

    assert_true(json_equal(flat, expected));
    json_decref(r);
    json_decref(flat);
    json_decref(expected);
}

static void moved(json_t *before, json_t *now, json_t *expected) {
    json_t *m = counters_moved(before, now);
    assert_true(json_equal(m, expected));
    json_decref(before);
    json_decref(now);
    json_decref(m);
    json_decref(expected);
}

static json_t *row(const char *counter, int change, int total) {
    return json_pack("{ss ss si si}", "listener", "orders", "counter", counter, "change", change, "total", total);
}

static void only_what_moved_is_told(void **state) {
    moved(reply(3, 100, 7), reply(3, 150, 7), json_pack("[o]", row("rx_bytes", 50, 150)));
    moved(reply(3, 100, 7), reply(3, 100, 7), json_array());
    moved(reply(3, 100, 7), reply(1, 100, 8), json_pack("[o,o]", row("flows", -2, 1), row("dscp_received.EF", 1, 8)));
}

static void a_restarted_daemon_counts_from_zero(void **state) {
    moved(reply(1, 100, 7), reply(1, 30, 7), json_pack("[o]", row("rx_bytes", 30, 30)));
}

static void a_new_listener_counts_from_zero(void **state) {
    moved(json_pack("{s:[]}", "listeners"), reply(0, 30, 0), json_pack("[o]", row("rx_bytes", 30, 30)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_numbers_in_one_list),
        cmocka_unit_test(only_what_moved_is_told),
        cmocka_unit_test(a_restarted_daemon_counts_from_zero),
        cmocka_unit_test(a_new_listener_counts_from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
