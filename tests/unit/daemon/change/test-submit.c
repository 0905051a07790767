/* SPDX-License-Identifier: MIT */
#include "running.h"

#include "dscp.h"

static struct running running;

#define CONFIG                                                                                                         \
    "profiles = { p = { ttl = 11; }; unused = { }; };"                                                                 \
    "listeners = {"                                                                                                    \
    "  a = { target = \"echo\"; profile = \"p\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"            \
    "  b = { target = \"echo\"; profile = \"p\"; ttl = 22; listen = [ \"tcp:127.0.0.1:0\" ]; };"                       \
    "  c = { target = \"echo\"; listen = [ \"udp:127.0.0.1:0\" ]; }; };"

static int setup(void **state) {
    running_begin(&running, CONFIG);
    return 0;
}

static int teardown(void **state) {
    running_end(&running);
    return 0;
}

static void connect_many(int *fds, unsigned n, const char *listener) {
    unsigned before = live_flows(&running.live);

    for (unsigned i = 0; i < n; i++)
        fds[i] = live_connect(&running.live, listener);
    LIVE_UNTIL(&running.live, live_flows(&running.live) == before + n);
}

static void close_many(int *fds, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

/* ---- set ---- */

static void test_a_change_reaches_endpoints_and_flows_and_says_so(void **state) {
    struct answer a;
    int fds[100];

    connect_many(fds, 100, "a");
    a = request_set(&running, "a", "dscp=EF priority=5");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.flows, 100);
    assert_int_equal(a.keys, bit("dscp") | bit("priority"));
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 2);
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 100);
    assert_int_equal(key_of(&a, "dscp")->failed, 0);
    assert_string_equal(key_of(&a, "dscp")->old, "inherit");
    assert_string_equal(key_of(&a, "dscp")->requested, "EF");
    assert_string_equal(key_of(&a, "dscp")->values, "EF"); /* read back */
    assert_string_equal(key_of(&a, "priority")->values, "5");
    answer_done(&a);

    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 46 << 2);
    assert_flow_marks(&running, "a", 100, 46);
    assert_flow_settings(&running, "a", "dscp", "EF", ORIGIN_LISTENER_RUNTIME);
    close_many(fds, 100);
}

static void test_flows_that_come_later_have_it(void **state) {
    int fds[2];

    must_set(&running, "a", "dscp=CS3");
    connect_many(fds, 2, "a");
    assert_flow_marks(&running, "a", 2, 24);
    assert_flow_settings(&running, "a", "dscp", "CS3", ORIGIN_LISTENER_RUNTIME);
    close_many(fds, 2);
}

static void test_others_are_left_alone(void **state) {
    int fds[2];

    connect_many(fds, 1, "a");
    connect_many(fds + 1, 1, "b");
    must_set(&running, "a", "dscp=EF");
    assert_flow_marks(&running, "b", 1, 0);
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 0);
    assert_int_equal(endpoint_option(&running, "c", SOL_IP, IP_TOS), 0);
    close_many(fds, 2);
}

static void test_ids_count_up(void **state) {
    struct answer a = request_set(&running, "a", "dscp=EF"), b = request_set(&running, "a", "dscp=EF");

    assert_int_equal(b.id, a.id + 1);
    assert_string_equal(key_of(&b, "dscp")->old, "EF");
    answer_done(&a);
    answer_done(&b);
}

static void test_a_setting_that_a_socket_does_not_have(void **state) {
    struct answer a = request_set(&running, "c", "nodelay=false");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(key_of(&a, "nodelay")->not_applicable, 1);
    assert_int_equal(key_of(&a, "nodelay")->applied_endpoints, 0);
    answer_done(&a);
}

