/* SPDX-License-Identifier: MIT */
#include "sockets.h"

struct attempt {
    struct qos_socket s;
    struct settings set;
    uint64_t mask;
    const struct qos_baseline *base;
    int expected;
    enum setting_id expected_id;
};

struct seen {
    unsigned count;
    enum setting_id id;
    struct qos_result result;
};

static void remember(enum setting_id id, const struct qos_result *result, void *userdata) {
    struct seen *seen = userdata;

    seen->count++;
    seen->id = id;
    seen->result = *result;
}

static int attempt(void *arg) {
    const struct attempt *a = arg;
    struct qos_baseline before, after;
    struct seen seen = { 0 };

    qos_baseline_capture(&a->s, &before);
    CHECK(qos_try(&a->s, &a->set, a->mask, a->base, remember, &seen) == a->expected);
    qos_baseline_capture(&a->s, &after);
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    CHECK(seen.count == (a->expected < 0));
    if (seen.count > 0) {
        CHECK(seen.id == a->expected_id);
        CHECK(seen.result.outcome == QOS_FAILED);
        CHECK(seen.result.error == a->expected);
        CHECK(strlen(qos_failure_cause(seen.id, seen.result.error)) > 0);
    }
    return 0;
}

/* The set's keys are what is tried, unless `mask` names others. */
static void expect(const struct qos_socket *s, const char *name, const char *text, const struct qos_baseline *base,
                   int expected, bool privileged) {
    struct attempt a = { .s = *s, .mask = bit(name), .base = base, .expected = expected };
    char pair[128];

    a.expected_id = setting_find(name)->id;
    snprintf(pair, sizeof(pair), "%s=%s", name, text);
    settings_make(&a.set, pair, NULL);
    if (privileged)
        assert_int_equal(attempt(&a), 0);
    else
        run_unprivileged(attempt, &a);
    settings_done(&a.set);
}

static void a_plain_change_passes(void **state) {
    static const char *const all[][2] = {
        { "dscp", "EF" },
        { "dscp", "reflect" },
        { "priority", "6" },
        { "ttl", "9" },
        { "receive_buffer", "64K" },
        { "receive_buffer", "auto" },
        { "nodelay", "true" },
        { "keepalive", "60s,10s,5" },
        { "pacing_rate", "1Mbit" },
        { "congestion", "reno" },
        { "mark", "0" },
        { "io_buffer", "64K" },
        { "busy_poll", "off" },
    };

    for (enum path path = 0; path < PATH_MAX; path++) {
        struct connection c;
        struct qos_baseline base;

        connection_make(&c, path);
        qos_baseline_capture(&c.listener, &base);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
            expect(&c.listener, all[i][0], all[i][1], &base, 0, false);
            expect(&c.server, all[i][0], all[i][1], NULL, 0, false);
        }
        connection_done(&c);
    }
}

static void what_the_kernel_refuses_is_named(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0), udp = make_socket(AF_INET, SOCK_DGRAM);

    expect(&s, "congestion", "nosuchcc", NULL, -ENOENT, false);
    expect(&udp, "congestion", "nosuchcc", NULL, 0, false);
    expect(&s, "mark", "9", NULL, -EPERM, false);
    expect(&s, "priority", "7", NULL, -EPERM, false);
    expect(&s, "busy_poll", "900ms", NULL, busy_poll_is_guarded() ? -EPERM : 0, false);
    close(s.fd);
    close(udp.fd);
}

/* Changing the mark overwrites the priority, and an undo could not bring 7 back. */
static void a_lost_priority_is_refused(void **state) {
    struct qos_socket s;
    struct qos_baseline base;

    need_net_admin();
    s = make_listener(PATH_V6, 0);
    set_int(s.fd, SOL_IP, IP_TOS, 0x28);
    set_int(s.fd, SOL_IPV6, IPV6_TCLASS, 0x28);
    set_int(s.fd, SOL_SOCKET, SO_PRIORITY, 7);
    qos_baseline_capture(&s, &base);
    expect(&s, "dscp", "EF", NULL, -EPERM, false);
    expect(&s, "priority", "3", &base, -EPERM, false);
    expect(&s, "dscp", "AF11", &base, 0, false); /* has it already */
    expect(&s, "priority", "7", &base, 0, false);
    expect(&s, "ttl", "9", &base, 0, false);
    expect(&s, "dscp", "EF", &base, 0, true);
    close(s.fd);
}

