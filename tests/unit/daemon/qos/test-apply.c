/* SPDX-License-Identifier: MIT */
#include <poll.h>

#include "dscp.h"
#include "sockets.h"

static const struct {
    const char *name, *text;
} unprivileged[] = {
    { "dscp", "AF21" },         { "ttl", "77" },           { "receive_buffer", "50K" },   { "send_buffer", "51K" },
    { "nodelay", "true" },      { "nodelay", "false" },    { "keepalive", "60s,10s,5" },  { "keepalive", "off" },
    { "user_timeout", "1500ms" }, { "user_timeout", "off" }, { "congestion", "reno" },    { "pacing_rate", "50Mbit" },
    { "pacing_rate", "unlimited" }, { "notsent_lowat", "16K" }, { "notsent_lowat", "off" }, { "priority", "5" },
    { "priority", "0" },
}, privileged[] = {
    { "priority", "7" }, { "mark", "0x2a" }, { "mark", "0xffffffff" }, { "busy_poll", "50us" }, { "busy_poll", "off" },
};

static void apply_where_it_fits(const struct qos_socket *s, const char *name, const char *text) {
    unsigned carrier = s->listening ? CARRIER_LISTENING : s->type == SOCK_STREAM ? CARRIER_STREAM : CARRIER_DATAGRAM;
    struct qos_result r;

    if (setting_find(name)->carriers & carrier) {
        assert_applied(s, name, text);
        return;
    }
    r = apply_one(s, name, text, NULL);
    assert_int_equal(r.outcome, QOS_NOT_APPLICABLE);
    assert_false(r.has_effective);
}

static void on_every_socket(void (*fn)(const struct qos_socket *s)) {
    for (enum path path = 0; path < PATH_MAX; path++) {
        struct connection c;
        struct qos_socket udp;
        int sender;

        connection_make(&c, path);
        datagram_pair(path, &udp, &sender);
        fn(&c.listener);
        fn(&c.server);
        fn(&udp);
        connection_done(&c);
        close(udp.fd);
        close(sender);
    }
}

static void apply_unprivileged(const struct qos_socket *s) {
    for (size_t i = 0; i < ARRAY_SIZE(unprivileged); i++)
        apply_where_it_fits(s, unprivileged[i].name, unprivileged[i].text);
}

static void every_setting_is_applied_and_read_back(void **state) {
    on_every_socket(apply_unprivileged);
}

static void apply_privileged(const struct qos_socket *s) {
    for (size_t i = 0; i < ARRAY_SIZE(privileged); i++)
        apply_where_it_fits(s, privileged[i].name, privileged[i].text);
}

static void with_the_capability_too(void **state) {
    need_net_admin();
    on_every_socket(apply_privileged);
}

static void reaches_the_kernel(void **state) {
    struct connection c;

    connection_make(&c, PATH_V4);
    assert_applied(&c.server, "dscp", "EF");
    assert_int_equal(get_int(c.server.fd, SOL_IP, IP_TOS) & 0xfc, 0xb8);
    assert_applied(&c.server, "ttl", "9");
    assert_int_equal(get_int(c.server.fd, SOL_IP, IP_TTL), 9);
    assert_applied(&c.server, "keepalive", "60s,10s,5");
    assert_int_equal(get_int(c.server.fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_KEEPCNT), 5);
    assert_applied(&c.server, "user_timeout", "1500ms");
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_USER_TIMEOUT), 1500);
    assert_applied(&c.server, "notsent_lowat", "16K");
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_NOTSENT_LOWAT), 16384);
    assert_int_equal(apply_one(&c.server, "quickack", "false", NULL).outcome, QOS_APPLIED);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_QUICKACK), 0);
    assert_int_equal(apply_one(&c.server, "quickack", "true", NULL).outcome, QOS_APPLIED);
    assert_int_equal(get_int(c.server.fd, SOL_TCP, TCP_QUICKACK), 1);
    connection_done(&c);
}

/* An IPv6 socket may carry IPv4, which uses only the IPv4 options. */
static void both_families_on_a_dual_stack_socket(void **state) {
    struct qos_socket s = make_listener(PATH_V6, 0);

    assert_applied(&s, "dscp", "AF41");
    assert_int_equal(get_int(s.fd, SOL_IP, IP_TOS) & 0xfc, dscp_to_tos(34));
    assert_int_equal(get_int(s.fd, SOL_IPV6, IPV6_TCLASS) & 0xfc, dscp_to_tos(34));
    assert_applied(&s, "ttl", "33");
    assert_int_equal(get_int(s.fd, SOL_IP, IP_TTL), 33);
    assert_int_equal(get_int(s.fd, SOL_IPV6, IPV6_UNICAST_HOPS), 33);
    close(s.fd);
}

static void a_mapped_connection_is_read_as_ipv4(void **state) {
    union setting_value v;
    struct connection c;

    connection_make(&c, PATH_MAPPED);
    set_int(c.server.fd, SOL_IP, IP_TOS, 0xb8);
    assert_int_equal(qos_read(&c.server, SETTING_DSCP, &v), 0);
    assert_value(SETTING_DSCP, &v, "EF");
    connection_done(&c);
}

