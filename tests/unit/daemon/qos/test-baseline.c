/* SPDX-License-Identifier: MIT */
#include <linux/socket.h>

#include "sockets.h"

static uint64_t now(const struct qos_socket *s, enum qos_option o) {
    struct qos_baseline b;

    qos_baseline_capture(s, &b);
    assert_true(b.known >> o & 1);
    return b.option[o];
}

static void captures_what_the_socket_has(void **state) {
    struct qos_socket v4 = make_listener(PATH_V4, 0), v6 = make_listener(PATH_V6, 0),
                      udp = make_socket(AF_INET, SOCK_DGRAM);
    struct qos_baseline b;

    set_int(v4.fd, SOL_IP, IP_TOS, 0x28);
    qos_baseline_capture(&v4, &b);
    assert_int_equal(b.option[QOS_OPTION_TOS] & 0xfc, 0x28);
    assert_int_equal(b.option[QOS_OPTION_PRIORITY], 2);
    assert_false(b.known >> QOS_OPTION_TCLASS & 1);
    assert_true(b.known >> QOS_OPTION_NODELAY & 1);
    assert_string_not_equal(b.congestion, "");
    qos_baseline_capture(&v6, &b);
    assert_int_equal(b.known, (1u << QOS_OPTION_GRO) - 1); /* from there on those of datagram sockets */
    qos_baseline_capture(&udp, &b);
    assert_false(b.known >> QOS_OPTION_NODELAY & 1);
    assert_true(b.known >> QOS_OPTION_RCVBUF & 1);
    assert_true(b.known >> QOS_OPTION_GRO & 1);
    assert_true(b.known >> QOS_OPTION_RECVERR & 1);
    assert_false(b.known >> QOS_OPTION_RECVERR6 & 1);
    assert_string_equal(b.congestion, "");
    close(v4.fd);
    close(v6.fd);
    close(udp.fd);
}

static void restores_only_what_differs(void **state) {
    struct qos_socket s = make_listener(PATH_V6, 0);
    struct qos_baseline base, after;
    unsigned failed;

    set_int(s.fd, SOL_IP, IP_TOS, 0x28);
    set_int(s.fd, SOL_SOCKET, SO_PRIORITY, 5);
    qos_baseline_capture(&s, &base);
    assert_int_equal(qos_baseline_differs(&s, &base), 0);
    assert_int_equal(qos_baseline_restore(&s, &base, &failed), 0);
    assert_int_equal(failed, 0);

    set_int(s.fd, SOL_IP, IP_TOS, 0xb8); /* the priority with it */
    set_int(s.fd, SOL_IPV6, IPV6_TCLASS, 0xb8);
    set_int(s.fd, SOL_IPV6, IPV6_UNICAST_HOPS, 9);
    set_int(s.fd, SOL_TCP, TCP_NODELAY, 1);
    set_int(s.fd, SOL_TCP, TCP_USER_TIMEOUT, 700);
    assert_int_equal(qos_baseline_differs(&s, &base), SETTING_BIT(SETTING_DSCP) | SETTING_BIT(SETTING_PRIORITY) |
                                                              SETTING_BIT(SETTING_TTL) | SETTING_BIT(SETTING_NODELAY) |
                                                              SETTING_BIT(SETTING_USER_TIMEOUT));
    assert_int_equal(qos_baseline_restore(&s, &base, &failed), 6);
    assert_int_equal(failed, 0);
    qos_baseline_capture(&s, &after);
    assert_memory_equal(base.option, after.option, sizeof(base.option));
    close(s.fd);
}

/* Both the size and the kernel's freedom to choose it. */
static void restores_buffers(void **state) {
    struct qos_socket tcp = make_listener(PATH_V4, 0), udp = make_socket(AF_INET, SOCK_DGRAM);
    struct qos_socket *all[] = { &tcp, &udp };
    struct qos_baseline base, after;
    unsigned failed;

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        set_int(all[i]->fd, SOL_SOCKET, SO_SNDBUF, 40000);
        qos_baseline_capture(all[i], &base);
        assert_int_equal(base.option[QOS_OPTION_BUF_LOCK], SOCK_SNDBUF_LOCK);
        set_int(all[i]->fd, SOL_SOCKET, SO_SNDBUF, 50000);
        set_int(all[i]->fd, SOL_SOCKET, SO_RCVBUF, 50000);
        assert_int_equal(qos_baseline_restore(all[i], &base, &failed), 3);
        assert_int_equal(failed, 0);
        qos_baseline_capture(all[i], &after);
        assert_memory_equal(base.option, after.option, sizeof(base.option));
        close(all[i]->fd);
    }
}