static void a_lost_priority_is_counted_once_for_its_mark(void **state) {
    struct attempt a = { .mask = bit("dscp"), .expected = -EPERM, .expected_id = SETTING_DSCP };
    struct qos_baseline base;

    need_net_admin();
    a.s = make_listener(PATH_V4, 0);
    set_int(a.s.fd, SOL_SOCKET, SO_PRIORITY, 7);
    qos_baseline_capture(&a.s, &base);
    a.base = &base;
    settings_make(&a.set, "dscp=EF", "priority=inherit", NULL);
    run_unprivileged(attempt, &a);
    close(a.s.fd);
}

static void a_lost_mark_is_refused(void **state) {
    struct qos_socket s;
    struct qos_baseline base;

    need_net_admin();
    s = make_socket(AF_INET, SOCK_DGRAM);
    set_int(s.fd, SOL_SOCKET, SO_MARK, 5);
    qos_baseline_capture(&s, &base);
    expect(&s, "mark", "0", &base, -EPERM, false);
    expect(&s, "mark", "5", &base, 0, false);
    expect(&s, "mark", "inherit", &base, 0, false);
    expect(&s, "mark", "0", &base, 0, true);
    close(s.fd);
}

static void a_lost_buffer_is_refused(void **state) {
    struct qos_socket s;
    int forced = (int) read_sysctl("/proc/sys/net/core/rmem_max") + 65536;

    need_net_admin();
    if (forced > 512 << 20)
        skip();
    s = make_listener(PATH_V4, 0);
    set_int(s.fd, SOL_SOCKET, SO_RCVBUFFORCE, forced);
    expect(&s, "receive_buffer", "64K", NULL, -EPERM, false);
    expect(&s, "receive_buffer", "auto", NULL, -EPERM, false);
    expect(&s, "send_buffer", "64K", NULL, 0, false);
    expect(&s, "receive_buffer", "64K", NULL, 0, true);
    close(s.fd);
}

static void a_lost_busy_poll_is_refused(void **state) {
    struct qos_socket s;

    need_net_admin();
    s = make_socket(AF_INET, SOCK_DGRAM);
    set_int(s.fd, SOL_SOCKET, SO_BUSY_POLL, 1000000);
    expect(&s, "busy_poll", "10us", NULL, busy_poll_is_guarded() ? -EPERM : 0, false);
    expect(&s, "busy_poll", "10us", NULL, 0, true);
    close(s.fd);
}

/* One that is available but not allowed to everybody, or NULL. */
static const char *restricted_algorithm(char available[static 512]) {
    char allowed[512] = "";
    FILE *a = fopen("/proc/sys/net/ipv4/tcp_available_congestion_control", "re"),
         *b = fopen("/proc/sys/net/ipv4/tcp_allowed_congestion_control", "re");
    char *save, *name = NULL;

    if (a && b && fgets(available, 512, a) && fgets(allowed, sizeof(allowed), b)) {
        name = strtok_r(available, " \n", &save);
        while (name && strstr(allowed, name))
            name = strtok_r(NULL, " \n", &save);
    }
    if (a)
        fclose(a);
    if (b)
        fclose(b);
    return name;
}

static void a_restricted_algorithm_is_refused_both_ways(void **state) {
    char available[512];
    const char *name = restricted_algorithm(available);
    struct qos_socket s;

    if (!name) {
        print_message("skipped: every congestion control is allowed to everybody\n");
        skip();
    }
    need_net_admin();
    s = make_listener(PATH_V4, 0);
    expect(&s, "congestion", name, NULL, -EPERM, false);
    expect(&s, "congestion", name, NULL, 0, true);
    assert_applied(&s, "congestion", name);
    expect(&s, "congestion", "reno", NULL, -EPERM, false);
    expect(&s, "congestion", name, NULL, 0, false);
    close(s.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_change_passes),       cmocka_unit_test(what_the_kernel_refuses_is_named),
        cmocka_unit_test(a_lost_priority_is_refused),  cmocka_unit_test(a_lost_priority_is_counted_once_for_its_mark),
        cmocka_unit_test(a_lost_mark_is_refused),      cmocka_unit_test(a_lost_buffer_is_refused),
        cmocka_unit_test(a_lost_busy_poll_is_refused), cmocka_unit_test(a_restricted_algorithm_is_refused_both_ways),
    };

    return cmocka_run_group_tests_name("try", tests, NULL, NULL);
}
