/* SPDX-License-Identifier: MIT */
/* Changes of one leg, and of both, on listeners with an upstream leg and without. */
#include "running.h"

static struct running running;

/* b: both legs by p. u: the upstream leg by q on top. h: the same on top of r, which nobody else has. e: no upstream. */
#define FORWARD(profiles)                                                                                              \
    "{ target = \"forward\"; " profiles " upstream = [ \"tcp:127.0.0.1:9\" ]; listen = [ \"tcp:127.0.0.1:0\" ]; };"
#define CONFIG                                                                                                         \
    "profiles = { p = { ttl = 11; }; q = { }; r = { }; unused = { }; };"                                               \
    "listeners = {"                                                                                                    \
    "  b = " FORWARD("profile = \"p\";") "  u = " FORWARD(                                                             \
            "profile = \"p\"; upstream_profile = \"q\";") "  h = " FORWARD("profile = \"r\"; upstream_profile = "      \
                                                                           "\"q\";") "  e = { target = \"echo\"; "     \
                                                                                     "profile = \"p\"; listen = [ "    \
                                                                                     "\"tcp:127.0.0.1:0\" ]; }; };"

static const char only_upstream[] = "listeners use the profile for their upstream leg only";
static const char no_upstream[] = "there is no upstream leg: the target is not forward";
static const char says_otherwise[] = "every listener of the profile says otherwise itself";
static const char nothing_holds[] = "it has no runtime value here";

static int setup(void **state) {
    running_begin(&running, CONFIG);
    return 0;
}

static int teardown(void **state) {
    running_end(&running);
    return 0;
}

static void assert_text(const struct settings *set, const char *name, const char *text) {
    _cleanup_free_ char *got = settings_get_text(set, setting_find(name));

    assert_string_equal(got, text);
}

/* What the listener has for new flows, on each leg. */
static void expect(const char *listener, const char *name, const char *client, const char *upstream) {
    const struct effective *e = net_listener(running.live.net, listener)->view->set;

    assert_text(&e->settings, name, client);
    assert_text(&e->upstream, name, upstream);
}

static void expect_untouched(const struct answer *a, const char *name, const char *reason) {
    const struct answer_key *k = key_of(a, name);

    assert_true(a->keys & bit(name));
    assert_int_equal(k->applied_endpoints + k->applied_flows + k->deferred + k->not_applicable + k->failed, 0);
    assert_string_equal(k->reason, reason);
}

static void set_profile(const char *target, const char *settings, const char *name, const char *reason) {
    struct answer a = request_set(&running, target, settings);

    assert_int_equal(a.status, CHANGE_DONE);
    if (reason)
        expect_untouched(&a, name, reason);
    else
        assert_null(key_of(&a, name)->reason);
    answer_done(&a);
}

static void unset_profile(const char *target, const char *settings, const char *name, const char *reason) {
    struct answer a = request_unset(&running, target, settings);

    assert_int_equal(a.status, CHANGE_DONE);
    if (reason)
        expect_untouched(&a, name, reason);
    else
        assert_null(key_of(&a, name)->reason);
    answer_done(&a);
}

static struct change_request of_source(const char *prefix) {
    struct change_request request = { .has_source = true };

    assert_int_equal(cidr_parse(prefix, &request.source), 0);
    return request;
}

static int connect_one(const char *listener) {
    unsigned before = live_flows(&running.live);
    int fd = live_connect(&running.live, listener);

    LIVE_UNTIL(&running.live, live_flows(&running.live) == before + 1);
    return fd;
}

/* ---- a listener with an upstream leg ---- */

static void test_a_plain_name_is_about_both_legs(void **state) {
    struct answer a = request_set(&running, "b", "dscp=EF idle_timeout=1h");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bits("dscp") | bit("idle_timeout"));
    assert_string_equal(key_of(&a, "dscp")->old, "inherit");
    assert_string_equal(key_of(&a, "dscp")->requested, "EF");
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "EF");
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 1);
    answer_done(&a);
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 46 << 2);
    expect("b", "dscp", "EF", "EF");
    assert_int_equal(change_runtime_values(running.change), 2);

    a = request_unset(&running, "b", "");
    assert_int_equal(a.keys, bits("dscp") | bit("idle_timeout"));
    assert_string_equal(key_of(&a, "upstream.dscp")->old, "EF");
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "inherit");
    answer_done(&a);
    expect("b", "dscp", "inherit", "inherit");
}

