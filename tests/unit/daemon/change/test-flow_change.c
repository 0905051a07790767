/* SPDX-License-Identifier: MIT */
#include "running.h"

#include <zlib.h>

static struct running running;

static int setup(void **state) {
    running_begin(&running, "listeners = {"
                            "  a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; };"
                            "  six = { target = \"echo\"; listen = [ \"tcp:[::1]:0\" ]; }; };");
    return 0;
}

static int teardown(void **state) {
    running_end(&running);
    return 0;
}

static int connect_one(const char *listener) {
    unsigned before = live_flows(&running.live);
    int fd = live_connect(&running.live, listener);

    LIVE_UNTIL(&running.live, live_flows(&running.live) == before + 1);
    return fd;
}

static void connect_many(int *fds, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        fds[i] = connect_one("a");
}

static void close_many(int *fds, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static void change_source(const char *prefix, const char *settings) {
    struct change_request request = { .has_source = true };
    struct answer a;

    assert_int_equal(cidr_parse(prefix, &request.source), 0);
    a = request_with(&running, request, "a", settings);
    assert_int_equal(a.status, CHANGE_DONE);
    answer_done(&a);
}

/* How many different sets of settings the flows hold. */
static unsigned n_sets(void) {
    const struct flow_selector all = { 0 };
    static struct flow_row rows[256];
    size_t n = live_list(&running.live, &all, rows, ARRAY_SIZE(rows));
    unsigned distinct = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < i && rows[k].set != rows[i].set)
            k++;
        distinct += k == i;
    }
    for (size_t i = 0; i < n; i++)
        flow_row_done(&rows[i]);
    return distinct;
}

/* ---- what flows share ---- */

static void test_flows_that_had_the_same_share_the_same(void **state) {
    int fds[100];

    connect_many(fds, ARRAY_SIZE(fds));
    assert_int_equal(n_sets(), 1);
    must_set(&running, "a", "dscp=EF");
    assert_int_equal(n_sets(), 1);
    change_source("127.0.0.0/8", "ttl=7");
    assert_true(n_sets() <= 2); /* one a worker */
    must_set(&running, "a", "priority=3");
    assert_true(n_sets() <= 2);
    close_many(fds, ARRAY_SIZE(fds));
}

static void test_flows_that_keep_a_key_share_too(void **state) {
    int fds[50];

    connect_many(fds, ARRAY_SIZE(fds));
    must_set(&running, "a", "max_connections=77 dscp=EF"); /* the first is deferred: each keeps its own */
    assert_true(n_sets() <= 2);
    assert_flow_settings(&running, "a", "dscp", "EF", ORIGIN_LISTENER_RUNTIME);
    assert_flow_settings(&running, "a", "max_connections", "65536", ORIGIN_DEFAULT);
    close_many(fds, ARRAY_SIZE(fds));
}

static void test_many_different_flows_keep_what_is_theirs(void **state) {
    struct address to = live_address(live_endpoint(&running.live, "a", SOCK_STREAM, 0));
    const struct flow_selector all = { 0 };
    struct flow_row rows[20];
    int fds[20];

    /* More sets than a worker remembers during a change. */
    for (unsigned i = 0; i < 20; i++) {
        char from[32], settings[32];

        snprintf(from, sizeof(from), "127.0.0.%u:0", 10 + i);
        fds[i] = live_connect_from(&to, from);
        LIVE_UNTIL(&running.live, live_flows(&running.live) == i + 1);
        snprintf(from, sizeof(from), "127.0.0.%u", 10 + i);
        snprintf(settings, sizeof(settings), "ttl=%u", 10 + i);
        change_source(from, settings);
    }
    must_set(&running, "a", "dscp=EF");
    assert_flow_marks(&running, "a", 20, 46);
    assert_int_equal(live_list(&running.live, &all, rows, 20), 20);
    for (unsigned i = 0; i < 20; i++) {
        char host[ADDRESS_TEXT_MAX], want[ADDRESS_TEXT_MAX];

        snprintf(want, sizeof(want), "127.0.0.%u", (unsigned) rows[i].set->settings.v[SETTING_TTL].number);
        assert_string_equal(address_format_host(&rows[i].client.peer, host), want);
        flow_row_done(&rows[i]);
    }
    close_many(fds, 20);
}

/* ---- priority ---- */

/* The daemon's end of a client's connection. */
static int daemons_end(int client) {
    struct sockaddr_in own, peer;
    socklen_t size = sizeof(own);

    assert_int_equal(getsockname(client, (struct sockaddr *) &own, &size), 0);
    for (int fd = 3; fd < 1024; fd++) {
        size = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *) &peer, &size) == 0 && size == sizeof(peer) &&
            peer.sin_port == own.sin_port)
            return fd;
    }
    fail();
    return -1;
}

static void test_a_flows_own_priority_stays_behind_each_change_of_the_mark(void **state) {
    int fd = connect_one("a"), end = daemons_end(fd);

    change_source("127.0.0.1", "priority=5");
    assert_int_equal(get_int(end, SOL_SOCKET, SO_PRIORITY), 5);
    must_set(&running, "a", "dscp=AF41");
    assert_int_equal(get_int(end, SOL_SOCKET, SO_PRIORITY), 5);
    change_source("127.0.0.1", "dscp=EF");
    assert_int_equal(get_int(end, SOL_SOCKET, SO_PRIORITY), 5);
    must_set(&running, "a", "priority=3");
    assert_int_equal(get_int(end, SOL_SOCKET, SO_PRIORITY), 3);
    close(fd);
}

