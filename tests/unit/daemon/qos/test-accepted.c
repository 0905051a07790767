/* SPDX-License-Identifier: MIT */
#include "sockets.h"

static void the_whole_profile_reaches_a_child(void **state) {
    struct qos_baseline base;
    struct settings set;

    settings_make(&set, "dscp=EF", "priority=5", "ttl=9", "send_buffer=50K", "nodelay=false", "keepalive=60s,10s,5",
                  "user_timeout=2s", "pacing_rate=50Mbit", "notsent_lowat=8K", "congestion=reno", NULL);
    for (enum path path = 0; path < PATH_MAX; path++) {
        struct connection c;

        connection_make(&c, path);
        qos_baseline_capture(&c.listener, &base);
        assert_int_equal(qos_apply_accepted(&c.server, &set, &base), 0);
        for (enum setting_id id = 0; id < SETTING_UPSTREAM; id++) {
            _cleanup_free_ char *text = settings_get_text(&set, setting_by_id(id));
            union setting_value v;

            if (!settings_inherits(&set, id) && (setting_by_id(id)->carriers & CARRIER_STREAM)) {
                assert_int_equal(qos_read(&c.server, id, &v), 0);
                assert_value(id, &v, text);
            }
        }
        connection_done(&c);
    }
    settings_done(&set);
}

static void inherited_settings_are_left_alone(void **state) {
    struct qos_baseline base, before, after;
    struct settings set;
    struct connection c;

    settings_make(&set, "nodelay=inherit", "dscp=reflect", NULL);
    connection_make(&c, PATH_V6);
    qos_baseline_capture(&c.listener, &base);
    assert_applied(&c.server, "ttl", "9");
    assert_applied(&c.server, "dscp", "AF11");
    qos_baseline_capture(&c.server, &before);
    assert_int_equal(qos_apply_accepted(&c.server, &set, &base), 0);
    qos_baseline_capture(&c.server, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    connection_done(&c);
    settings_done(&set);
}

static int priority_of_child(const char *dscp, const char *priority, int unit_tos, int unit_priority) {
    struct qos_baseline base;
    struct settings set;
    struct connection c;
    int got;

    settings_make(&set, dscp, priority, NULL);
    c.listener = make_listener(PATH_V4, 0);
    set_int(c.listener.fd, SOL_IP, IP_TOS, unit_tos);
    if (unit_priority)
        set_int(c.listener.fd, SOL_SOCKET, SO_PRIORITY, unit_priority);
    qos_baseline_capture(&c.listener, &base);
    assert_int_equal(qos_apply(&c.listener, &set, bit("dscp") | bit("priority"), &base, NULL, NULL), 0);
    c.client = make_client(PATH_V4, &c.listener, 0);
    c.server = accept_one(&c.listener);
    assert_int_equal(qos_apply_accepted(&c.server, &set, &base), 0);
    got = get_int(c.server.fd, SOL_SOCKET, SO_PRIORITY);
    assert_int_equal(qos_apply(&c.server, &set, bit("dscp"), &base, NULL, NULL), 0);
    assert_int_equal(get_int(c.server.fd, SOL_SOCKET, SO_PRIORITY), got);
    connection_done(&c);
    settings_done(&set);
    return got;
}

/* The child has the mark of the listener, but its priority is 0 and setting the same mark does not change that. */
static void priority_is_the_same_as_after_a_live_change(void **state) {
    assert_int_equal(priority_of_child("dscp=EF", "priority=inherit", 0, 0), 4);
    assert_int_equal(priority_of_child("dscp=EF", "priority=0", 0, 0), 0);
    assert_int_equal(priority_of_child("dscp=EF", "priority=6", 0, 0), 6);
    assert_int_equal(priority_of_child("dscp=CS1", "priority=inherit", 0, 0), 0);
    /* What the socket unit gave: IPTOS= alone, or a Priority= of its own. */
    assert_int_equal(priority_of_child("dscp=inherit", "priority=inherit", 0xb8, 0), 4);
    assert_int_equal(priority_of_child("dscp=inherit", "priority=inherit", 0, 5), 5);
    assert_int_equal(priority_of_child("dscp=AF41", "priority=inherit", 0xb8, 0), 2);
    assert_int_equal(priority_of_child("dscp=AF41", "priority=inherit", 0, 5), 5);
}

/* The listener has it, and nobody asked for it on the connections. */
static int accept_below_a_high_priority(void *arg) {
    struct connection *c = arg;
    struct qos_baseline base;
    struct settings set;

    settings_defaults(&set);
    qos_baseline_capture(&c->listener, &base);
    CHECK(qos_apply_accepted(&c->server, &set, &base) == 0);
    CHECK(get_int(c->server.fd, SOL_SOCKET, SO_PRIORITY) == 0);
    return 0;
}

static void a_priority_that_only_the_unit_may_give(void **state) {
    struct connection c;

    need_net_admin();
    connection_make(&c, PATH_V4);
    set_int(c.listener.fd, SOL_SOCKET, SO_PRIORITY, 7);
    run_unprivileged(accept_below_a_high_priority, &c);
    connection_done(&c);
}

static void the_first_error_does_not_stop_it(void **state) {
    struct qos_baseline base;
    struct settings set;
    struct connection c;

    settings_make(&set, "congestion=nosuchcc", "priority=5", NULL);
    connection_make(&c, PATH_V4);
    qos_baseline_capture(&c.listener, &base);
    assert_int_equal(qos_apply_accepted(&c.server, &set, &base), -ENOENT);
    assert_int_equal(get_int(c.server.fd, SOL_SOCKET, SO_PRIORITY), 5);
    connection_done(&c);
    settings_done(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_profile_reaches_a_child),
        cmocka_unit_test(inherited_settings_are_left_alone),
        cmocka_unit_test(priority_is_the_same_as_after_a_live_change),
        cmocka_unit_test(a_priority_that_only_the_unit_may_give),
        cmocka_unit_test(the_first_error_does_not_stop_it),
    };

    return cmocka_run_group_tests_name("accepted", tests, NULL, NULL);
}