static void remember(enum setting_id id, const struct qos_result *result, void *userdata) {
    uint64_t *seen = userdata;

    assert_false(*seen & SETTING_BIT(id));
    *seen |= SETTING_BIT(id);
}

static void priority_goes_behind_the_mark(void **state) {
    struct qos_socket s = make_socket(AF_INET6, SOCK_STREAM);
    struct settings set;
    uint64_t seen = 0;

    settings_make(&set, "dscp=EF", "priority=3", NULL);
    assert_int_equal(qos_apply(&s, &set, bit("dscp") | bit("priority"), NULL, remember, &seen), 0);
    assert_int_equal(seen, bit("dscp") | bit("priority"));
    assert_int_equal(get_int(s.fd, SOL_SOCKET, SO_PRIORITY), 3);

    /* A later change of the mark alone. */
    settings_make(&set, "dscp=AF12", "priority=3", NULL);
    seen = 0;
    assert_int_equal(qos_apply(&s, &set, bit("dscp"), NULL, remember, &seen), 0);
    assert_int_equal(seen, bit("dscp"));
    assert_int_equal(get_int(s.fd, SOL_SOCKET, SO_PRIORITY), 3);
    close(s.fd);
}

static int priority_after(const struct qos_socket *s, const char *dscp, const struct qos_baseline *base) {
    struct settings set;

    settings_make(&set, dscp, "priority=inherit", NULL);
    assert_int_equal(qos_apply(s, &set, bit("dscp"), base, NULL, NULL), 0);
    return get_int(s->fd, SOL_SOCKET, SO_PRIORITY);
}

static void an_inherited_priority_follows_the_mark(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct qos_baseline base;

    qos_baseline_capture(&s, &base);
    assert_int_equal(priority_after(&s, "dscp=EF", &base), 4);
    assert_int_equal(priority_after(&s, "dscp=AF12", &base), 6);
    set_int(s.fd, SOL_SOCKET, SO_PRIORITY, 1);
    assert_int_equal(priority_after(&s, "dscp=AF12", &base), 6);
    assert_int_equal(priority_after(&s, "dscp=inherit", &base), 0);
    close(s.fd);
}

static void a_priority_of_the_unit_stays(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct qos_baseline base;

    set_int(s.fd, SOL_SOCKET, SO_PRIORITY, 5);
    qos_baseline_capture(&s, &base);
    assert_int_equal(priority_after(&s, "dscp=EF", &base), 5);
    assert_int_equal(priority_after(&s, "dscp=inherit", &base), 5);
    close(s.fd);
}

static void inherit_goes_back_to_the_baseline(void **state) {
    static const char *const names[] = { "dscp",         "priority",      "ttl",        "nodelay",    "keepalive",
                                         "user_timeout", "notsent_lowat", "congestion", "pacing_rate" };
    struct qos_socket s = make_listener(PATH_V6, 0);
    struct qos_baseline base, after;
    unsigned failed;

    set_int(s.fd, SOL_IP, IP_TOS, 0x28);
    set_int(s.fd, SOL_IPV6, IPV6_TCLASS, 0x50);
    set_int(s.fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(s.fd, SOL_TCP, TCP_KEEPCNT, 3);
    qos_baseline_capture(&s, &base);
    apply_unprivileged(&s);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct qos_result r = apply_one(&s, names[i], "inherit", &base);

        assert_int_equal(r.outcome, QOS_APPLIED);
        assert_true(r.has_effective);
    }
    assert_int_equal(apply_one(&s, "receive_buffer", "inherit", &base).outcome, QOS_APPLIED);
    assert_int_equal(apply_one(&s, "send_buffer", "inherit", &base).outcome, QOS_APPLIED);
    qos_baseline_capture(&s, &after);
    assert_memory_equal(&base, &after, sizeof(base));
    assert_int_equal(qos_baseline_restore(&s, &base, &failed), 0);
    close(s.fd);
}

