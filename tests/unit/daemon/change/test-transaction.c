/* SPDX-License-Identifier: MIT */
#include "running.h"

#include <linux/capability.h>
#include <sys/syscall.h>

static struct running running;

#define CONFIG                                                                                                         \
    "listeners = {"                                                                                                    \
    "  a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"                             \
    "  b = { target = \"echo\"; max_connections = 1; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"

static int setup(void **state) {
    running_begin(&running, CONFIG);
    return 0;
}

static int teardown(void **state) {
    running_end(&running);
    return 0;
}

/* ---- a main thread that runs out of memory ---- */

static _Thread_local unsigned fail_at; /* this allocation from now on, counted from 1; 0: none */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size) {
    if (fail_at > 0 && --fail_at == 0)
        return NULL;
    return __real_calloc(n, size);
}

/* ---- capabilities of this thread, and of the threads that it starts ---- */

static struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];

static void capset_or_fail(const struct __user_cap_data_struct *data) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void capabilities_off(void) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

    assert_int_equal(syscall(SYS_capget, &header, capabilities), 0);
    memcpy(none, capabilities, sizeof(none));
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        none[i].effective = 0;
    capset_or_fail(none);
}

static void capabilities_on(void) {
    capset_or_fail(capabilities);
}

/* Workers that lack what the main thread has: a change fails first on a flow. */
static int setup_weak_workers(void **state) {
    running = (struct running){ 0 };
    capabilities_off();
    live_begin(&running.live, 2);
    capabilities_on();
    running_put_in_force(&running, CONFIG);
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

/* ---- refused before anything has changed ---- */

static void assert_untouched(const struct answer *a, unsigned n_flows) {
    assert_int_equal(a->status, CHANGE_FAILED);
    assert_int_equal(a->undo_failed, 0);
    assert_int_equal(change_runtime_values(running.change), 0);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 0);
    assert_int_equal(endpoint_option(&running, "a", SOL_SOCKET, SO_MARK), 0);
    assert_flow_marks(&running, "a", n_flows, 0);
    assert_flow_settings(&running, "a", "dscp", "inherit", ORIGIN_DEFAULT);
}

static void test_a_value_that_no_socket_takes(void **state) {
    struct answer a;
    int fds[3];

    connect_many(fds, 3, "a");
    a = request_set(&running, "a", "dscp=EF congestion=nosuch");
    assert_untouched(&a, 3);
    assert_true(key_of(&a, "congestion")->failed > 0);
    assert_int_equal(key_of(&a, "congestion")->error, -ENOENT);
    assert_int_equal(key_of(&a, "dscp")->applied_endpoints, 0);
    assert_int_equal(key_of(&a, "dscp")->applied_flows, 0);
    assert_string_equal(key_of(&a, "dscp")->reason, "not changed, because another key of the change failed");
    answer_done(&a);
    close_many(fds, 3);
}

static void test_a_value_that_lacks_a_capability(void **state) {
    struct answer a;
    int fd;

    connect_many(&fd, 1, "a");
    capabilities_off();
    a = request_set(&running, "a", "dscp=EF mark=0x7");
    capabilities_on();
    assert_untouched(&a, 1);
    assert_int_equal(key_of(&a, "mark")->error, -EPERM);
    assert_true(key_of(&a, "mark")->failed > 0);
    answer_done(&a);
    close(fd);
}

static void test_after_a_failure_the_next_change_works(void **state) {
    struct answer a = request_set(&running, "a", "congestion=nosuch");

    assert_int_equal(a.status, CHANGE_FAILED);
    answer_done(&a);
    must_set(&running, "a", "dscp=EF");
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TOS), 46 << 2);
}

/* ---- refused by a flow: everything is taken back ---- */

static void test_what_a_flow_refuses_is_undone_everywhere(void **state) {
    struct answer a;
    int fds[150];

    need_net_admin();
    connect_many(fds, 150, "a");
    a = request_set(&running, "a", "dscp=EF mark=0x7 io_buffer=8K");
    assert_untouched(&a, 150);
    assert_int_equal(key_of(&a, "mark")->failed, 150);
    assert_int_equal(key_of(&a, "mark")->error, -EPERM);
    answer_done(&a);
    assert_flow_settings(&running, "a", "io_buffer", "64K", ORIGIN_DEFAULT);
    assert_flow_settings(&running, "a", "mark", "inherit", ORIGIN_DEFAULT);
    close_many(fds, 150);
}

static void test_what_a_flow_refuses_is_undone_without_memory(void **state) {
    struct answer a;
    int fds[10];

    need_net_admin();
    connect_many(fds, 10, "a");
    for (unsigned at = 1, left = 0; left == 0; at++) {
        fail_at = at;
        a = request_set(&running, "a", "dscp=EF mark=0x7");
        left = fail_at;
        fail_at = 0;
        assert_int_not_equal(a.status, CHANGE_DONE);
        a.status = CHANGE_FAILED;
        assert_untouched(&a, 10);
        answer_done(&a);
    }
    close_many(fds, 10);
}

