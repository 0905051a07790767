/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "event.h"
#include "targets.h"

/* ---- the seconds that the target counts in ---- */

static _Thread_local time_t now_sec;

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret) {
    if (id != CLOCK_MONOTONIC_COARSE)
        return __real_clock_gettime(id, ret);
    *ret = (struct timespec){ .tv_sec = now_sec };
    return 0;
}

/* ---- what the journal gets ---- */

#define LINES_MAX 4096

struct line {
    enum event_kind kind;
    char message[256], listener[64], peer[64], flow[64], suppressed[32];
    uint8_t payload[256];
    size_t payload_size;
    bool has_payload, has_flow;
};

static struct line lines[LINES_MAX];
static size_t n_lines;
static int saved_stderr;

static void take_text(const struct event_field *field, const char *name, char *into, size_t size) {
    if (streq(field->name, name))
        snprintf(into, size, "%s", (const char *) field->value);
}

static void on_record(const struct event_record *record, void *userdata) {
    struct line *l = &lines[n_lines];

    if (n_lines == LINES_MAX)
        return;
    n_lines++;
    *l = (struct line){ .kind = record->kind };
    snprintf(l->message, sizeof(l->message), "%s", record->message);
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct event_field *field = &record->fields[i];

        take_text(field, FIELD_LISTENER, l->listener, sizeof(l->listener));
        take_text(field, FIELD_PEER, l->peer, sizeof(l->peer));
        take_text(field, FIELD_FLOW, l->flow, sizeof(l->flow));
        take_text(field, FIELD_SUPPRESSED, l->suppressed, sizeof(l->suppressed));
        l->has_flow |= streq(field->name, FIELD_FLOW) != 0;
        if (streq(field->name, FIELD_PAYLOAD)) {
            l->has_payload = true;
            l->payload_size = field->size;
            memcpy(l->payload, field->value, MIN(field->size, sizeof(l->payload)));
        }
    }
}

static int setup(void **state) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    n_lines = 0;
    now_sec = 1000;
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    dup2(null, STDERR_FILENO);
    close(null);
    assert_int_equal(event_start("test", LOG_DEBUG), 0);
    event_set_monitor(on_record, NULL);
    return 0;
}

/* All that was told has come to the monitor when this returns. */
static void settle(void) {
    event_stop(20 * USEC_PER_SEC);
}

static int teardown(void **state) {
    settle();
    event_set_monitor(NULL, NULL);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    return 0;
}

static size_t count(enum event_kind kind) {
    size_t n = 0;

    for (size_t i = 0; i < n_lines; i++)
        n += lines[i].kind == kind;
    return n;
}

/* ---- the target ---- */

static struct stats stats;

static struct target *start(int64_t rate, int64_t size) {
    const struct config_listener conf = {
        .name = (char *) "orders", .target = "journal", .journal_rate = rate, .journal_size = size
    };
    struct target *t;

    memset(&stats, 0, sizeof(stats));
    assert_int_equal(target_new(&target_journal, &conf, 1, NULL, &t), 0);
    return t;
}

static void hand_over(struct target *t, const void *data, size_t size, const struct flow_id *flow) {
    struct address peer;
    const struct payload payload = { .span = { data, size }, .listener = "orders", .peer = &peer, .flow = flow };
    struct span reply = { 0 };

    assert_int_equal(address_parse("[2001:db8::1]:7", &peer), 0);
    t->ops->payload(t->state, &stats, &payload, &reply);
    assert_null(reply.data);
}

static void test_a_payload_is_an_entry(void **state) {
    struct target *t = start(10, 100);

    hand_over(t,
              "a\n\0\xff"
              "b",
              5, &(struct flow_id){ 1, 2, 3 });
    settle();
    target_unref(t);
    assert_int_equal(n_lines, 1);
    assert_int_equal(lines[0].kind, EVENT_PAYLOAD);
    assert_string_equal(lines[0].listener, "orders");
    assert_string_equal(lines[0].peer, "[2001:db8::1]:7");
    assert_string_equal(lines[0].flow, "1.2.3");
    assert_int_equal(lines[0].payload_size, 5);
    assert_memory_equal(lines[0].payload,
                        "a\n\0\xff"
                        "b",
                        5);
    assert_string_equal(lines[0].message, "orders: payload of 5 bytes from [2001:db8::1]:7");
}

static void test_a_datagram_has_no_flow(void **state) {
    struct target *t = start(10, 100);

    hand_over(t, "x", 1, NULL);
    hand_over(t, "", 0, NULL);
    settle();
    target_unref(t);
    assert_int_equal(n_lines, 2);
    assert_false(lines[0].has_flow);
    assert_true(lines[1].has_payload);
    assert_int_equal(lines[1].payload_size, 0);
}

