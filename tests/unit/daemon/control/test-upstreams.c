/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakes.h"

static int begin(void **state) {
    struct fake *f = malloc(sizeof(*f));

    assert_non_null(f);
    fake_begin(f);
    *state = f;
    return 0;
}

static int end(void **state) {
    fake_end(*state);
    free(*state);
    return 0;
}

static void test_listing(void **state) {
    struct fake *f = *state;
    struct upstream *first = fake_add_upstream(f, "tcp:10.0.0.5:9000");
    struct address addresses[2];
    json_t *j;

    fake_add_upstream(f, "tcp:app.example:80");
    fake_add_upstream(f, "unix:/run/app.sock");
    f->forward.n_of_files = 2;
    first->counters[0].connected = 4;
    first->counters[0].connect_usec = 1000;
    first->counters[0].rx_bytes = 7;
    first->flows = 3;

    fake_call(f, "Upstreams", NULL, false);
    j = fake_answer(f, "Upstreams", false);
    assert_int_equal(json_array_size(fake_at(j, "upstreams")), 3);
    assert_string_equal(fake_text(j, "upstreams.0.listener"), "orders");
    assert_string_equal(fake_text(j, "upstreams.0.upstream"), "tcp:10.0.0.5:9000");
    assert_string_equal(fake_text(j, "upstreams.0.state"), "up");
    assert_string_equal(fake_text(j, "upstreams.0.origin"), "files");
    assert_string_equal(fake_text(j, "upstreams.0.addresses.0"), "10.0.0.5:9000");
    assert_int_equal(fake_number(j, "upstreams.0.flows"), 3);
    assert_int_equal(fake_number(j, "upstreams.0.connects"), 4);
    assert_int_equal(fake_number(j, "upstreams.0.connect_usec"), 250);
    assert_int_equal(fake_number(j, "upstreams.0.rx_bytes"), 7);
    assert_null(fake_at(j, "upstreams.0.reason"));
    assert_string_equal(fake_text(j, "upstreams.1.state"), "unresolved");
    assert_non_null(fake_text(j, "upstreams.1.reason"));
    assert_null(fake_at(j, "upstreams.1.connect_usec"));
    assert_string_equal(fake_text(j, "upstreams.2.state"), "up");
    assert_string_equal(fake_text(j, "upstreams.2.origin"), "runtime");
    json_decref(j);

    assert_int_equal(address_parse("10.0.0.7:80", &addresses[0]), 0);
    assert_int_equal(address_parse("[fd00::7]:80", &addresses[1]), 0);
    upstream_set_addresses(f->forward.upstreams[1], addresses, 2);
    fake_call(f, "Upstreams", "{\"listener\":\"orders\"}", false);
    j = fake_answer(f, "Upstreams", false);
    assert_string_equal(fake_text(j, "upstreams.1.state"), "up");
    assert_string_equal(fake_text(j, "upstreams.1.addresses.1"), "[fd00::7]:80");
    assert_null(fake_at(j, "upstreams.1.reason"));
    json_decref(j);
}

static void test_says_why_one_is_aside(void **state) {
    const struct upstream_health health = { .max_failures = 1, .window_usec = 1, .retry_after_usec = 1 };
    struct fake *f = *state;
    json_t *j;

    (void) upstream_failed(fake_add_upstream(f, "tcp:10.0.0.5:9000"), &health, -ECONNREFUSED, 1);
    fake_call(f, "Upstreams", NULL, false);
    j = fake_answer(f, "Upstreams", false);
    assert_string_equal(fake_text(j, "upstreams.0.state"), "aside");
    assert_string_equal(fake_text(j, "upstreams.0.reason"), "Connection refused");
    json_decref(j);
}

static void test_listing_of_what_is_not_there(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Upstreams", NULL, false);
    j = fake_answer(f, "Upstreams", false);
    assert_int_equal(json_array_size(fake_at(j, "upstreams")), 0);
    json_decref(j);
    fake_call(f, "Upstreams", "{\"listener\":\"orders\"}", false);
    j = fake_error(f, "InvalidSelector");
    assert_string_equal(fake_text(j, "selector"), "orders");
    json_decref(j);
    fake_call(f, "Upstreams", "{\"listener\":\"orderz\"}", false);
    j = fake_error(f, "NoSuchListener");
    assert_string_equal(fake_text(j, "suggestion"), "orders");
    json_decref(j);
}

