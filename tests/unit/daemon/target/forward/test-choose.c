/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "make.h"

#define A "tcp:10.0.0.1:80"
#define B "tcp:10.0.0.2:80"
#define C "tcp:10.0.0.3:80"

static const struct forward_tried none = { .n = 0 };
static uint8_t some_key[16] = { 1 };

static struct forward *make(enum balance balance, const char *upstreams) {
    struct config_forward conf;
    struct forward *f;

    make_conf(&conf, upstreams);
    conf.balance = balance;
    f = make_forward(&conf, NULL);
    make_conf_done(&conf);
    return f;
}

/* The last letter of the address that is chosen ('-': none); the time is `now_usec`. */
static char choose_at(struct forward *f, const uint8_t key[static 16], const struct forward_tried *tried,
                      uint64_t now_usec) {
    struct upstream *u = forward_choose(f, SOCK_STREAM, key, tried, now_usec);
    char letter = '-';

    if (u)
        letter = (char) ('A' + u->conf.text[strlen(u->conf.text) - 4] - '1');
    upstream_unref(u);
    return letter;
}

static char choose(struct forward *f) {
    return choose_at(f, some_key, &none, 1000);
}

static void expect(struct forward *f, const char *letters) {
    for (const char *c = letters; *c; c++) {
        char got = choose(f);

        if (got != *c)
            fail_msg("%c instead of %c, the number %d of %s", got, *c, (int) (c - letters), letters);
    }
}

static void put_aside(struct forward *f, size_t i, uint64_t now_usec) {
    for (unsigned n = 0; n < f->health.max_failures; n++)
        (void) upstream_failed(f->upstreams[i], &f->health, -ECONNREFUSED, now_usec);
}

static void test_round_robin(void **state) {
    struct forward *f = make(BALANCE_ROUND_ROBIN, A " " B " " C);

    expect(f, "ABCABCA");
    (void) upstream_set_order(f->upstreams[1], UPSTREAM_DRAINING);
    expect(f, "CACA");
    (void) upstream_set_order(f->upstreams[1], UPSTREAM_ENABLED);
    expect(f, "BCAB");
    drop_forward(f);
}

static void test_round_robin_goes_on_when_one_is_removed(void **state) {
    struct forward *f = make(BALANCE_ROUND_ROBIN, A " " B " " C);

    expect(f, "AB"); /* the last one is next */
    assert_int_equal(forward_remove(f, f->upstreams[2]), 0);
    expect(f, "ABAB");
    drop_forward(f);
}

static void test_least_flows(void **state) {
    struct forward *f = make(BALANCE_LEAST_FLOWS, A " " B " " C);

    f->upstreams[0]->flows = 2;
    f->upstreams[1]->flows = 1;
    f->upstreams[2]->flows = 1;
    expect(f, "BB"); /* the first one among equals */
    f->upstreams[1]->flows = 3;
    expect(f, "C");
    f->upstreams[2]->flows = 3;
    expect(f, "A");
    for (unsigned i = 0; i < 3; i++)
        f->upstreams[i]->flows = 0;
    drop_forward(f);
}

static void test_first(void **state) {
    struct forward *f = make(BALANCE_FIRST, A " " B " " C);

    expect(f, "AAA");
    (void) upstream_set_order(f->upstreams[0], UPSTREAM_DISABLED);
    expect(f, "BB");
    put_aside(f, 1, 1000);
    expect(f, "CC");
    (void) upstream_set_order(f->upstreams[0], UPSTREAM_ENABLED);
    expect(f, "A");
    drop_forward(f);
}

#define SOURCES 1000

static void key_of(unsigned i, uint8_t ret[static 16]) {
    char text[32];

    (void) snprintf(text, sizeof(text), "192.0.%u.%u", i / 250, 1 + i % 250);
    make_key(text, ret);
}