/* ---- reflect ---- */

/* A client that marks what it sends, from its handshake on. */
static int connect_marked(const char *listener, int level, int optname, int tos) {
    struct address to = live_address(live_endpoint(&running.live, listener, SOCK_STREAM, 0));
    int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    set_int(fd, level, optname, tos);
    assert_int_equal(connect(fd, &to.sa, to.size), 0);
    LIVE_UNTIL(&running.live, live_flows(&running.live) == 1);
    return fd;
}

static void assert_reflects(const char *listener, int level, int optname) {
    int fd = connect_marked(listener, level, optname, 46 << 2);

    assert_flow_marks(&running, listener, 1, 0);
    must_set(&running, listener, "dscp=reflect");
    assert_flow_marks(&running, listener, 1, 46);
    must_set(&running, listener, "dscp=CS1");
    assert_flow_marks(&running, listener, 1, 8);
    must_set(&running, listener, "dscp=reflect");
    assert_flow_marks(&running, listener, 1, 46);
    must_set(&running, listener, "priority=4"); /* another key leaves the mark */
    assert_flow_marks(&running, listener, 1, 46);
    must_unset(&running, listener, "dscp");
    assert_flow_marks(&running, listener, 1, 0);
    close(fd);
}

static void test_reflect_on_an_established_flow(void **state) {
    assert_reflects("a", SOL_IP, IP_TOS);
}

static void test_reflect_on_an_established_v6_flow(void **state) {
    assert_reflects("six", SOL_IPV6, IPV6_TCLASS);
}

static void test_reflect_from_the_first_reply_on(void **state) {
    int fd;

    must_set(&running, "a", "dscp=reflect");
    fd = connect_marked("a", SOL_IP, IP_TOS, 10 << 2);
    assert_flow_marks(&running, "a", 1, 10);
    close(fd);
}

static void test_v6_follows_the_latest_mark(void **state) {
    int fd;

    must_set(&running, "six", "dscp=reflect");
    fd = connect_marked("six", SOL_IPV6, IPV6_TCLASS, 10 << 2);
    assert_flow_marks(&running, "six", 1, 10);
    set_int(fd, SOL_IPV6, IPV6_TCLASS, 20 << 2);
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    assert_flow_marks(&running, "six", 1, 20);
    close(fd);
}

/* ---- compression ---- */

/* Inflates what comes until these bytes are there. */
static void expect_inflated(int fd, z_stream *z, const char *text) {
    size_t size = strlen(text), got = 0;
    uint8_t in[4096], out[4096];

    while (got < size) {
        ssize_t n = recv(fd, in, sizeof(in), 0);

        assert_true(n > 0);
        z->next_in = in;
        z->avail_in = (uInt) n;
        z->next_out = out + got;
        z->avail_out = (uInt) (sizeof(out) - got);
        assert_int_equal(inflate(z, Z_SYNC_FLUSH), Z_OK);
        got = sizeof(out) - z->avail_out;
    }
    assert_int_equal(got, size);
    assert_memory_equal(out, text, size);
}

static void test_the_level_changes_within_a_stream(void **state) {
    static const char *const levels[] = { "zlib:9", "zlib:2", "off", "zlib:5", "gzip", "zlib:1" };
    z_stream z = { 0 };
    struct answer a;
    int fd;

    must_set(&running, "a", "compression=zlib:1");
    fd = connect_one("a");
    assert_int_equal(inflateInit(&z), Z_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
        char settings[32];

        live_send(fd, "hello hello hello", 17);
        expect_inflated(fd, &z, "hello hello hello");
        snprintf(settings, sizeof(settings), "compression=%s", levels[i]);
        a = request_set(&running, "a", settings);
        assert_int_equal(a.status, CHANGE_DONE);
        if (streq(levels[i], "gzip")) {
            assert_int_equal(key_of(&a, "compression")->deferred, 1);
            assert_flow_settings(&running, "a", "compression", "zlib:5", ORIGIN_LISTENER_RUNTIME);
        } else {
            assert_int_equal(key_of(&a, "compression")->applied_flows, 1);
        }
        answer_done(&a);
    }
    live_send(fd, "good bye", 8);
    expect_inflated(fd, &z, "good bye");
    inflateEnd(&z);
    close(fd);
}

/* ---- timers ---- */

static void test_idle_timeout_of_a_flow_that_is_idle_already(void **state) {
    int fd = connect_one("a"), other = connect_one("six");

    must_set(&running, "a", "idle_timeout=1ms");
    live_expect_end(fd);
    must_set(&running, "six", "idle_timeout=1h");
    must_set(&running, "six", "idle_timeout=off");
    live_send(other, "x", 1);
    live_expect_text(other, "x");
    close(fd);
    close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flows_that_had_the_same_share_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_that_keep_a_key_share_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_different_flows_keep_what_is_theirs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flows_own_priority_stays_behind_each_change_of_the_mark, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_reflect_on_an_established_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reflect_on_an_established_v6_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reflect_from_the_first_reply_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_v6_follows_the_latest_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_level_changes_within_a_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_timeout_of_a_flow_that_is_idle_already, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
