/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "targets.h"

static struct stats stats;

/* What a target that `ops` starts answers to these bytes. */
static struct span answer(struct target *t, const void *data, size_t size) {
    struct address peer;
    const struct payload payload = { .span = { data, size }, .listener = "orders", .peer = &peer };
    struct span reply = { 0 };

    assert_int_equal(address_parse("127.0.0.1:7", &peer), 0);
    t->ops->payload(t->state, &stats, &payload, &reply);
    return reply;
}

static struct target *start(const struct target_ops *ops, const char *reply) {
    const struct config_listener conf = { .name = (char *) "orders", .target = ops->name, .reply = (char *) reply };
    struct target *t;

    assert_int_equal(target_new(ops, &conf, 1, NULL, &t), 0);
    return t;
}

static void test_echo_sends_back_what_it_got(void **state) {
    struct target *t = start(&target_echo, NULL);
    struct span reply = answer(t, "a\0b", 3);

    assert_int_equal(reply.size, 3);
    assert_memory_equal(reply.data, "a\0b", 3);
    reply = answer(t, "", 0);
    assert_non_null(reply.data); /* an empty datagram is answered with one */
    assert_int_equal(reply.size, 0);
    target_unref(t);
}

static void test_ack_answers_the_same_to_everything(void **state) {
    char text[] = "Got it\n";
    struct target *t = start(&target_ack, text);

    text[0] = 'X'; /* it has a copy: the configuration may go */
    for (unsigned i = 0; i < 2; i++) {
        struct span reply = answer(t, "whatever", i * 8);

        assert_int_equal(reply.size, 7);
        assert_memory_equal(reply.data, "Got it\n", 7);
    }
    target_unref(t);
}

static void test_discard_is_silent(void **state) {
    struct target *t = start(&target_discard, NULL);

    assert_null(answer(t, "x", 1).data);
    target_unref(t);
}

static void test_names_are_those_of_the_rows(void **state) {
    const char *const *names = target_names();
    size_t n = 0;

    for (; targets[n]; n++) {
        assert_string_equal(names[n], targets[n]->name);
        assert_true(targets[n]->payload || (targets[n]->engine && targets[n]->datagrams));
        for (size_t k = 0; k < n; k++)
            assert_string_not_equal(names[k], names[n]);
    }
    assert_null(names[n]);
    assert_int_equal(n, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_sends_back_what_it_got),
        cmocka_unit_test(test_ack_answers_the_same_to_everything),
        cmocka_unit_test(test_discard_is_silent),
        cmocka_unit_test(test_names_are_those_of_the_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