static void test_the_upstream_leg_alone(void **state) {
    struct answer a;
    int fd = connect_one("b");

    a = request_set(&running, "b", "upstream.dscp=EF upstream.compression=zlib:3");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bit("upstream.dscp") | bit("upstream.compression"));
    assert_string_equal(key_of(&a, "upstream.dscp")->old, "inherit");
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "EF");
    assert_string_equal(key_of(&a, "upstream.compression")->requested, "zlib:3");
    answer_done(&a);
    expect("b", "dscp", "inherit", "EF");
    expect("b", "compression", "off", "zlib:3");
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 0); /* listening sockets are the client leg's */
    assert_flow_marks(&running, "b", 1, 0);
    assert_flow_settings(&running, "b", "upstream.dscp", "EF", ORIGIN_LISTENER_RUNTIME);
    assert_flow_settings(&running, "b", "dscp", "inherit", ORIGIN_DEFAULT);
    live_send(fd, "plain", 5);
    live_expect_text(fd, "plain");
    close(fd);
}

static void test_the_client_leg_alone(void **state) {
    struct answer a;
    int fd = connect_one("b");

    must_set(&running, "b", "ttl=20");
    a = request_set(&running, "b", "client.ttl=21");
    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bit("client.ttl"));
    assert_string_equal(key_of(&a, "ttl")->old, "20");
    assert_string_equal(key_of(&a, "ttl")->requested, "21");
    assert_int_equal(key_of(&a, "ttl")->applied_flows, 1);
    answer_done(&a);
    expect("b", "ttl", "21", "20");
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TTL), 21);
    must_unset(&running, "b", "upstream.ttl");
    expect("b", "ttl", "21", "11");
    must_set(&running, "b", "ttl=22"); /* the next word about both */
    expect("b", "ttl", "22", "22");
    must_unset(&running, "b", "client.ttl");
    expect("b", "ttl", "11", "22");
    close(fd);
}

static void test_both_legs_in_one_change(void **state) {
    struct answer a = request_set(&running, "b", "dscp=EF upstream.dscp=CS1");

    assert_int_equal(a.keys, bits("dscp"));
    assert_string_equal(key_of(&a, "dscp")->requested, "EF");
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "CS1");
    answer_done(&a);
    expect("b", "dscp", "EF", "CS1");
}

/* ---- a listener without ---- */

static void test_without_an_upstream_leg_nothing_is_told_of_it(void **state) {
    struct answer a = request_set(&running, "e", "dscp=EF");

    assert_int_equal(a.keys, bit("dscp"));
    answer_done(&a);
    a = request_unset(&running, "e", "dscp");
    assert_int_equal(a.keys, bit("dscp"));
    answer_done(&a);
    assert_int_equal(change_runtime_values(running.change), 0); /* of neither leg */
    a = request_unset(&running, "e", "");
    assert_int_equal(a.keys, 0);
    answer_done(&a);
}

static void test_the_upstream_leg_that_is_not_there(void **state) {
    struct answer a = request_set(&running, "e", "upstream.dscp=EF client.ttl=9");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bit("upstream.dscp") | bit("client.ttl"));
    expect_untouched(&a, "upstream.dscp", no_upstream);
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "EF");
    assert_null(key_of(&a, "ttl")->reason);
    answer_done(&a);
    assert_int_equal(endpoint_option(&running, "e", SOL_IP, IP_TOS), 0);
    assert_int_equal(endpoint_option(&running, "e", SOL_IP, IP_TTL), 9);

    a = request_set(&running, "e", "upstream.mark=1");
    expect_untouched(&a, "upstream.mark", no_upstream);
    assert_string_equal(key_of(&a, "upstream.mark")->requested, "0x1");
    answer_done(&a);
    a = request_unset(&running, "e", "");
    assert_int_equal(a.keys, bit("upstream.dscp") | bit("upstream.mark") | bit("ttl"));
    expect_untouched(&a, "upstream.mark", no_upstream);
    answer_done(&a);
    assert_int_equal(change_runtime_values(running.change), 0);
}

static void test_flows_without_an_upstream_leg(void **state) {
    struct answer a;
    int fd = connect_one("e");

    a = request_with(&running, of_source("127.0.0.0/8"), "e", "dscp=EF");
    assert_int_equal(a.keys, bit("dscp"));
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 1);
    answer_done(&a);
    assert_flow_settings(&running, "e", "dscp", "EF", ORIGIN_FLOW);
    assert_flow_settings(&running, "e", "upstream.dscp", "inherit", ORIGIN_DEFAULT);
    a = request_with(&running, of_source("127.0.0.0/8"), "e", "upstream.dscp=EF");
    expect_untouched(&a, "upstream.dscp", no_upstream);
    answer_done(&a);
    close(fd);
}

/* ---- profiles ---- */

