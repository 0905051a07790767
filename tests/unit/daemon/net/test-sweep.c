/* SPDX-License-Identifier: MIT */
#include "live.h"

#define MANY 200

static struct live live;
static const struct flow_selector all = { 0 };

static int setup(void **state) {
    live_begin(&live, 2);
    live_must_apply(&live, "listeners = {"
                           "  a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; };"
                           "  b = { target = \"ack\"; listen = [ \"tcp:[::1]:0\" ]; }; };");
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    return 0;
}

static void open_many(int *fds, unsigned n, const char *listener) {
    unsigned before = live_flows(&live);

    for (unsigned i = 0; i < n; i++)
        fds[i] = live_connect(&live, listener);
    LIVE_UNTIL(&live, live_flows(&live) == before + n);
}

static void close_all(int *fds, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        close_fd(fds[i]);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
}

static bool same_id(struct flow_id a, struct flow_id b) {
    return a.worker == b.worker && a.slot == b.slot && a.generation == b.generation;
}

static void test_ping(void **state) {
    live_turn(&live);
}

static void test_no_flows(void **state) {
    struct flow_row rows[1];

    assert_int_equal(live_list(&live, &all, rows, 1), 0);
    assert_int_equal(live_close(&live, &all, true), 0);
    assert_int_equal(live_close(&live, &all, false), 0);
}

static void test_a_long_listing_has_every_flow_once(void **state) {
    static struct flow_row rows[2 * MANY];
    int fds[MANY];
    size_t n;

    open_many(fds, MANY, "a");
    n = live_list(&live, &all, rows, ARRAY_SIZE(rows));
    assert_int_equal(n, MANY);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].state, FLOW_OPEN);
        for (size_t k = 0; k < i; k++)
            assert_false(same_id(rows[i].id, rows[k].id));
    }
    for (size_t i = 0; i < n; i++)
        flow_row_done(&rows[i]);
    close_all(fds, MANY);
}

static void test_a_row_tells_what_the_flow_did(void **state) {
    struct address to = live_address(live_endpoint(&live, "b", SOCK_STREAM, 0));
    char want[ADDRESS_TEXT_MAX], got[ADDRESS_TEXT_MAX];
    struct flow_row row;
    int fd = live_connect(&live, "b");

    live_send(fd, "hello", 5);
    live_expect_text(fd, "Received");
    assert_int_equal(live_list(&live, &all, &row, 1), 1);
    assert_string_equal(row.listener->name, "b");
    assert_int_equal(row.client.rx_bytes, 5);
    assert_int_equal(row.rx_payload_bytes, 5);
    assert_int_equal(row.client.tx_bytes, 8);
    assert_int_equal(row.tx_payload_bytes, 8);
    assert_int_equal(row.payloads, 1);
    assert_string_equal(address_format(&row.client.local, got), address_format(&to, want));
    assert_string_equal(address_format_host(&row.client.peer, got), "::1");
    assert_true(row.client.has_tcp_info);
    assert_int_equal(row.encode_id, CODING_OFF);
    flow_row_done(&row);
    close_all(&fd, 1);
}

static void test_listing_by_listener_flow_and_source(void **state) {
    struct address to = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    struct flow_row rows[8];
    struct flow_selector s = { .listener = net_listener(live.net, "a") };
    int fds[5];

    open_many(fds, 3, "a");
    open_many(fds + 3, 1, "b");
    fds[4] = live_connect_from(&to, "127.0.0.9:0");
    LIVE_UNTIL(&live, live_flows(&live) == 5);
    assert_int_equal(live_list(&live, &s, rows, 8), 4);
    for (unsigned i = 0; i < 4; i++)
        flow_row_done(&rows[i]);

    s = (struct flow_selector){ .has_source = true };
    assert_int_equal(cidr_parse("127.0.0.8/30", &s.source), 0);
    assert_int_equal(live_list(&live, &s, rows, 8), 1);

    s = (struct flow_selector){ .has_flow = true, .flow = rows[0].id };
    flow_row_done(&rows[0]);
    assert_int_equal(live_list(&live, &s, rows, 8), 1);
    assert_true(same_id(rows[0].id, s.flow));
    flow_row_done(&rows[0]);

    /* An id of another generation, of a worker or a slot that never was: nobody. */
    s.flow.generation++;
    assert_int_equal(live_list(&live, &s, rows, 8), 0);
    s.flow.generation--;
    s.flow.worker = UINT16_MAX;
    assert_int_equal(live_list(&live, &s, rows, 8), 0);
    s.flow = (struct flow_id){ 0, UINT32_MAX, 1 };
    assert_int_equal(live_list(&live, &s, rows, 8), 0);
    close_all(fds, 5);
}

static void test_closing_in_order_answers_first(void **state) {
    int fds[3];

    open_many(fds, 3, "a");
    for (unsigned i = 0; i < 3; i++)
        live_send(fds[i], "before", 6);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_PAYLOADS) == 3);
    assert_int_equal(live_close(&live, &all, true), 3);
    for (unsigned i = 0; i < 3; i++) {
        live_expect_text(fds[i], "before");
        live_expect_end(fds[i]);
        live_send(fds[i], "late", 4); /* thrown away, without a reset that would take the answer along */
    }
    close_all(fds, 3);
    assert_int_equal(live_counter(&live, "a", STAT_PAYLOADS), 3);
    assert_int_equal(live_counter(&live, "a", STAT_CLOSED), 3);
    assert_int_equal(live_counter(&live, "a", STAT_RESETS), 0);
    assert_int_equal(live_counter(&live, "a", STAT_ERRORS), 0);
}

static void test_closing_at_once(void **state) {
    static int fds[MANY];

    open_many(fds, MANY, "a");
    assert_int_equal(live_close(&live, &all, false), MANY);
    assert_int_equal(live_flows(&live), 0); /* when the answer comes they have gone */
    for (unsigned i = 0; i < MANY; i++)
        live_expect_end(fds[i]);
    close_all(fds, MANY);
    assert_int_equal(live_counter(&live, "a", STAT_CLOSED), MANY);
}

static void test_closing_some(void **state) {
    struct flow_selector s = { .listener = net_listener(live.net, "a") };
    int fds[4];

    open_many(fds, 2, "a");
    open_many(fds + 2, 2, "b");
    assert_int_equal(live_close(&live, &s, false), 2);
    assert_int_equal(live_flows(&live), 2);
    live_send(fds[3], "x", 1);
    live_expect_text(fds[3], "Received");
    close_all(fds, 4);
}

static void test_a_flow_that_was_closed_is_not_acted_on_again(void **state) {
    int fd;

    open_many(&fd, 1, "a");
    assert_int_equal(live_close(&live, &all, true), 1);
    live_expect_end(fd);
    assert_int_equal(live_close(&live, &all, true), 0); /* it lingers until the client closes */
    close_all(&fd, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_listing_has_every_flow_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_row_tells_what_the_flow_did, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing_by_listener_flow_and_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_in_order_answers_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_some, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flow_that_was_closed_is_not_acted_on_again, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
