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

static void test_streams_the_listing(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Flows", NULL, true);
    assert_null(fake_sweep.selector.listener);
    fake_list_rows(f, 64, true);
    j = fake_answer(f, "Flows", true);
    assert_int_equal(json_array_size(fake_at(j, "flows")), 64);
    assert_string_equal(fake_text(j, "flows.5.id"), "1.5.9");
    assert_string_equal(fake_text(j, "flows.0.peer"), "192.0.2.1:7000");
    assert_string_equal(fake_text(j, "flows.0.dscp"), "EF");
    assert_string_equal(fake_text(j, "flows.0.dscp_received"), "CS1");
    assert_string_equal(fake_text(j, "flows.0.dscp_received_label"), "handshake");
    assert_string_equal(fake_text(j, "flows.0.compression"), "gzip:9");
    assert_string_equal(fake_text(j, "flows.0.decompression"), "off");
    assert_int_equal(fake_number(j, "flows.0.rx_bytes"), 77);
    json_decref(j);

    /* It goes on behind what has been told; a worker without flows is not worth an answer. */
    assert_int_equal(fake_sweep.at.slot, 64);
    fake_list_rows(f, 0, true);
    assert_int_equal(fake_sweep.at.slot, 128);
    fixture_expect_silence(&f->client);
    fake_list_rows(f, 1, false);
    j = fake_answer(f, "Flows", false);
    assert_int_equal(json_array_size(fake_at(j, "flows")), 1);
    json_decref(j);
}

static void test_both_legs_of_a_relayed_flow(void **state) {
    struct fake *f = *state;
    struct flow_row row;
    json_t *j;

    fake_call(f, "Flows", NULL, true);
    fake_fill_row(f, &row, 0);
    row.relayed = true;
    row.to = strdup("tcp:app.example:80");
    row.upstream = (struct leg_row){ .tx_bytes = 78, .has_dscp = true, .dscp = 10, .send_queue = 5 };
    row.to_client = (struct way_row){ .spliced = true, .switches = 3 };
    assert_int_equal(address_parse("10.0.0.5:80", &row.upstream.peer), 0);
    fake_sweep.waiting = false;
    fake_sweep.list(&row, 1, (struct listing_cursor){ 0 }, false, fake_sweep.userdata);
    j = fake_answer(f, "Flows", false);
    assert_string_equal(fake_text(j, "flows.0.upstream"), "tcp:app.example:80");
    assert_string_equal(fake_text(j, "flows.0.client_leg.peer"), "192.0.2.1:7000");
    assert_string_equal(fake_text(j, "flows.0.client_leg.dscp"), "EF");
    assert_string_equal(fake_text(j, "flows.0.upstream_leg.peer"), "10.0.0.5:80");
    assert_string_equal(fake_text(j, "flows.0.upstream_leg.dscp"), "AF11");
    assert_int_equal(fake_number(j, "flows.0.upstream_leg.tx_bytes"), 78);
    assert_int_equal(fake_number(j, "flows.0.upstream_leg.send_queue"), 5);
    assert_null(fake_at(j, "flows.0.upstream_leg.local"));
    assert_null(fake_at(j, "flows.0.upstream_leg.rtt_usec"));
    assert_string_equal(fake_text(j, "flows.0.to_upstream.mode"), "copy");
    assert_string_equal(fake_text(j, "flows.0.to_client.mode"), "splice");
    assert_int_equal(fake_number(j, "flows.0.to_client.switches"), 3);
    json_decref(j);
}

static void test_no_flows(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Flows", "{\"listener\":\"orders\"}", true);
    assert_ptr_equal(fake_sweep.selector.listener, &f->listeners[0]);
    fake_list_rows(f, 0, false);
    j = fake_answer(f, "Flows", false);
    assert_int_equal(json_array_size(fake_at(j, "flows")), 0);
    json_decref(j);
}

static void test_draining_listener_is_found(void **state) {
    struct fake *f = *state;

    fake_call(f, "Flows", "{\"listener\":\"former\"}", true);
    assert_ptr_equal(fake_sweep.selector.listener, &f->listeners[1]);
    fake_list_rows(f, 0, false);
    json_decref(fake_answer(f, "Flows", false));
}

static void test_needs_more(void **state) {
    struct fake *f = *state;

    fake_call(f, "Flows", NULL, false);
    fixture_expect(&f->client, "{\"error\":\"org.varlink.service.ExpectedMore\"}");
    assert_int_equal(fake_sweep.asked, 0);
}

