/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "target_ops.h"

static int start_result;
static unsigned n_started, n_stopped;
static int thing;

static int start(const struct config_listener *conf, void **ret) {
    assert_string_equal(conf->name, "orders");
    n_started++;
    if (start_result == 0)
        *ret = &thing;
    return start_result;
}

static void stop(void *state) {
    assert_ptr_equal(state, &thing);
    n_stopped++;
}

static const struct config_listener conf = { .name = (char *) "orders" };

static int setup(void **state) {
    n_started = n_stopped = 0;
    start_result = 0;
    return 0;
}

static void test_the_last_user_stops_it(void **state) {
    static const struct target_ops ops = { .name = "x", .start = start, .stop = stop };
    struct target *t;

    assert_int_equal(target_new(&ops, &conf, 1, NULL, &t), 0);
    assert_ptr_equal(t->ops, &ops);
    assert_ptr_equal(t->state, &thing);
    assert_int_equal(n_started, 1);
    assert_ptr_equal(target_ref(t), t);
    assert_null(target_unref(t));
    assert_int_equal(n_stopped, 0);
    assert_null(target_unref(t));
    assert_int_equal(n_stopped, 1);
    assert_null(target_unref(NULL));
}

static void test_a_start_that_fails(void **state) {
    static const struct target_ops ops = { .name = "x", .start = start, .stop = stop };
    struct target *t = (void *) &thing;

    start_result = -ENOMEM;
    assert_int_equal(target_new(&ops, &conf, 1, NULL, &t), -ENOMEM);
    assert_ptr_equal(t, &thing); /* set only on success */
    assert_int_equal(n_stopped, 0);
}

static void test_a_target_without_state(void **state) {
    static const struct target_ops ops = { .name = "x" };
    struct target *t;

    assert_int_equal(target_new(&ops, &conf, 1, NULL, &t), 0);
    assert_null(t->state);
    assert_null(target_unref(t));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_last_user_stops_it, setup),
        cmocka_unit_test_setup(test_a_start_that_fails, setup),
        cmocka_unit_test_setup(test_a_target_without_state, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
