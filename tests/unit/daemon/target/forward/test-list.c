/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "helper.h"
#include "make.h"

#define A "tcp:10.0.0.1:80"
#define B "tcp:10.0.0.2:80"
#define C "tcp:10.0.0.3:80"

static void expect(const struct forward *f, const char *upstreams) {
    char got[512] = "";
    size_t n = 0;

    for (size_t i = 0; i < f->n_upstreams; i++)
        n += (size_t) snprintf(got + n, sizeof(got) - n, "%s%s%s", i > 0 ? " " : "", f->upstreams[i]->conf.text,
                               forward_is_added(f, f->upstreams[i]) ? "+" : "");
    for (size_t i = 0; i < f->n_removed; i++)
        n += (size_t) snprintf(got + n, sizeof(got) - n, " -%s", f->removed[i]->conf.text);
    assert_string_equal(got, upstreams);
}

static int add(struct forward *f, const char *text) {
    struct config_upstream conf;
    int r;

    assert_int_equal(config_upstream_parse(text, &conf, NULL), 0);
    r = forward_add(f, &conf);
    config_upstream_done(&conf);
    return r;
}

static int remove_one(struct forward *f, const char *text) {
    return forward_remove(f, forward_find(f, text));
}

/* The next state in its place. */
static struct forward *reload(struct forward *before, const char *upstreams) {
    struct forward *f = make_forward_of(upstreams, before);

    drop_forward(before);
    return f;
}

static void test_what_stays_keeps_its_counters_and_state(void **state) {
    struct forward *f = make_forward_of(A " " B, NULL);
    struct upstream *b = f->upstreams[1];

    upstream_count(&b->counters[0].connected, 5);
    (void) upstream_set_order(b, UPSTREAM_DRAINING);
    f = reload(f, B " " C);
    expect(f, B " " C);
    assert_ptr_equal(f->upstreams[0], b);
    assert_int_equal(upstream_order(b), UPSTREAM_DRAINING);
    drop_forward(f);
}

/* A plan that is given up leaves what is in force alone. */
static void test_state_that_is_given_up(void **state) {
    struct forward *f = make_forward_of(A " " B, NULL), *other;

    assert_int_equal(add(f, C), 0);
    other = make_forward_of(B " " C, f);
    drop_forward(other);
    expect(f, A " " B " " C "+");
    assert_int_equal(f->upstreams[1]->n_lists, 1);
    drop_forward(f);
}

static void test_adding(void **state) {
    struct forward *f = make_forward_of(A, NULL);

    assert_int_equal(add(f, B), 0);
    assert_int_equal(add(f, B), -EEXIST);
    assert_int_equal(add(f, A), -EEXIST);
    expect(f, A " " B "+");
    assert_int_equal(forward_runtime_changes(f), 1);
    assert_int_equal(forward_n_upstreams(f), 2);
    drop_forward(f);
}

static void test_there_is_a_limit(void **state) {
    struct forward *f = make_forward_of(A, NULL);
    char text[32];

    for (unsigned i = 0; i < FORWARD_ADDED_MAX; i++) {
        (void) snprintf(text, sizeof(text), "tcp:10.1.0.%u:80", i);
        assert_int_equal(add(f, text), 0);
    }
    assert_int_equal(add(f, B), -ENOSPC);
    assert_int_equal(remove_one(f, "tcp:10.1.0.7:80"), 0);
    assert_int_equal(add(f, B), 0);
    assert_int_equal(f->n_upstreams, 1 + FORWARD_ADDED_MAX);
    drop_forward(f);
}

static void test_removing_one_that_was_added(void **state) {
    struct forward *f = make_forward_of(A, NULL);

    assert_int_equal(add(f, B), 0);
    assert_int_equal(remove_one(f, B), 0);
    expect(f, A);
    assert_null(forward_find(f, B));
    assert_int_equal(forward_runtime_changes(f), 0);
    drop_forward(f);
}