static void test_the_daemons_own_settings(void **state) {
    struct answer a;
    int fd;

    connect_many(&fd, 1, "a");
    a = request_set(&running, "a", "io_buffer=8K max_connections=1 idle_timeout=1h");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(key_of(&a, "io_buffer")->applied_flows, 1);
    assert_int_equal(key_of(&a, "io_buffer")->applied_endpoints, 1); /* the UDP socket has no use for it */
    assert_int_equal(key_of(&a, "io_buffer")->not_applicable, 1);
    assert_int_equal(key_of(&a, "max_connections")->deferred, 1);
    assert_int_equal(key_of(&a, "max_connections")->applied_endpoints, 1);
    assert_non_null(key_of(&a, "max_connections")->reason);
    answer_done(&a);
    assert_flow_settings(&running, "a", "io_buffer", "8K", ORIGIN_LISTENER_RUNTIME);
    assert_flow_settings(&running, "a", "max_connections", "65536", ORIGIN_DEFAULT); /* its own, as it was admitted */
    close(fd);
}

static void test_compression_of_a_flow_that_has_begun(void **state) {
    struct answer a;
    int plain, fresh;

    connect_many(&plain, 1, "a");
    live_send(plain, "x", 1);
    live_expect_text(plain, "x");
    connect_many(&fresh, 1, "a");
    a = request_set(&running, "a", "compression=zlib:3");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(key_of(&a, "compression")->applied_flows, 1);
    assert_int_equal(key_of(&a, "compression")->deferred, 1);
    answer_done(&a);
    live_send(plain, "y", 1);
    live_expect_text(plain, "y");
    live_send(fresh, "y", 1);
    live_expect(fresh, "\x78", 1); /* zlib's first byte */
    close(plain);
    close(fresh);
}

/* ---- unset ---- */

static void test_unset_goes_back_to_the_files_and_to_what_was_found(void **state) {
    struct answer a;
    int fd;

    connect_many(&fd, 1, "a");
    must_set(&running, "a", "dscp=EF ttl=33");
    assert_int_equal(change_runtime_values(running.change), 2);
    a = request_unset(&running, "a", "dscp ttl");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_string_equal(key_of(&a, "ttl")->old, "33");
    assert_string_equal(key_of(&a, "ttl")->requested, "11");
    assert_string_equal(key_of(&a, "dscp")->requested, "inherit");
    answer_done(&a);
    assert_int_equal(change_runtime_values(running.change), 0);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 0);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 11);
    assert_flow_marks(&running, "a", 1, 0);
    assert_flow_settings(&running, "a", "ttl", "11", ORIGIN_PROFILE_FILE);
    close(fd);
}

static void test_unset_of_everything(void **state) {
    struct answer a;

    must_set(&running, "a", "dscp=EF ttl=33 nodelay=false");
    must_set(&running, "b", "dscp=EF");
    a = request_unset(&running, "a", "");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bit("dscp") | bit("ttl") | bit("nodelay"));
    answer_done(&a);
    assert_int_equal(change_runtime_values(running.change), 1);
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 46 << 2);

    a = request_unset(&running, "a", ""); /* there is nothing */
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, 0);
    answer_done(&a);
}

/* ---- profiles ---- */

static void test_a_profile_reaches_every_listener_that_uses_it(void **state) {
    struct answer a;
    int fds[2];

    connect_many(fds, 1, "a");
    connect_many(fds + 1, 1, "b");
    a = request_set(&running, "profile:p", "dscp=AF41");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.flows, 2);
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 3);
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 2);
    assert_string_equal(key_of(&a, "dscp")->requested, "AF41");
    answer_done(&a);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 34 << 2);
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 34 << 2);
    assert_int_equal(endpoint_option(&running, "c", SOL_IP, IP_TOS), 0);
    assert_flow_settings(&running, "a", "dscp", "AF41", ORIGIN_PROFILE_RUNTIME);
    must_unset(&running, "profile:p", "dscp");
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 0);
    close_many(fds, 2);
}