static void test_a_profile_of_both_legs(void **state) {
    struct answer a = request_set(&running, "profile:p", "dscp=AF41");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bits("dscp"));
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 3); /* b, u, e */
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "AF41");
    answer_done(&a);
    expect("b", "dscp", "AF41", "AF41");
    expect("u", "dscp", "AF41", "AF41");
    expect("h", "dscp", "inherit", "inherit");
    must_unset(&running, "profile:p", "dscp");
    expect("b", "dscp", "inherit", "inherit");
}

static void test_a_profile_of_the_upstream_leg(void **state) {
    struct answer a = request_set(&running, "profile:q", "dscp=CS1 idle_timeout=5s");

    assert_int_equal(a.status, CHANGE_DONE);
    assert_int_equal(a.keys, bits("dscp") | bit("idle_timeout"));
    expect_untouched(&a, "dscp", only_upstream);
    expect_untouched(&a, "idle_timeout", only_upstream);
    assert_null(key_of(&a, "upstream.dscp")->reason);
    assert_string_equal(key_of(&a, "upstream.dscp")->requested, "CS1");
    answer_done(&a);
    expect("u", "dscp", "inherit", "CS1");
    expect("h", "dscp", "inherit", "CS1");
    expect("b", "dscp", "inherit", "inherit");
    assert_int_equal(endpoint_option(&running, "u", SOL_IP, IP_TOS), 0);

    /* Also where the listener's own profile has a runtime value of the other leg. */
    must_set(&running, "profile:p", "ttl=20");
    set_profile("profile:q", "ttl=30", "ttl", only_upstream);
    expect("u", "ttl", "20", "30");
    unset_profile("profile:q", "ttl", "ttl", only_upstream);
    expect("u", "ttl", "20", "20");
}

static void test_the_upstream_profile_masks_that_of_the_listener(void **state) {
    set_profile("profile:q", "upstream.ttl=44", "upstream.ttl", NULL);
    set_profile("profile:r", "ttl=55", "upstream.ttl", says_otherwise);
    expect("h", "ttl", "55", "44");
    unset_profile("profile:r", "ttl", "upstream.ttl", says_otherwise);
    expect("h", "ttl", "inherit", "44");

    /* One of several listeners takes it: that is no reason to explain. */
    set_profile("profile:p", "ttl=66", "upstream.ttl", NULL);
    expect("u", "ttl", "66", "44");
    expect("b", "ttl", "66", "66");

    /* What the higher one gives up, the lower one has. */
    unset_profile("profile:q", "ttl", "upstream.ttl", NULL);
    expect("u", "ttl", "66", "66");
    unset_profile("profile:q", "ttl", "upstream.ttl", nothing_holds);
    expect("u", "ttl", "66", "66");
}

static void test_a_profile_that_nobody_uses(void **state) {
    struct answer a = request_set(&running, "profile:unused", "ttl=44");

    assert_int_equal(a.keys, bit("ttl"));
    expect_untouched(&a, "ttl", "no listener uses the profile");
    answer_done(&a);
    a = request_set(&running, "profile:unused", "upstream.ttl=44");
    assert_int_equal(a.keys, bit("upstream.ttl"));
    expect_untouched(&a, "upstream.ttl", "no listener uses the profile");
    answer_done(&a);
}

static void test_flows_by_the_profile_of_their_upstream_leg(void **state) {
    struct answer a;
    int fd = connect_one("u");

    a = request_with(&running, of_source("127.0.0.0/8"), "profile:q", "dscp=EF idle_timeout=1ms");
    assert_int_equal(a.status, CHANGE_DONE);
    expect_untouched(&a, "dscp", only_upstream);
    expect_untouched(&a, "idle_timeout", only_upstream);
    answer_done(&a);
    assert_flow_marks(&running, "u", 1, 0);
    assert_flow_settings(&running, "u", "dscp", "inherit", ORIGIN_DEFAULT);
    assert_flow_settings(&running, "u", "upstream.dscp", "EF", ORIGIN_FLOW);
    assert_flow_settings(&running, "u", "idle_timeout", "off", ORIGIN_DEFAULT);

    a = request_with(&running, of_source("127.0.0.0/8"), "profile:p", "dscp=CS1");
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 1);
    answer_done(&a);
    assert_flow_settings(&running, "u", "dscp", "CS1", ORIGIN_FLOW);
    assert_flow_settings(&running, "u", "upstream.dscp", "CS1", ORIGIN_FLOW); /* the latest word about flows holds */
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_plain_name_is_about_both_legs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_upstream_leg_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_client_leg_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_legs_in_one_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_an_upstream_leg_nothing_is_told_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_upstream_leg_that_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_without_an_upstream_leg, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_of_both_legs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_of_the_upstream_leg, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_upstream_profile_masks_that_of_the_listener, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_that_nobody_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_by_the_profile_of_their_upstream_leg, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