static void test_removing_one_of_the_files(void **state) {
    struct forward *f = make_forward_of(A " " B, NULL);
    struct upstream *a = f->upstreams[0];

    assert_int_equal(add(f, C), 0);
    assert_int_equal(remove_one(f, A), 0);
    expect(f, B " " C "+ -" A);
    assert_null(forward_find(f, A));
    assert_int_equal(forward_runtime_changes(f), 2);
    /* It stays removed, whatever else the files say. */
    f = reload(f, A " " B " tcp:10.0.0.4:80");
    expect(f, B " tcp:10.0.0.4:80 " C "+ -" A);
    /* It comes back as one of the files, with what it has counted, enabled. */
    (void) upstream_set_order(a, UPSTREAM_DISABLED);
    assert_int_equal(add(f, A), 0);
    expect(f, B " tcp:10.0.0.4:80 " A " " C "+");
    assert_ptr_equal(forward_find(f, A), a);
    assert_int_equal(upstream_order(a), UPSTREAM_ENABLED);
    drop_forward(f);
}

static void test_files_that_follow(void **state) {
    struct forward *f = make_forward_of(A " " B, NULL);

    assert_int_equal(add(f, C), 0);
    assert_int_equal(remove_one(f, B), 0);
    /* They say the same now: nothing is left of the runtime changes. */
    f = reload(f, C " " A);
    expect(f, C " " A);
    assert_int_equal(forward_runtime_changes(f), 0);
    f = reload(f, B " " A);
    expect(f, B " " A);
    drop_forward(f);
}

static void test_the_last_one_stays(void **state) {
    struct forward *f = make_forward_of(A " udp:10.0.0.1:53", NULL);

    assert_int_equal(remove_one(f, A), -EBUSY); /* the other one is of UDP */
    assert_int_equal(add(f, B), 0);
    assert_int_equal(remove_one(f, A), 0);
    assert_int_equal(remove_one(f, B), -EBUSY);
    expect(f, "udp:10.0.0.1:53 " B "+ -" A);
    drop_forward(f);
}

static void test_files_cannot_leave_nothing(void **state) {
    struct forward *f = make_forward_of(A " " B, NULL);

    assert_int_equal(remove_one(f, A), 0);
    f = reload(f, A);
    expect(f, A);
    drop_forward(f);
}

static void test_orders_are_runtime_changes(void **state) {
    struct forward *f = make_forward_of(A " " B, NULL);

    (void) upstream_set_order(f->upstreams[1], UPSTREAM_DRAINING);
    assert_int_equal(forward_runtime_changes(f), 1);
    f = reload(f, A " " B);
    assert_int_equal(forward_runtime_changes(f), 1);
    drop_forward(f);
}

/* With names, and the helper at work. */
static void test_names_come_and_go(void **state) {
    struct forward *f = make_forward_of("tcp:localhost:80 " A, NULL);

    forward_begin(f);
    assert_int_equal(add(f, "tcp:localhost:81"), 0);
    assert_int_equal(remove_one(f, "tcp:localhost:80"), 0);
    f = reload(f, "tcp:localhost:80 tcp:localhost:82");
    forward_begin(f);
    expect(f, "tcp:localhost:82 tcp:localhost:81+ -tcp:localhost:80");
    assert_int_equal(add(f, "tcp:localhost:80"), 0);
    assert_int_equal(remove_one(f, "tcp:localhost:82"), 0);
    drop_forward(f);
    helper_stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_stays_keeps_its_counters_and_state),
        cmocka_unit_test(test_state_that_is_given_up),
        cmocka_unit_test(test_adding),
        cmocka_unit_test(test_there_is_a_limit),
        cmocka_unit_test(test_removing_one_that_was_added),
        cmocka_unit_test(test_removing_one_of_the_files),
        cmocka_unit_test(test_files_that_follow),
        cmocka_unit_test(test_the_last_one_stays),
        cmocka_unit_test(test_files_cannot_leave_nothing),
        cmocka_unit_test(test_orders_are_runtime_changes),
        cmocka_unit_test(test_names_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