static void test_a_listeners_own_value_masks_the_profiles(void **state) {
    struct answer a = request_set(&running, "profile:p", "ttl=44");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(key_of(&a, "ttl")->applied_endpoints, 2); /* a's; b says otherwise in the files */
    assert_string_equal(key_of(&a, "ttl")->old, "11");
    answer_done(&a);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 44);
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TTL), 22);

    /* The same at runtime; when that goes, the profile's runtime value is there. */
    must_set(&running, "a", "ttl=55");
    a = request_set(&running, "profile:p", "ttl=66");
    assert_int_equal(key_of(&a, "ttl")->applied_endpoints, 0);
    assert_string_equal(key_of(&a, "ttl")->reason, "every listener of the profile says otherwise itself");
    answer_done(&a);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 55);
    a = request_unset(&running, "profile:p", "ttl dscp");
    assert_string_equal(key_of(&a, "ttl")->reason, "every listener of the profile says otherwise itself");
    assert_string_equal(key_of(&a, "dscp")->reason, "it has no runtime value here");
    answer_done(&a);
    must_set(&running, "profile:p", "ttl=66");
    must_unset(&running, "a", "ttl");
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 66);
    must_unset(&running, "profile:p", "ttl");
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 11);
}

static void test_a_profile_that_nobody_uses(void **state) {
    struct answer a = request_set(&running, "profile:unused", "ttl=44");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.flows, 0);
    assert_string_equal(key_of(&a, "ttl")->reason, "no listener uses the profile");
    assert_string_equal(key_of(&a, "ttl")->requested, "44");
    answer_done(&a);
    assert_int_equal(change_runtime_values(running.change), 1);
}

/* ---- some flows ---- */

static struct change_request of_source(const char *prefix) {
    struct change_request request = { .has_source = true };

    assert_int_equal(cidr_parse(prefix, &request.source), 0);
    return request;
}

static struct flow_id first_flow(const char *listener) {
    const struct flow_selector s = { .listener = net_listener(running.live.net, listener) };
    struct flow_row rows[8];
    size_t n = live_list(&running.live, &s, rows, 8);
    struct flow_id id = rows[0].id;

    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        flow_row_done(&rows[i]);
    return id;
}

static void test_one_flow(void **state) {
    struct change_request request = { .has_flow = true };
    unsigned marks[3], n_marked = 0;
    struct answer a;
    int fds[3];

    connect_many(fds, 3, "a");
    request.flow = first_flow("a");
    a = request_with(&running, request, "a", "dscp=EF");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.flows, 1);
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 0);
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 1);
    answer_done(&a);
    assert_int_equal(flow_marks(&running, "a", marks, 3), 3);
    for (unsigned i = 0; i < 3; i++)
        n_marked += marks[i] == 46;
    assert_int_equal(n_marked, 1);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 0);
    assert_int_equal(change_runtime_values(running.change), 0); /* lives on the flow, is not saved */

    /* The next wider change of the key is for this flow too; others leave it. */
    must_set(&running, "a", "ttl=99");
    flow_marks(&running, "a", marks, 3);
    n_marked = 0;
    for (unsigned i = 0; i < 3; i++)
        n_marked += marks[i] == 46;
    assert_int_equal(n_marked, 1);
    must_set(&running, "a", "dscp=CS1");
    assert_flow_marks(&running, "a", 3, 8);
    close_many(fds, 3);
}

static void test_unset_of_a_flow_concerns_what_it_has_of_its_own(void **state) {
    struct change_request request = { .has_flow = true }, unset = { .has_flow = true, .unset = true };
    struct answer a;
    int fds[2];

    connect_many(fds, 2, "a");
    must_set(&running, "a", "dscp=CS1");
    unset.flow = request.flow = first_flow("a");
    a = request_with(&running, request, "a", "dscp=EF priority=3");
    assert_string_equal(key_of(&a, "dscp")->old, "CS1");
    answer_done(&a);
    a = request_with(&running, request, "a", "dscp=AF41");
    assert_string_equal(key_of(&a, "dscp")->old, "EF");
    answer_done(&a);

    a = request_with(&running, unset, "a", "ttl dscp");
    assert_string_equal(key_of(&a, "ttl")->reason, "no flow has a value of its own");
    assert_string_equal(key_of(&a, "dscp")->old, "AF41");
    assert_string_equal(key_of(&a, "dscp")->requested, "CS1");
    answer_done(&a);
    assert_flow_marks(&running, "a", 2, 8);

    a = request_with(&running, unset, "a", "");
    assert_int_equal(a.keys, SETTING_BIT(SETTING_PRIORITY));
    assert_string_equal(key_of(&a, "priority")->old, "3");
    assert_int_equal(key_of(&a, "priority")->applied_flows, 1);
    answer_done(&a);
    a = request_with(&running, unset, "a", "");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, 0);
    answer_done(&a);
    close_many(fds, 2);
}

