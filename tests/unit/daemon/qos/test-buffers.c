/* SPDX-License-Identifier: MIT */
#include "buffers.h"

#include <linux/socket.h>

#include "sockets.h"

static int lock_of(int fd) {
    return get_int(fd, SOL_SOCKET, SO_BUF_LOCK);
}

static void reports_the_users_unit(void **state) {
    struct qos_socket s = make_socket(AF_INET, SOCK_STREAM);
    union setting_value v;

    assert_int_equal(qos_read(&s, SETTING_RECEIVE_BUFFER, &v), 0);
    assert_value(SETTING_RECEIVE_BUFFER, &v, "auto");
    assert_applied(&s, "receive_buffer", "64K");
    assert_int_equal(get_int(s.fd, SOL_SOCKET, SO_RCVBUF), 2 * 65536);
    assert_int_equal(lock_of(s.fd), SOCK_RCVBUF_LOCK);
    assert_applied(&s, "send_buffer", "32K");
    assert_int_equal(get_int(s.fd, SOL_SOCKET, SO_SNDBUF), 2 * 32768);
    close(s.fd);
}

static void says_that_a_small_one_was_raised(void **state) {
    struct qos_socket s = make_socket(AF_INET, SOCK_DGRAM);
    struct qos_result r = apply_one(&s, "send_buffer", "2K", NULL);

    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_true(r.effective.number > 2048);
    assert_int_equal(r.effective.number * 2, get_int(s.fd, SOL_SOCKET, SO_SNDBUF));
    assert_non_null(strstr(r.reason, "smallest"));
    close(s.fd);
}

struct cap {
    struct settings set;
    long rmem_max, wmem_max;
};

static int asks_for_too_much(void *arg) {
    const struct cap *cap = arg;
    struct qos_socket s = { socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), AF_INET, SOCK_DGRAM };
    struct qos_result r;

    qos_apply_one(&s, SETTING_RECEIVE_BUFFER, &cap->set, NULL, &r);
    CHECK(r.outcome == QOS_APPLIED && r.error == 0 && r.has_effective);
    CHECK(r.effective.number == cap->rmem_max);
    CHECK(r.reason && strstr(r.reason, "net.core.rmem_max") && strstr(r.reason, "CAP_NET_ADMIN"));
    qos_apply_one(&s, SETTING_SEND_BUFFER, &cap->set, NULL, &r);
    CHECK(r.outcome == QOS_APPLIED && r.effective.number == cap->wmem_max);
    CHECK(r.reason && strstr(r.reason, "net.core.wmem_max"));
    return 0;
}

static void a_cap_is_not_a_failure(void **state) {
    struct cap cap = { .rmem_max = read_sysctl("/proc/sys/net/core/rmem_max"),
                       .wmem_max = read_sysctl("/proc/sys/net/core/wmem_max") };

    settings_make(&cap.set, "receive_buffer=1023M", "send_buffer=1023M", NULL);
    run_unprivileged(asks_for_too_much, &cap);
}

static void forces_where_it_may(void **state) {
    struct qos_socket s;
    struct qos_result r;

    need_net_admin();
    s = make_socket(AF_INET, SOCK_DGRAM);
    r = apply_one(&s, "receive_buffer", "512M", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_null(r.reason);
    assert_value(SETTING_RECEIVE_BUFFER, &r.effective, "512M");
    close(s.fd);
}

/* Only the buffer that was asked for; a listener starts its connections with the usual size again. */
static void gives_tuning_back(void **state) {
    struct qos_socket all[] = { make_listener(PATH_V4, 0), make_socket(AF_INET6, SOCK_DGRAM) };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        int rcvbuf = get_int(all[i].fd, SOL_SOCKET, SO_RCVBUF), sndbuf = get_int(all[i].fd, SOL_SOCKET, SO_SNDBUF);

        assert_applied(&all[i], "receive_buffer", "33K");
        assert_applied(&all[i], "send_buffer", "34K");
        assert_applied(&all[i], "receive_buffer", "auto");
        assert_int_equal(lock_of(all[i].fd), SOCK_SNDBUF_LOCK);
        assert_int_equal(get_int(all[i].fd, SOL_SOCKET, SO_RCVBUF), rcvbuf);
        assert_int_equal(get_int(all[i].fd, SOL_SOCKET, SO_SNDBUF), 2 * 34 * 1024);
        assert_applied(&all[i], "send_buffer", "auto");
        assert_int_equal(lock_of(all[i].fd), 0);
        assert_int_equal(get_int(all[i].fd, SOL_SOCKET, SO_SNDBUF), sndbuf);
        close(all[i].fd);
    }
}

static void a_connection_goes_on_from_its_size(void **state) {
    struct connection c;

    connection_make(&c, PATH_V6);
    assert_applied(&c.server, "receive_buffer", "200K");
    assert_applied(&c.server, "receive_buffer", "auto");
    assert_int_equal(lock_of(c.server.fd), 0);
    assert_int_equal(get_int(c.server.fd, SOL_SOCKET, SO_RCVBUF), 2 * 200 * 1024);
    connection_done(&c);
}