static void inherit_without_a_baseline_leaves_it(void **state) {
    struct qos_socket s = make_socket(AF_INET, SOCK_STREAM);
    struct qos_result r;

    assert_applied(&s, "ttl", "9");
    r = apply_one(&s, "ttl", "inherit", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_value(SETTING_TTL, &r.effective, "9");
    close(s.fd);
}

static void reflect_is_the_base_mark(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct qos_baseline base;
    struct qos_result r;

    set_int(s.fd, SOL_IP, IP_TOS, 0x28);
    qos_baseline_capture(&s, &base);
    assert_applied(&s, "dscp", "EF");
    r = apply_one(&s, "dscp", "reflect", &base);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_value(SETTING_DSCP, &r.effective, "AF11");
    close(s.fd);
}

static void settings_of_the_daemon_have_no_socket(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct settings set;
    union setting_value v;
    uint64_t seen = 0;

    assert_int_equal(apply_one(&s, "io_buffer", "64K", NULL).outcome, QOS_NOT_APPLICABLE);
    assert_int_equal(qos_read(&s, SETTING_IO_BUFFER, &v), -EOPNOTSUPP);
    assert_int_equal(apply_one(&s, "quickack", "true", NULL).outcome, QOS_NOT_APPLICABLE);
    settings_make(&set, NULL);
    assert_int_equal(qos_apply(&s, &set, bit("io_buffer") | bit("allow") | bit("ttl"), NULL, remember, &seen), 0);
    assert_int_equal(seen, bit("io_buffer") | bit("allow") | bit("ttl"));
    settings_done(&set);
    close(s.fd);
}

static void goes_on_after_an_error(void **state) {
    struct qos_socket s = make_socket(AF_INET, SOCK_STREAM);
    struct qos_socket listener = make_listener(PATH_V4, 0);
    struct settings set;
    struct qos_result r;

    settings_make(&set, "congestion=nosuchcc", "dscp=EF", "notsent_lowat=8K", NULL);
    assert_int_equal(qos_apply(&s, &set, bit("dscp") | bit("congestion") | bit("notsent_lowat"), NULL, NULL, NULL),
                     -ENOENT);
    assert_int_equal(get_int(s.fd, SOL_IP, IP_TOS) & 0xfc, 0xb8);
    assert_int_equal(get_int(s.fd, SOL_TCP, TCP_NOTSENT_LOWAT), 8192);
    r = apply_one(&listener, "congestion", "nosuchcc", NULL);
    assert_int_equal(r.outcome, QOS_FAILED);
    assert_int_equal(r.error, -ENOENT);
    close(s.fd);
    close(listener.fd);
}

/* The same refusal means nothing on a connection that was reset meanwhile. */
static void a_lost_connection_is_no_failure(void **state) {
    const struct linger reset = { .l_onoff = 1 };
    struct settings set;
    struct qos_result r;
    struct connection c;
    struct pollfd p;

    settings_make(&set, NULL);
    set.inherit_mask &= ~bit("ttl");
    set.v[SETTING_TTL].number = 300;
    connection_make(&c, PATH_V4);
    qos_apply_one(&c.server, SETTING_TTL, &set, NULL, &r);
    assert_int_equal(r.outcome, QOS_FAILED);
    assert_int_equal(r.error, -EINVAL);

    assert_int_equal(setsockopt(c.client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(c.client);
    p = (struct pollfd){ .fd = c.server.fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 5000), 1);
    qos_apply_one(&c.server, SETTING_TTL, &set, NULL, &r);
    assert_int_equal(r.outcome, QOS_NOT_APPLICABLE);
    assert_int_equal(r.error, 0);
    close(c.server.fd);
    close(c.listener.fd);
}

static int refused_without_capability(void *arg) {
    const struct qos_socket *s = arg;
    struct settings set;
    struct qos_result r;

    settings_make(&set, "mark=7", "priority=7", NULL);
    qos_apply_one(s, SETTING_MARK, &set, NULL, &r);
    CHECK(r.outcome == QOS_FAILED && r.error == -EPERM);
    CHECK(strstr(qos_failure_cause(SETTING_MARK, r.error), "CAP_NET_ADMIN"));
    qos_apply_one(s, SETTING_PRIORITY, &set, NULL, &r);
    CHECK(r.outcome == QOS_FAILED && r.error == -EPERM);
    return 0;
}

static int busy_poll_refused(void *arg) {
    struct settings set;
    struct qos_result r;

    settings_make(&set, "busy_poll=900ms", NULL);
    qos_apply_one(arg, SETTING_BUSY_POLL, &set, NULL, &r);
    CHECK(r.outcome == QOS_FAILED && r.error == -EPERM);
    return 0;
}

static void some_need_a_capability(void **state) {
    struct qos_socket s = make_socket(AF_INET, SOCK_STREAM);

    run_unprivileged(refused_without_capability, &s);
    if (busy_poll_is_guarded())
        run_unprivileged(busy_poll_refused, &s);
    close(s.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_is_applied_and_read_back),
        cmocka_unit_test(with_the_capability_too),
        cmocka_unit_test(reaches_the_kernel),
        cmocka_unit_test(both_families_on_a_dual_stack_socket),
        cmocka_unit_test(a_mapped_connection_is_read_as_ipv4),
        cmocka_unit_test(priority_goes_behind_the_mark),
        cmocka_unit_test(an_inherited_priority_follows_the_mark),
        cmocka_unit_test(a_priority_of_the_unit_stays),
        cmocka_unit_test(inherit_goes_back_to_the_baseline),
        cmocka_unit_test(inherit_without_a_baseline_leaves_it),
        cmocka_unit_test(reflect_is_the_base_mark),
        cmocka_unit_test(settings_of_the_daemon_have_no_socket),
        cmocka_unit_test(goes_on_after_an_error),
        cmocka_unit_test(a_lost_connection_is_no_failure),
        cmocka_unit_test(some_need_a_capability),
    };

    return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