static void test_flows_of_a_source(void **state) {
    struct address to = live_address(live_endpoint(&running.live, "a", SOCK_STREAM, 0));
    struct answer a;
    int fds[3];

    connect_many(fds, 1, "a");
    fds[1] = live_connect_from(&to, "127.0.0.9:0");
    fds[2] = live_connect_from(&to, "127.0.0.10:0");
    LIVE_UNTIL(&running.live, live_flows(&running.live) == 3);
    a = request_with(&running, of_source("127.0.0.8/30"), "a", "dscp=EF max_connections=7");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.flows, 2);
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 2);
    assert_int_equal(key_of(&a, "max_connections")->not_applicable, 2); /* there are no new flows to wait for */
    answer_done(&a);

    /* Back to what the listener has. */
    must_set(&running, "profile:p", "dscp=CS2");
    a = request_with(&running, of_source("127.0.0.9/32"), "a", "dscp=EF");
    answer_done(&a);
    struct change_request request = of_source("127.0.0.9/32");
    request.unset = true;
    a = request_with(&running, request, "a", "dscp");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_string_equal(key_of(&a, "dscp")->requested, "CS2");
    answer_done(&a);
    assert_flow_marks(&running, "a", 3, 16);
    close_many(fds, 3);
}

static void test_flows_of_a_profile(void **state) {
    struct answer a;
    int fds[2];

    connect_many(fds, 1, "a");
    connect_many(fds + 1, 1, "b");
    a = request_with(&running, of_source("127.0.0.0/8"), "profile:p", "ttl=77");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(key_of(&a, "ttl")->applied_flows, 2); /* b's too: a flow is above its listener */
    assert_string_equal(key_of(&a, "ttl")->requested, "77");
    answer_done(&a);
    assert_flow_settings(&running, "b", "ttl", "77", ORIGIN_FLOW);
    close_many(fds, 2);
}

static void test_new_flows_only(void **state) {
    const struct change_request request = { .new_only = true };
    unsigned marks[2];
    struct answer a;
    int fds[2];

    connect_many(fds, 1, "a");
    a = request_with(&running, request, "a", "dscp=EF");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.flows, 0);
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 2);
    answer_done(&a);
    connect_many(fds + 1, 1, "a");
    assert_int_equal(flow_marks(&running, "a", marks, 2), 2);
    assert_int_equal(marks[0] + marks[1], 46);
    close_many(fds, 2);
}

/* ---- what cannot be ---- */

static void assert_refused(struct change_request request, const char *target, enum change_status status) {
    struct answer a = request_with(&running, request, target, request.unset ? "dscp" : "dscp=EF");

    assert_int_equal(a.status, status);
    answer_done(&a);
    assert_int_equal(change_runtime_values(running.change), 0);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 0);
}

static void test_what_does_not_exist(void **state) {
    struct change_request plain = { 0 }, flow = { .has_flow = true, .flow = { 0, 5, 1 } };

    assert_refused(plain, "nosuch", CHANGE_NO_SUCH_LISTENER);
    assert_refused(plain, "p", CHANGE_NO_SUCH_LISTENER);
    assert_refused(plain, "profile:nosuch", CHANGE_NO_SUCH_PROFILE);
    assert_refused(plain, "profile:a", CHANGE_NO_SUCH_PROFILE);
    assert_refused(flow, "a", CHANGE_NO_SUCH_FLOW);
    flow.flow.worker = UINT16_MAX;
    assert_refused(flow, "a", CHANGE_NO_SUCH_FLOW);
    flow.unset = true;
    assert_refused(flow, "a", CHANGE_NO_SUCH_FLOW);
}