static void test_flows_that_differ_get_back_what_each_had(void **state) {
    struct change_request narrow = { .has_source = true };
    struct address to;
    unsigned marks[2];
    struct answer a;
    int fds[2];

    need_net_admin();
    to = live_address(live_endpoint(&running.live, "a", SOCK_STREAM, 0));
    fds[0] = live_connect_from(&to, "127.0.0.5:0");
    fds[1] = live_connect_from(&to, "127.0.0.6:0");
    LIVE_UNTIL(&running.live, live_flows(&running.live) == 2);
    must_set(&running, "a", "dscp=CS1");
    assert_int_equal(cidr_parse("127.0.0.5", &narrow.source), 0);
    a = request_with(&running, narrow, "a", "dscp=AF43");
    assert_int_equal(a.status, CHANGE_DONE);
    answer_done(&a);

    a = request_set(&running, "a", "dscp=EF mark=0x7");
    assert_int_equal(a.status, CHANGE_FAILED);
    answer_done(&a);
    assert_int_equal(flow_marks(&running, "a", marks, 2), 2);
    assert_int_equal(MIN(marks[0], marks[1]), 8);
    assert_int_equal(MAX(marks[0], marks[1]), 38);
    assert_int_equal(change_runtime_values(running.change), 1);
    close_many(fds, 2);
}

static void test_a_narrow_change_that_a_flow_refuses(void **state) {
    struct change_request narrow = { .has_source = true };
    struct answer a;
    int fds[2];

    need_net_admin();
    connect_many(fds, 2, "a");
    assert_int_equal(cidr_parse("127.0.0.0/8", &narrow.source), 0);
    a = request_with(&running, narrow, "a", "dscp=EF mark=0x7");
    assert_untouched(&a, 2);
    answer_done(&a);
    close_many(fds, 2);
}

/* ---- flows that are born meanwhile ---- */

struct crowd {
    struct address to;
    int fds[200];
    pthread_t thread;
};

static void *come_in(void *userdata) {
    struct crowd *c = userdata;

    for (unsigned i = 0; i < ARRAY_SIZE(c->fds); i++) {
        c->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->fds[i], &c->to.sa, c->to.size) < 0)
            break;
    }
    return NULL;
}

static void crowd_begin(struct crowd *c) {
    *c = (struct crowd){ .to = live_address(live_endpoint(&running.live, "a", SOCK_STREAM, 0)) };
    assert_int_equal(pthread_create(&c->thread, NULL, come_in, c), 0);
}

static void crowd_end(struct crowd *c, unsigned n_others) {
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    LIVE_UNTIL(&running.live, live_flows(&running.live) == ARRAY_SIZE(c->fds) + n_others);
}

static void test_flows_born_meanwhile_are_changed_alike(void **state) {
    struct crowd c;

    crowd_begin(&c);
    for (unsigned i = 0; i < 50; i++) {
        must_set(&running, "a", i % 2 ? "dscp=CS1" : "dscp=EF");
        must_unset(&running, "a", "dscp");
    }
    must_set(&running, "a", "dscp=AF11");
    crowd_end(&c, 0);
    assert_flow_marks(&running, "a", ARRAY_SIZE(c.fds), 10);
    must_unset(&running, "a", "dscp");
    assert_flow_marks(&running, "a", ARRAY_SIZE(c.fds), 0);
    close_many(c.fds, ARRAY_SIZE(c.fds));
}

static void test_flows_born_during_a_change_that_fails(void **state) {
    struct answer a;
    struct crowd c;
    int fd;

    need_net_admin();
    connect_many(&fd, 1, "a"); /* the one that refuses */
    crowd_begin(&c);
    for (unsigned i = 0; i < 50; i++) {
        a = request_set(&running, "a", "dscp=EF mark=0x7");
        assert_int_equal(a.status, CHANGE_FAILED);
        answer_done(&a);
    }
    crowd_end(&c, 1);
    assert_flow_marks(&running, "a", ARRAY_SIZE(c.fds) + 1, 0);
    close(fd);
    close_many(c.fds, ARRAY_SIZE(c.fds));
}

/* The handshake gave it the mark of that time. */
static void test_who_waited_in_the_backlog_gets_what_holds_when_it_comes_in(void **state) {
    int first, second;

    must_set(&running, "b", "dscp=EF");
    connect_many(&first, 1, "b");
    second = live_connect(&running.live, "b");
    must_unset(&running, "b", "dscp");
    close(first);
    LIVE_UNTIL(&running.live, live_counter(&running.live, "b", STAT_ACCEPTED) == 2);
    assert_flow_marks(&running, "b", 1, 0);
    close(second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_value_that_no_socket_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_value_that_lacks_a_capability, setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_a_failure_the_next_change_works, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_flow_refuses_is_undone_everywhere, setup_weak_workers, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_flow_refuses_is_undone_without_memory, setup_weak_workers,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_flows_that_differ_get_back_what_each_had, setup_weak_workers, teardown),
        cmocka_unit_test_setup_teardown(test_a_narrow_change_that_a_flow_refuses, setup_weak_workers, teardown),
        cmocka_unit_test_setup_teardown(test_flows_born_meanwhile_are_changed_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flows_born_during_a_change_that_fails, setup_weak_workers, teardown),
        cmocka_unit_test_setup_teardown(test_who_waited_in_the_backlog_gets_what_holds_when_it_comes_in, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