#define ABOUT "\"listener\":\"orders\",\"upstream\":\"tcp:10.0.0.5:9000\""

static void test_each_method_asks_for_its_change(void **state) {
    static const struct {
        const char *method, *parameters;
        enum upstream_action action;
    } cases[] = {
        { "SetUpstreamState", "{" ABOUT ",\"state\":\"enabled\"}", UPSTREAM_ACTION_ENABLE },
        { "SetUpstreamState", "{" ABOUT ",\"state\":\"draining\"}", UPSTREAM_ACTION_DRAIN },
        { "SetUpstreamState", "{" ABOUT ",\"state\":\"disabled\"}", UPSTREAM_ACTION_DISABLE },
        { "AddUpstream", "{" ABOUT "}", UPSTREAM_ACTION_ADD },
        { "RemoveUpstream", "{" ABOUT "}", UPSTREAM_ACTION_REMOVE },
    };
    struct upstream_answer answer = {
        .status = CHANGE_DONE, .upstream = "tcp:10.0.0.5:9000", .old = "enabled", .new = "enabled", .flows = 2
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct upstream_request *r = &f->change.upstream_request;
        bool add = cases[i].action == UPSTREAM_ACTION_ADD, remove = cases[i].action == UPSTREAM_ACTION_REMOVE;
        json_t *j;

        fake_call(f, cases[i].method, cases[i].parameters, false);
        assert_int_equal(f->change.submitted, i + 1);
        assert_int_equal(r->action, cases[i].action);
        assert_string_equal(r->listener, "orders");
        assert_string_equal(r->upstream, "tcp:10.0.0.5:9000");
        assert_int_equal(r->who.uid, geteuid());
        assert_int_equal(r->who.pid, getpid());
        answer.old = add ? "absent" : "enabled";
        answer.new = remove ? "absent" : "enabled";
        f->change.upstream_done(&answer, f->change.userdata);
        j = fake_answer(f, cases[i].method, false);
        assert_string_equal(fake_text(j, "new"), answer.new);
        assert_int_equal(fake_number(j, "flows"), 2);
        json_decref(j);
    }
    fake_call(f, "SetUpstreamState", "{" ABOUT ",\"state\":\"gone\"}", false);
    fake_expect_invalid_parameter(f, "state");
    fake_call(f, "SetUpstreamState", "{" ABOUT "}", false);
    fake_expect_invalid_parameter(f, "state");
}

static void test_refusals(void **state) {
    static const struct {
        enum change_status status;
        const char *error;
    } cases[] = {
        { CHANGE_NO_SUCH_LISTENER, "NoSuchListener" },
        { CHANGE_NO_SUCH_UPSTREAM, "NoSuchUpstream" },
        { CHANGE_CONFLICT, "InvalidUpstream" },
        { CHANGE_BUSY, "Busy" },
        { CHANGE_NO_MEMORY, "Busy" },
    };
    struct fake *f = *state;

    fake_add_upstream(f, "tcp:10.0.0.6:9000");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct upstream_answer answer = { .status = cases[i].status, .reason = "because" };
        json_t *j;

        fake_call(f, "RemoveUpstream", "{" ABOUT "}", false);
        f->change.upstream_done(&answer, f->change.userdata);
        j = fake_error(f, cases[i].error);
        if (cases[i].status == CHANGE_NO_SUCH_UPSTREAM)
            assert_string_equal(fake_text(j, "suggestion"), "tcp:10.0.0.6:9000");
        if (cases[i].status == CHANGE_CONFLICT)
            assert_string_equal(fake_text(j, "reason"), "because");
        json_decref(j);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_listing, begin, end),
        cmocka_unit_test_setup_teardown(test_says_why_one_is_aside, begin, end),
        cmocka_unit_test_setup_teardown(test_listing_of_what_is_not_there, begin, end),
        cmocka_unit_test_setup_teardown(test_each_method_asks_for_its_change, begin, end),
        cmocka_unit_test_setup_teardown(test_refusals, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