static void test_flow_that_is_not_there(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Flows", "{\"flow\":\"0.3.1\"}", true);
    assert_true(fake_sweep.selector.has_flow);
    assert_int_equal(fake_sweep.selector.flow.slot, 3);
    fake_list_rows(f, 0, false);
    j = fake_error(f, "NoSuchFlow");
    assert_string_equal(fake_text(j, "flow"), "0.3.1");
    json_decref(j);
}

static void test_slow_client_pauses_the_sweep(void **state) {
    struct fake *f = *state;
    json_t *j;
    unsigned batches = 0;

    fake_call(f, "Flows", NULL, true);
    for (; fake_sweep.waiting; batches++) {
        assert_in_range(batches, 0, 1000);
        fake_list_rows(f, 64, true);
        fixture_settle(&f->client);
    }
    /* Reading what waits sets it going again. */
    for (; batches > 0 && !fake_sweep.waiting; batches--)
        json_decref(fake_answer(f, "Flows", true));
    while (!fake_sweep.waiting)
        assert_true(sd_event_run(f->client.event, 10 * USEC_PER_SEC) > 0);
    fake_list_rows(f, 1, false);
    for (; batches > 0; batches--)
        json_decref(fake_answer(f, "Flows", true));
    j = fake_answer(f, "Flows", false);
    assert_int_equal(json_array_size(fake_at(j, "flows")), 1);
    json_decref(j);
}

static void leave(struct fake *f) {
    f->client.client = close_fd(f->client.client);
    fixture_settle(&f->client);
    assert_int_equal(server_sessions(control_server(f->control)), 0);
}

static void test_client_that_leaves_during_a_sweep(void **state) {
    struct fake *f = *state;

    fake_call(f, "Flows", "{\"listener\":\"orders\"}", true);
    leave(f);
    fake_list_rows(f, 64, true);
    assert_int_equal(fake_sweep.asked, 1);
}

static void test_client_that_leaves_while_paused(void **state) {
    struct fake *f = *state;
    unsigned asked;

    fake_call(f, "Flows", "{\"listener\":\"orders\"}", true);
    while (fake_sweep.waiting) {
        fake_list_rows(f, 64, true);
        fixture_settle(&f->client);
    }
    asked = fake_sweep.asked;
    leave(f);
    assert_int_equal(fake_sweep.asked, asked);
}

/* control_free() in end() drops it. */
static void test_stop_during_a_sweep(void **state) {
    fake_call(*state, "Flows", "{\"listener\":\"orders\"}", true);
}

static void test_close(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Close", "{\"listener\":\"orders\",\"source\":\"192.0.2.0/24\"}", false);
    assert_int_equal(fake_sweep.asked, 1);
    assert_true(fake_sweep.orderly);
    assert_true(fake_sweep.selector.has_source);
    assert_ptr_equal(fake_sweep.selector.listener, &f->listeners[0]);
    fake_sweep.close(5, fake_sweep.userdata);
    j = fake_answer(f, "Close", false);
    assert_int_equal(fake_number(j, "closed"), 5);
    json_decref(j);
}

static void test_close_nothing(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Close", "{\"source\":\"192.0.2.0/24\"}", false);
    fake_sweep.close(0, fake_sweep.userdata);
    j = fake_answer(f, "Close", false);
    assert_int_equal(fake_number(j, "closed"), 0);
    json_decref(j);
    fake_call(f, "Close", "{\"flow\":\"0.3.1\"}", false);
    fake_sweep.close(0, fake_sweep.userdata);
    json_decref(fake_error(f, "NoSuchFlow"));
}

static void test_close_must_say_which(void **state) {
    struct fake *f = *state;

    fake_call(f, "Close", NULL, false);
    json_decref(fake_error(f, "InvalidSelector"));
    assert_int_equal(fake_sweep.asked, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_the_listing, begin, end),
        cmocka_unit_test_setup_teardown(test_both_legs_of_a_relayed_flow, begin, end),
        cmocka_unit_test_setup_teardown(test_no_flows, begin, end),
        cmocka_unit_test_setup_teardown(test_draining_listener_is_found, begin, end),
        cmocka_unit_test_setup_teardown(test_needs_more, begin, end),
        cmocka_unit_test_setup_teardown(test_flow_that_is_not_there, begin, end),
        cmocka_unit_test_setup_teardown(test_slow_client_pauses_the_sweep, begin, end),
        cmocka_unit_test_setup_teardown(test_client_that_leaves_during_a_sweep, begin, end),
        cmocka_unit_test_setup_teardown(test_client_that_leaves_while_paused, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_during_a_sweep, begin, end),
        cmocka_unit_test_setup_teardown(test_close, begin, end),
        cmocka_unit_test_setup_teardown(test_close_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_close_must_say_which, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