static void test_a_flow_of_another_listener_is_no_such_flow(void **state) {
    struct change_request request = { .has_flow = true };
    int fd;

    connect_many(&fd, 1, "b");
    request.flow = first_flow("b");
    assert_refused(request, "a", CHANGE_NO_SUCH_FLOW);
    assert_flow_marks(&running, "b", 1, 0);
    close(fd);
}

static void test_what_does_not_go_together(void **state) {
    struct change_request request = of_source("127.0.0.0/8");
    struct answer a;

    request.new_only = true;
    a = request_with(&running, request, "a", "dscp=EF");
    assert_int_equal(a.status, CHANGE_CONFLICT);
    assert_non_null(a.reason);
    answer_done(&a);
}

/* ---- one after the other ---- */

static void test_many_at_once_are_done_in_order(void **state) {
    static struct answer answers[CHANGE_WAITING_MAX + 2];
    struct change_request request = { .target.name = "a" };

    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        char text[16];

        snprintf(text, sizeof(text), "ttl=%u", i + 1);
        submit(&running, request, text, &answers[i]);
    }

    /* One under way, so many that wait, and one too many. */
    assert_true(answers[CHANGE_WAITING_MAX + 1].come);
    assert_int_equal(answers[CHANGE_WAITING_MAX + 1].status, CHANGE_BUSY);
    assert_non_null(answers[CHANGE_WAITING_MAX + 1].reason);
    for (unsigned i = 0; i <= CHANGE_WAITING_MAX; i++) {
        char old[16];

        wait_answer(&running, &answers[i]);
        assert_int_equal(answers[i].status, CHANGE_DONE);
        snprintf(old, sizeof(old), "%u", i == 0 ? 11 : i);
        assert_string_equal(key_of(&answers[i], "ttl")->old, old);
        for (unsigned k = i + 1; k <= CHANGE_WAITING_MAX; k++)
            assert_true(!answers[k].come || answers[k].id > answers[i].id);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++)
        answer_done(&answers[i]);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), CHANGE_WAITING_MAX + 1);
}

static void test_stopping_refuses_what_waits_and_ends_what_is_under_way(void **state) {
    struct change_request request = { .target.name = "a" };
    struct answer first, second, third;

    submit(&running, request, "ttl=71", &first);
    submit(&running, request, "ttl=72", &second);
    change_stop(running.change);
    assert_true(second.come);
    assert_int_equal(second.status, CHANGE_BUSY);
    submit(&running, request, "ttl=73", &third);
    assert_int_equal(third.status, CHANGE_BUSY);
    wait_answer(&running, &first);
    assert_int_equal(first.status, CHANGE_DONE);
    answer_done(&first);
    answer_done(&second);
    answer_done(&third);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 71);
}

static void test_a_change_under_way_is_answered_when_the_workers_stop(void **state) {
    struct change_request request = { .target.name = "a" };
    struct answer a;

    submit(&running, request, "ttl=71", &a);
    change_stop(running.change);
    net_stop(running.live.net);
    assert_true(a.come);
    answer_done(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_change_reaches_endpoints_and_flows_and_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_that_come_later_have_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_count_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_setting_that_a_socket_does_not_have, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_daemons_own_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compression_of_a_flow_that_has_begun, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unset_goes_back_to_the_files_and_to_what_was_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unset_of_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_reaches_every_listener_that_uses_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_listeners_own_value_masks_the_profiles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_that_nobody_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unset_of_a_flow_concerns_what_it_has_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_of_a_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_of_a_profile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_flows_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_exist, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flow_of_another_listener_is_no_such_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_go_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once_are_done_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopping_refuses_what_waits_and_ends_what_is_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_change_under_way_is_answered_when_the_workers_stop, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