static void inherits_size_or_freedom(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct qos_baseline base;
    struct qos_result r;
    int sndbuf = get_int(s.fd, SOL_SOCKET, SO_SNDBUF);

    set_int(s.fd, SOL_SOCKET, SO_RCVBUF, 40 * 1024);
    qos_baseline_capture(&s, &base);
    assert_applied(&s, "receive_buffer", "64K");
    assert_applied(&s, "send_buffer", "64K");
    r = apply_one(&s, "receive_buffer", "inherit", &base);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_null(r.reason);
    assert_value(SETTING_RECEIVE_BUFFER, &r.effective, "40K");
    r = apply_one(&s, "send_buffer", "inherit", &base);
    assert_value(SETTING_SEND_BUFFER, &r.effective, "auto");
    assert_int_equal(get_int(s.fd, SOL_SOCKET, SO_SNDBUF), sndbuf);
    assert_int_equal(lock_of(s.fd), SOCK_RCVBUF_LOCK);
    close(s.fd);
}

struct forced {
    struct connection c;
    struct settings same, more;
    int forced; /* bytes */
};

/* A plain SO_RCVBUF would cut both to net.core.rmem_max. */
static int applies_again(void *arg) {
    const struct forced *f = arg;
    struct qos_socket all[] = { f->c.listener, f->c.server };
    struct qos_baseline base;
    struct qos_result r;

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        qos_apply_one(&all[i], SETTING_RECEIVE_BUFFER, &f->same, NULL, &r);
        CHECK(r.outcome == QOS_APPLIED && r.effective.number == f->forced);
        CHECK(!r.reason);
        qos_apply_one(&all[i], SETTING_RECEIVE_BUFFER, &f->more, NULL, &r);
        CHECK(r.outcome == QOS_APPLIED && r.effective.number == f->forced);
        CHECK(r.reason && strstr(r.reason, "net.core.rmem_max"));
    }
    qos_baseline_capture(&f->c.listener, &base);
    CHECK(qos_apply_accepted(&f->c.server, &f->same, &base) == 0);
    CHECK(qos_apply_accepted(&f->c.server, &f->more, &base) == 0);
    qos_apply_one(&f->c.server, SETTING_RECEIVE_BUFFER, &f->same, NULL, &r);
    CHECK(r.effective.number == f->forced);
    return 0;
}

static void never_cuts_what_was_forced(void **state) {
    struct forced f = { .forced = (int) read_sysctl("/proc/sys/net/core/rmem_max") + 65536 };
    char text[64];

    need_net_admin();
    if (f.forced > 256 << 20)
        skip();
    f.c.listener = make_listener(PATH_V4, 0);
    set_int(f.c.listener.fd, SOL_SOCKET, SO_RCVBUFFORCE, f.forced);
    f.c.client = make_client(PATH_V4, &f.c.listener, 0);
    f.c.server = accept_one(&f.c.listener);
    snprintf(text, sizeof(text), "receive_buffer=%dB", f.forced);
    settings_make(&f.same, text, NULL);
    snprintf(text, sizeof(text), "receive_buffer=%dB", 2 * f.forced);
    settings_make(&f.more, text, NULL);
    run_unprivileged(applies_again, &f);
    connection_done(&f.c);
}

/* The window scale is agreed in the handshake, from the listener's buffer. */
static void a_window_without_scale_defers(void **state) {
    struct qos_socket listener = make_listener(PATH_V4, 2048), server;
    int client = make_client(PATH_V4, &listener, 0);
    struct qos_result r;

    server = accept_one(&listener);
    r = apply_one(&server, "receive_buffer", "150K", NULL);
    assert_int_equal(r.outcome, QOS_DEFERRED);
    assert_non_null(strstr(r.reason, "window scale"));
    assert_value(SETTING_RECEIVE_BUFFER, &r.effective, "150K");
    assert_applied(&server, "receive_buffer", "32K");
    r = apply_one(&server, "receive_buffer", "auto", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_non_null(strstr(r.reason, "window scale"));
    r = apply_one(&server, "send_buffer", "150K", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_null(r.reason);
    close(client);
    close(server.fd);
    close(listener.fd);
}

static void a_scaled_window_does_not(void **state) {
    struct qos_socket fresh = make_socket(AF_INET, SOCK_STREAM);
    struct connection c;
    struct qos_result r;

    connection_make(&c, PATH_V4);
    r = apply_one(&c.server, "receive_buffer", "150K", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    assert_null(r.reason);
    r = apply_one(&c.listener, "receive_buffer", "150K", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    r = apply_one(&fresh, "receive_buffer", "150K", NULL);
    assert_int_equal(r.outcome, QOS_APPLIED);
    connection_done(&c);
    close(fresh.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_the_users_unit),
        cmocka_unit_test(says_that_a_small_one_was_raised),
        cmocka_unit_test(a_cap_is_not_a_failure),
        cmocka_unit_test(forces_where_it_may),
        cmocka_unit_test(gives_tuning_back),
        cmocka_unit_test(a_connection_goes_on_from_its_size),
        cmocka_unit_test(inherits_size_or_freedom),
        cmocka_unit_test(never_cuts_what_was_forced),
        cmocka_unit_test(a_window_without_scale_defers),
        cmocka_unit_test(a_scaled_window_does_not),
    };

    return cmocka_run_group_tests_name("buffers", tests, NULL, NULL);
}
