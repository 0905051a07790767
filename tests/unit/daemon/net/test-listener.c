/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <fcntl.h>

#include "listener.h"

static const struct target_ops ops = { .name = "x" };

static struct listener *make(unsigned n_workers) {
    struct listener *l;

    assert_int_equal(listener_new("orders", n_workers, &l), 0);
    return l;
}

static void test_a_new_listener_is_empty(void **state) {
    struct listener *l = make(3);
    struct stats_snapshot s;

    assert_string_equal(l->name, "orders");
    assert_int_equal(listener_flows(l), 0);
    listener_stats(l, &s);
    for (unsigned i = 0; i < STAT_MAX; i++)
        assert_int_equal(s.counter[i], 0);
    assert_null(listener_unref(l));
    assert_null(listener_unref(NULL));
}

static void test_counters_of_all_workers_are_merged(void **state) {
    struct listener *l = make(WORKERS_MAX);
    struct stats_snapshot s = { .counter = { 99 } };

    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        assert_int_equal((uintptr_t) &l->stats[i] % 64, 0); /* workers do not share cache lines */
        stats_add(&l->stats[i], STAT_PAYLOADS, i);
    }
    listener_stats(l, &s);
    assert_int_equal(s.counter[STAT_PAYLOADS], WORKERS_MAX * (WORKERS_MAX - 1) / 2);
    assert_int_equal(s.counter[0], 0);
    listener_unref(l);
}

static void test_a_view_keeps_what_it_shows(void **state) {
    const struct config_listener conf = { .name = (char *) "orders" };
    struct listener *l = make(1);
    struct effective *set = effective_new();
    struct listener_view *v;
    struct target *t;

    assert_int_equal(target_new(&ops, &conf, 1, NULL, &t), 0);
    v = listener_view_new(l, set, t, frame_ops(FRAMING_CHUNK));
    assert_non_null(v);
    effective_unref(set);
    target_unref(t);
    listener_unref(l);
    assert_string_equal(v->listener->name, "orders"); /* the sanitizer looks on */
    assert_int_equal(v->set->settings.v[SETTING_IO_BUFFER].number, 64 * 1024);
    assert_ptr_equal(v->target->ops, &ops);
    assert_ptr_equal(listener_view_ref(v), v);
    assert_null(listener_view_unref(v));
    assert_null(listener_view_unref(v));
    assert_null(listener_view_unref(NULL));
}

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_the_last_reference_closes_an_endpoint(void **state) {
    struct endpoint *e = calloc(1, sizeof(*e));
    int fd;

    assert_non_null(e);
    e->refs = 1;
    e->socket = make_socket(AF_INET, SOCK_DGRAM);
    fd = e->socket.fd;
    assert_ptr_equal(endpoint_ref(e), e);
    assert_null(endpoint_unref(e));
    assert_true(is_open(fd));
    assert_null(endpoint_unref(e));
    assert_false(is_open(fd));
    assert_null(endpoint_unref(NULL));
}

static void test_closing_does_not_wait_for_the_last_reference(void **state) {
    struct endpoint *e = calloc(1, sizeof(*e));
    int fd, other;

    assert_non_null(e);
    e->refs = 1;
    e->socket = make_socket(AF_INET, SOCK_DGRAM);
    fd = e->socket.fd;
    endpoint_close(e);
    assert_false(is_open(fd));
    other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(other, fd); /* somebody else's now */
    assert_null(endpoint_unref(e));
    assert_true(is_open(other));
    close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_listener_is_empty),
        cmocka_unit_test(test_counters_of_all_workers_are_merged),
        cmocka_unit_test(test_a_view_keeps_what_it_shows),
        cmocka_unit_test(test_the_last_reference_closes_an_endpoint),
        cmocka_unit_test(test_closing_does_not_wait_for_the_last_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