/* The kernel may have tuned a connection's buffer since: that is not to be cut. */
static void leaves_a_tuned_size_alone(void **state) {
    struct qos_baseline base;
    struct connection c;
    unsigned failed;

    connection_make(&c, PATH_V4);
    qos_baseline_capture(&c.server, &base);
    set_int(c.server.fd, SOL_SOCKET, SO_RCVBUF, 150000);
    assert_int_equal(qos_baseline_restore(&c.server, &base, &failed), 1);
    assert_int_equal(failed, 0);
    assert_int_equal(now(&c.server, QOS_OPTION_BUF_LOCK), 0);
    assert_int_equal(now(&c.server, QOS_OPTION_RCVBUF), 300000);
    connection_done(&c);
}

static void restores_congestion_control(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct qos_baseline base, after;
    unsigned failed;

    assert_applied(&s, "congestion", "reno");
    qos_baseline_capture(&s, &base);
    memcpy(base.congestion, "nosuchcc", sizeof("nosuchcc"));
    assert_int_equal(qos_baseline_restore(&s, &base, &failed), 0);
    assert_int_equal(failed, 1);
    qos_baseline_capture(&s, &after);
    assert_string_equal(after.congestion, "reno");
    close(s.fd);
}

static int restores_a_priority(void *arg) {
    const struct qos_socket *s = arg;
    struct qos_baseline base;
    unsigned failed;
    int tos = 0xb8;

    qos_baseline_capture(s, &base);
    CHECK(setsockopt(s->fd, SOL_IP, IP_TOS, &tos, sizeof(tos)) == 0);
    CHECK(qos_baseline_restore(s, &base, &failed) == 1);
    CHECK(failed == 1);
    return 0;
}

static void counts_what_it_could_not_restore(void **state) {
    struct qos_socket s;

    need_net_admin();
    s = make_listener(PATH_V4, 0);
    set_int(s.fd, SOL_SOCKET, SO_PRIORITY, 7);
    run_unprivileged(restores_a_priority, &s);
    close(s.fd);
}

static void json_round_trip(void **state) {
    struct qos_socket s = make_listener(PATH_V6, 0);
    struct qos_baseline base, back;
    _cleanup_free_ char *text = NULL;
    json_t *j;

    qos_baseline_capture(&s, &base);
    assert_true(base.option[QOS_OPTION_PACING_RATE] == UINT64_MAX);
    j = qos_baseline_to_json(&base);
    assert_non_null(j);
    text = json_dumps(j, 0);
    json_decref(j);
    j = json_loads(text, 0, NULL);
    assert_non_null(j);
    assert_int_equal(qos_baseline_from_json(j, &back), 0);
    json_decref(j);
    assert_memory_equal(&base, &back, sizeof(base));
    close(s.fd);
}

static void json_says_only_what_is_known(void **state) {
    struct qos_baseline b = { .known = 1u << QOS_OPTION_TTL, .option[QOS_OPTION_TTL] = 64 };
    json_t *j = qos_baseline_to_json(&b);

    assert_non_null(j);
    assert_int_equal(json_object_size(j), 1);
    assert_int_equal(json_integer_value(json_object_get(j, "ttl")), 64);
    json_decref(j);
}

static void json_is_checked(void **state) {
    static const char *const bad[] = {
        "[]",
        "{\"tos\":\"EF\"}",
        "{\"tos\":4294967296}",
        "{\"priority\":-1}",
        "{\"congestion\":5}",
        "{\"congestion\":\"sixteen-letters-\"}",
        "{\"congestion\":\"a\\u0000b\"}",
    };
    struct qos_baseline b = { .known = 99 };
    json_t *j;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        j = json_loads(bad[i], JSON_ALLOW_NUL, NULL);
        assert_non_null(j);
        assert_int_equal(qos_baseline_from_json(j, &b), -EINVAL);
        assert_int_equal(b.known, 99);
        json_decref(j);
    }
    assert_int_equal(qos_baseline_from_json(NULL, &b), -EINVAL);
    j = json_loads("{\"tos\":184,\"from_the_future\":[]}", 0, NULL);
    assert_int_equal(qos_baseline_from_json(j, &b), 0);
    assert_int_equal(b.known, 1u << QOS_OPTION_TOS);
    assert_int_equal(b.option[QOS_OPTION_TOS], 184);
    json_decref(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures_what_the_socket_has),
        cmocka_unit_test(restores_only_what_differs),
        cmocka_unit_test(restores_buffers),
        cmocka_unit_test(leaves_a_tuned_size_alone),
        cmocka_unit_test(restores_congestion_control),
        cmocka_unit_test(counts_what_it_could_not_restore),
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(json_says_only_what_is_known),
        cmocka_unit_test(json_is_checked),
    };

    return cmocka_run_group_tests_name("baseline", tests, NULL, NULL);
}