static void test_source_hash(void **state) {
    struct forward *f = make(BALANCE_SOURCE_HASH, A " " B " " C);
    unsigned shares[3] = { 0 };
    char before[SOURCES];
    uint8_t key[16];

    for (unsigned i = 0; i < SOURCES; i++) {
        key_of(i, key);
        before[i] = choose_at(f, key, &none, 1000);
        assert_int_equal(choose_at(f, key, &none, 1000), before[i]);
        shares[before[i] - 'A']++;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(shares[i], SOURCES / 4, SOURCES / 2);
    /* Only those of the one that goes move, and they come back. */
    (void) upstream_set_order(f->upstreams[1], UPSTREAM_DRAINING);
    for (unsigned i = 0; i < SOURCES; i++) {
        char now;

        key_of(i, key);
        now = choose_at(f, key, &none, 1000);
        if (before[i] == 'B')
            assert_true(now == 'A' || now == 'C');
        else
            assert_int_equal(now, before[i]);
    }
    (void) upstream_set_order(f->upstreams[1], UPSTREAM_ENABLED);
    for (unsigned i = 0; i < SOURCES; i++) {
        key_of(i, key);
        assert_int_equal(choose_at(f, key, &none, 1000), before[i]);
    }
    drop_forward(f);
}

static void test_type_of_the_flow(void **state) {
    struct forward *f = make(BALANCE_ROUND_ROBIN, "udp:10.0.0.3:80 " A " unix:/run/app.sock");
    struct upstream *u;

    u = forward_choose(f, SOCK_DGRAM, some_key, &none, 1000);
    assert_string_equal(u->conf.text, "udp:10.0.0.3:80");
    upstream_unref(u);
    u = forward_choose(f, SOCK_STREAM, some_key, &none, 1000);
    assert_string_equal(u->conf.text, A);
    upstream_unref(u);
    u = forward_choose(f, SOCK_STREAM, some_key, &none, 1000);
    assert_string_equal(u->conf.text, "unix:/run/app.sock");
    upstream_unref(u);
    drop_forward(f);
}

static void test_each_is_tried_once(void **state) {
    struct forward *f = make(BALANCE_FIRST, A " " B);
    struct forward_tried tried = { 0 };

    tried.list[tried.n++] = f->upstreams[0];
    assert_int_equal(choose_at(f, some_key, &tried, 1000), 'B');
    tried.list[tried.n++] = f->upstreams[1];
    assert_int_equal(choose_at(f, some_key, &tried, 1000), '-');
    drop_forward(f);
}

static void test_each_address_of_a_name_is_tried(void **state) {
    struct forward *f = make(BALANCE_FIRST, A " " B);
    const struct address addresses[] = { make_address("10.0.0.8:80"), make_address("10.0.0.9:80") };
    struct forward_tried tried = { 0 };

    upstream_set_addresses(f->upstreams[0], addresses, 2);
    tried.list[tried.n++] = f->upstreams[0];
    assert_int_equal(choose_at(f, some_key, &tried, 1000), 'A');
    tried.list[tried.n++] = f->upstreams[0];
    assert_int_equal(choose_at(f, some_key, &tried, 1000), 'B');
    /* Its addresses went meanwhile. */
    upstream_set_addresses(f->upstreams[0], addresses, 0);
    assert_int_equal(choose_at(f, some_key, &tried, 1000), 'B');
    drop_forward(f);
}

static void test_those_put_aside_come_last(void **state) {
    struct forward *f = make(BALANCE_FIRST, A " " B);
    struct forward_tried tried = { 0 };

    put_aside(f, 0, 1000);
    assert_int_equal(choose_at(f, some_key, &none, 1001), 'B');
    tried.list[tried.n++] = f->upstreams[1];
    assert_int_equal(choose_at(f, some_key, &tried, 1001), 'A');
    put_aside(f, 1, 1001);
    assert_int_equal(choose_at(f, some_key, &none, 1002), 'A');
    drop_forward(f);
}

static void test_one_flow_tries_what_is_aside(void **state) {
    struct forward *f = make(BALANCE_FIRST, A " " B);
    uint64_t again_usec = 1000 + f->health.retry_after_usec;

    put_aside(f, 1, 1000);
    assert_int_equal(choose_at(f, some_key, &none, again_usec - 1), 'A');
    assert_int_equal(choose_at(f, some_key, &none, again_usec), 'B'); /* though another one would be first */
    assert_int_equal(choose_at(f, some_key, &none, again_usec), 'A');
    (void) upstream_succeeded(f->upstreams[1]);
    assert_int_equal(choose_at(f, some_key, &none, again_usec), 'A');
    drop_forward(f);
}

static void test_nobody_can_be_used(void **state) {
    struct forward *f = make(BALANCE_ROUND_ROBIN, A " " B);

    (void) upstream_set_order(f->upstreams[0], UPSTREAM_DISABLED);
    (void) upstream_set_order(f->upstreams[1], UPSTREAM_DRAINING);
    expect(f, "--");
    drop_forward(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_round_robin_goes_on_when_one_is_removed),
        cmocka_unit_test(test_least_flows),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_source_hash),
        cmocka_unit_test(test_type_of_the_flow),
        cmocka_unit_test(test_each_is_tried_once),
        cmocka_unit_test(test_each_address_of_a_name_is_tried),
        cmocka_unit_test(test_those_put_aside_come_last),
        cmocka_unit_test(test_one_flow_tries_what_is_aside),
        cmocka_unit_test(test_nobody_can_be_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