static void test_a_long_payload_is_cut_and_says_so(void **state) {
    struct target *t = start(10, 4);

    hand_over(t, "abcd", 4, NULL);
    hand_over(t, "abcde", 5, NULL);
    settle();
    target_unref(t);
    assert_int_equal(lines[0].payload_size, 4);
    assert_null(strstr(lines[0].message, "cut"));
    assert_int_equal(lines[1].payload_size, 4);
    assert_memory_equal(lines[1].payload, "abcd", 4);
    assert_string_equal(lines[1].message, "orders: payload of 5 bytes from [2001:db8::1]:7, cut");
}

static void test_over_the_rate_payloads_are_left_out_and_counted(void **state) {
    struct target *t = start(3, 100);

    for (unsigned i = 0; i < 10; i++)
        hand_over(t, "x", 1, NULL);
    t->ops->tick(t->state);
    t->ops->tick(t->state); /* nothing more to tell */
    now_sec++;
    for (unsigned i = 0; i < 4; i++)
        hand_over(t, "y", 1, NULL);
    target_unref(t); /* tells what is left */
    settle();
    assert_int_equal(count(EVENT_PAYLOAD), 6);
    assert_int_equal(count(EVENT_PAYLOADS_SUPPRESSED), 2);
    assert_int_equal(stats.counter[STAT_SUPPRESSED], 8);
    for (size_t i = 0, n = 0; i < n_lines; i++)
        if (lines[i].kind == EVENT_PAYLOADS_SUPPRESSED) {
            assert_string_equal(lines[i].listener, "orders");
            assert_string_equal(lines[i].suppressed, n++ == 0 ? "7" : "1");
        }
}

static void test_within_the_rate_nothing_is_left_out(void **state) {
    struct target *t = start(3, 100);

    for (unsigned i = 0; i < 30; i++) {
        now_sec += i % 3 == 0;
        hand_over(t, "x", 1, NULL);
    }
    t->ops->tick(t->state);
    target_unref(t);
    settle();
    assert_int_equal(count(EVENT_PAYLOAD), 30);
    assert_int_equal(count(EVENT_PAYLOADS_SUPPRESSED), 0);
}

static void test_a_worker_that_looked_at_the_clock_late_opens_no_new_second(void **state) {
    struct target *t = start(3, 100);

    for (unsigned i = 0; i < 3; i++)
        hand_over(t, "x", 1, NULL);
    now_sec++;
    for (unsigned i = 0; i < 3; i++)
        hand_over(t, "y", 1, NULL);
    for (unsigned i = 0; i < 10; i++) { /* two workers, one of them a moment behind */
        now_sec += i % 2 == 0 ? -1 : 1;
        hand_over(t, "z", 1, NULL);
    }
    target_unref(t);
    settle();
    assert_int_equal(count(EVENT_PAYLOAD), 6);
    assert_int_equal(stats.counter[STAT_SUPPRESSED], 10);
}

#define THREADS 4
#define EACH 1000
#define RATE 100

static struct target *shared;

static void *hand_over_many(void *userdata) {
    struct stats *own = userdata;
    struct address peer;
    const struct payload payload = { .span = { "x", 1 }, .listener = "orders", .peer = &peer };
    struct span reply = { 0 };

    now_sec = 5000;
    if (address_parse("127.0.0.1:7", &peer) < 0)
        return NULL;
    for (unsigned i = 0; i < EACH; i++)
        shared->ops->payload(shared->state, own, &payload, &reply);
    return NULL;
}

static void test_the_rate_is_that_of_all_workers_together(void **state) {
    static struct stats own[THREADS];
    pthread_t threads[THREADS];
    uint64_t suppressed = 0;

    memset(own, 0, sizeof(own));
    shared = start(RATE, 100);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hand_over_many, &own[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        suppressed += own[i].counter[STAT_SUPPRESSED];
    }
    target_unref(shared);
    settle();
    assert_int_equal(count(EVENT_PAYLOAD), RATE);
    assert_int_equal(suppressed, THREADS * EACH - RATE);
    assert_int_equal(count(EVENT_PAYLOADS_SUPPRESSED), 1);
    for (size_t i = 0; i < n_lines; i++)
        if (lines[i].kind == EVENT_PAYLOADS_SUPPRESSED)
            assert_string_equal(lines[i].suppressed, "3900");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_payload_is_an_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_datagram_has_no_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_payload_is_cut_and_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_over_the_rate_payloads_are_left_out_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_within_the_rate_nothing_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_worker_that_looked_at_the_clock_late_opens_no_new_second, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_rate_is_that_of_all_workers_together, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
