/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "capture.h"
#include "event.h"

#define LONG_USEC (60 * USEC_PER_SEC)
#define N_WRITERS 8
#define N_LINES 1000

/* A monitor that keeps what it gets, and whose first record holds the event thread until the gate opens. */
#define KEPT_MAX 4096

static struct kept {
    enum event_kind kind;
    int priority;
    uint64_t realtime_usec, n_suppressed;
    char message[64];
    size_t n_fields;
} kept[KEPT_MAX];

static size_t n_kept;
static bool gated;
static sem_t held_at_gate, gate;

static const struct event_field *find(const struct event_record *record, const char *name) {
    for (size_t i = 0; i < record->n_fields; i++)
        if (streq(record->fields[i].name, name))
            return &record->fields[i];
    return NULL;
}

static void keep(const struct event_record *record, void *userdata) {
    const struct event_field *suppressed = find(record, FIELD_SUPPRESSED);

    if (gated) {
        gated = false;
        sem_post(&held_at_gate);
        sem_wait(&gate);
    }
    if (n_kept == KEPT_MAX)
        return;
    kept[n_kept] = (struct kept){
        .kind = record->kind,
        .priority = record->priority,
        .realtime_usec = record->realtime_usec,
        .n_suppressed = suppressed ? strtoull(suppressed->value, NULL, 10) : 0,
        .n_fields = record->n_fields,
    };
    snprintf(kept[n_kept++].message, sizeof(kept->message), "%s", record->message);
}

static const struct kept *find_kept(enum event_kind kind) {
    for (size_t i = 0; i < n_kept; i++)
        if (kept[i].kind == kind)
            return &kept[i];
    return NULL;
}

static struct capture stderr_capture;
static struct event_counts before;

static void start(event_monitor_fn monitor) {
    n_kept = 0;
    event_counts(&before);
    capture_begin(&stderr_capture);
    event_set_monitor(monitor, NULL);
    assert_return_code(event_start("sockq-test", LOG_INFO), 0);
}

/* Starts with the event thread held by its first record. */
static void start_held(void) {
    gated = true;
    start(keep);
    event_log(EVENT_DAEMON_STARTED, EVENT_NO_FIELDS, "hold");
    sem_wait(&held_at_gate);
}

/* Ends the thread; returns what stderr got, *ret_counts is what this test added. To be freed. */
static char *stop(struct event_counts *ret_counts) {
    struct event_counts after;

    event_stop(LONG_USEC);
    event_set_monitor(NULL, NULL);
    event_counts(&after);
    *ret_counts = (struct event_counts){
        .told = after.told - before.told,
        .dropped = after.dropped - before.dropped,
        .suppressed = after.suppressed - before.suppressed,
    };
    return capture_end(&stderr_capture);
}

static void stop_quietly(struct event_counts *ret_counts) {
    free(stop(ret_counts));
}

static char *release_and_stop(struct event_counts *ret_counts) {
    sem_post(&gate);
    return stop(ret_counts);
}

static void test_lines_on_stderr(void **state) {
    struct event_counts counts;

    start(NULL);
    event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "serving %d listeners", 3);
    event_log(EVENT_CONFIG_FAULT, EVENT_FIELDS({ FIELD_FILE, "a.conf" }), "bad\x1b name\n<0>forged");
    event_log(EVENT_PAYLOAD, EVENT_FIELDS({ FIELD_PAYLOAD, "a\0b", 3 }), "from %s", "[::1]:9");
    _cleanup_free_ char *text = stop(&counts);
    assert_string_equal(text, "<5>serving 3 listeners\n<3>bad\\x1b name\\n<0>forged\n<6>from [::1]:9: a\\x00b\n");
    assert_int_equal(counts.told, 3);
    assert_int_equal(counts.dropped, 0);
}

static void test_long_message_is_cut(void **state) {
    struct event_counts counts;
    char message[2 * EVENT_MESSAGE_MAX];

    memset(message, 'm', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    memcpy(message + EVENT_MESSAGE_MAX - 4, "\xe2\x82\xac", 3); /* across the place of the cut */
    start(NULL);
    event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "%s", message);
    message[EVENT_MESSAGE_MAX] = '\0';
    event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "%s", message);
    _cleanup_free_ char *text = stop(&counts);
    char *at = text, *first = capture_line(&at), *second = capture_line(&at);

    assert_int_equal(strlen(first), strlen("<5>") + EVENT_MESSAGE_MAX - 1);
    assert_string_equal(first + strlen(first) - 5, "mm...");
    assert_string_equal(second + strlen("<5>"), message);
}

static void test_keeps_errno(void **state) {
    struct event_counts counts;
    int after_log, after_direct;

    start(NULL);
    errno = ENOENT;
    event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "%m");
    after_log = errno;
    event_stop(LONG_USEC);
    errno = EPERM;
    event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "%m");
    after_direct = errno;
    _cleanup_free_ char *text = stop(&counts);
    assert_int_equal(after_log, ENOENT);
    assert_int_equal(after_direct, EPERM);
    assert_string_equal(text, "<3>No such file or directory\n<3>Operation not permitted\n");
}

static void test_level(void **state) {
    struct event_counts counts;

    start(NULL);
    event_log(EVENT_FLOW_OPENED, EVENT_NO_FIELDS, "not shown");
    event_log_at(LOG_DEBUG, EVENT_DAEMON_READY, EVENT_NO_FIELDS, "not shown either");
    event_log_at(LOG_ERR, EVENT_FLOW_OPENED, EVENT_NO_FIELDS, "raised");
    event_set_level(LOG_DEBUG);
    event_log(EVENT_FLOW_OPENED, EVENT_NO_FIELDS, "shown");
    event_set_level(LOG_ERR);
    event_log(EVENT_ACCESS_DENIED, EVENT_NO_FIELDS, "not shown again");
    _cleanup_free_ char *text = stop(&counts);
    assert_string_equal(text, "<3>raised\n<7>shown\n");
    assert_int_equal(counts.told, 2);
}

static void test_before_start_goes_to_stderr(void **state) {
    struct capture capture;

    capture_begin(&capture);
    event_set_level(LOG_INFO);
    event_log(EVENT_START_FAILED, EVENT_FIELDS({ FIELD_FILE, "a.conf" }), "no\n%s", "sockets");
    event_log(EVENT_FLOW_OPENED, EVENT_NO_FIELDS, "not shown");
    _cleanup_free_ char *text = capture_end(&capture);
    assert_string_equal(text, "<3>no\\nsockets\n");
}

static void test_starts_once(void **state) {
    struct event_counts counts;

    event_stop(0);
    start(NULL);
    assert_int_equal(event_start("sockq-test", LOG_INFO), -EALREADY);
    stop_quietly(&counts);
    start(NULL);
    _cleanup_free_ char *again = stop(&counts);
    assert_string_equal(again, "");
}

struct copy {
    unsigned n_calls;
    struct event_record record;
    char message[32], listener[32], payload[4];
    size_t listener_size, payload_size;
};

static void copy_record(const struct event_record *record, void *userdata) {
    struct copy *copy = userdata;
    const struct event_field *listener = find(record, FIELD_LISTENER), *payload = find(record, FIELD_PAYLOAD);

    copy->n_calls++;
    copy->record = *record;
    snprintf(copy->message, sizeof(copy->message), "%s", record->message);
    if (listener) {
        snprintf(copy->listener, sizeof(copy->listener), "%s", (const char *) listener->value);
        copy->listener_size = listener->size;
    }
    if (payload) {
        memcpy(copy->payload, payload->value, MIN(sizeof(copy->payload), payload->size + 1));
        copy->payload_size = payload->size;
    }
}

static uint64_t realtime_usec(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / NSEC_PER_USEC;
}

static void test_monitor_gets_records(void **state) {
    struct event_counts counts;
    struct copy copy = { 0 };
    uint64_t from, to;

    start(NULL);
    event_set_monitor(copy_record, &copy);
    from = realtime_usec();
    event_log_at(LOG_ERR, EVENT_SETTING_CHANGED,
                 EVENT_FIELDS({ FIELD_LISTENER, "orders" }, { FIELD_PEER, NULL }, { FIELD_PAYLOAD, "x\0y", 3 }),
                 "dscp is %s", "EF");
    to = realtime_usec();
    stop_quietly(&counts);

    assert_int_equal(copy.n_calls, 1);
    assert_int_equal(copy.record.kind, EVENT_SETTING_CHANGED);
    assert_int_equal(copy.record.priority, LOG_ERR);
    assert_in_range(copy.record.realtime_usec, from, to);
    assert_int_equal(copy.record.n_fields, 2);
    assert_string_equal(copy.message, "dscp is EF");
    assert_string_equal(copy.listener, "orders");
    assert_int_equal(copy.listener_size, 6);
    assert_int_equal(copy.payload_size, 3);
    assert_memory_equal(copy.payload, "x\0y", 4);
}

static void *log_lines(void *userdata) {
    int writer = *(int *) userdata;

    for (int i = 0; i < N_LINES; i++)
        event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "writer %d line %d end", writer, i);
    return NULL;
}

/* 8 threads log at once; `meanwhile` runs beside them. */
static void run_writers(void (*meanwhile)(void)) {
    pthread_t threads[N_WRITERS];
    int ids[N_WRITERS];

    for (int i = 0; i < N_WRITERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_lines, &ids[i]), 0);
    }
    if (meanwhile)
        meanwhile();
    for (int i = 0; i < N_WRITERS; i++)
        pthread_join(threads[i], NULL);
}

/* Every line is whole, and those of one writer are in order. Returns how many there are and what notes say is missing. */
static uint64_t check_lines(char *text, uint64_t *ret_missing) {
    int next[N_WRITERS] = { 0 };
    uint64_t n = 0;

    *ret_missing = 0;
    for (char *at = text, *line; (line = capture_line(&at));) {
        char expected[64], *end;
        int writer, i;

        if (strncmp(line, "<4>", 3) == 0) {
            *ret_missing += strtoull(line + 3, &end, 10);
            assert_string_equal(end, " events dropped: standard error did not keep up");
            continue;
        }
        assert_int_equal(sscanf(line, "<5>writer %d line %d", &writer, &i), 2);
        snprintf(expected, sizeof(expected), "<5>writer %d line %d end", writer, i);
        assert_string_equal(line, expected);
        assert_in_range(writer, 0, N_WRITERS - 1);
        assert_true(i >= next[writer]);
        next[writer] = i + 1;
        n++;
    }
    return n;
}

static void test_many_threads_do_not_interleave(void **state) {
    struct event_counts counts;
    uint64_t n_missing;

    start(NULL);
    run_writers(NULL);
    _cleanup_free_ char *text = stop(&counts);

    assert_int_equal(check_lines(text, &n_missing) + n_missing, N_WRITERS * N_LINES);
    assert_int_equal(counts.dropped, n_missing);
}

static void test_many_threads_without_event_thread(void **state) {
    struct capture capture;
    uint64_t n_missing;

    capture_begin(&capture);
    run_writers(NULL);
    _cleanup_free_ char *text = capture_end(&capture);
    assert_int_equal(check_lines(text, &n_missing), N_WRITERS * N_LINES);
}

static void count_calls(const struct event_record *record, void *userdata) {
    ++*(unsigned *) userdata;
}

static void change_monitor(void) {
    for (int i = 0; i < 500; i++) {
        unsigned n_calls = 0, n_at_end;

        event_set_monitor(count_calls, &n_calls);
        event_set_monitor(NULL, NULL);
        n_at_end = n_calls;
        /* A callback that still ran would count up here, or be reported by the sanitizers as a race. */
        event_level();
        assert_int_equal(n_calls, n_at_end);
    }
}

static void test_monitor_may_change_at_any_time(void **state) {
    struct event_counts counts;

    start(NULL);
    run_writers(change_monitor);
    stop_quietly(&counts);
    assert_true(counts.told >= N_LINES);
}

static void stop_at_any_time(void) {
    event_stop(LONG_USEC);
}

static void test_logging_while_stopping(void **state) {
    struct event_counts counts;

    start(NULL);
    run_writers(stop_at_any_time);
    stop_quietly(&counts);
    /* One line is told for every note on dropped ones, too. */
    assert_in_range(counts.told + counts.dropped, N_WRITERS * N_LINES, N_WRITERS * N_LINES + 100);
}

static void test_full_ring_tells_how_many_it_dropped(void **state) {
    struct event_counts counts;
    const struct kept *note;

    start_held();
    for (int i = 0; i < 10000; i++)
        event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "fault %d", i);
    _cleanup_free_ char *text = release_and_stop(&counts);

    note = find_kept(EVENT_EVENTS_SUPPRESSED);
    assert_non_null(note);
    assert_true(note->n_suppressed > 0);
    assert_int_equal(note->n_suppressed, counts.dropped);
    /* "hold", the note, and whatever else was not dropped */
    assert_int_equal(counts.told, 2 + 10000 - counts.dropped);
    assert_string_equal(kept[0].message, "hold");
    assert_non_null(strstr(text, "<3>fault 0\n"));
    assert_null(strstr(text, "<3>fault 9999\n"));
}

static void test_payload_flood_does_not_hide_an_event(void **state) {
    static char payload[1024];
    struct event_counts counts;
    const struct kept *note;

    start_held();
    for (int i = 0; i < 2000; i++)
        event_log(EVENT_PAYLOAD, EVENT_FIELDS({ FIELD_PAYLOAD, payload, sizeof(payload) }), "payload");
    event_log(EVENT_SETTING_CHANGED, EVENT_NO_FIELDS, "changed");
    sem_post(&gate);
    stop_quietly(&counts);

    assert_string_equal(kept[0].message, "hold");
    note = find_kept(EVENT_SETTING_CHANGED);
    assert_non_null(note);
    /* Only the note on dropped payloads may come before it. */
    assert_in_range(note - kept, 1, 2);
    note = find_kept(EVENT_PAYLOADS_SUPPRESSED);
    assert_non_null(note);
    assert_true(note->n_suppressed > 0);
    assert_int_equal(note->n_suppressed, counts.dropped);
    assert_null(find_kept(EVENT_EVENTS_SUPPRESSED));
}

static void test_rate_limit(void **state) {
    struct event_counts counts;
    const struct kept *note;

    start(keep);
    for (int i = 0; i < EVENT_BURST + 5; i++)
        event_log(EVENT_ACCESS_DENIED, EVENT_NO_FIELDS, "denied");
    event_log(EVENT_SETTING_CHANGED, EVENT_NO_FIELDS, "changed");
    stop_quietly(&counts);

    assert_int_equal(counts.suppressed, 5);
    assert_int_equal(counts.told, EVENT_BURST + 2);
    note = find_kept(EVENT_EVENTS_SUPPRESSED);
    assert_non_null(note);
    assert_int_equal(note->n_suppressed, 5);
    assert_string_equal(note->message, "5 events of kind access-denied held back");
}

static void test_too_many_fields(void **state) {
    struct event_field fields[EVENT_FIELDS_MAX + 10];
    struct event_counts counts;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        fields[i] = (struct event_field){ FIELD_RESULT, "x", 0 };
    fields[ARRAY_SIZE(fields) - 1] = (struct event_field){ NULL, NULL, 0 };
    start(keep);
    event_log(EVENT_STATS, fields, "stats");
    stop_quietly(&counts);
    assert_int_equal(n_kept, 1);
    assert_int_equal(kept[0].n_fields, EVENT_FIELDS_MAX);
}

static void test_signals_stay_with_the_caller(void **state) {
    struct event_counts counts;
    sigset_t before_start, after_start;

    pthread_sigmask(SIG_SETMASK, NULL, &before_start);
    start(NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after_start);
    stop_quietly(&counts);
    for (int signal = 1; signal < SIGRTMIN; signal++)
        assert_int_equal(sigismember(&before_start, signal), sigismember(&after_start, signal));
}

static void test_blocked_pipe_does_not_hang(void **state) {
    struct capture capture;

    n_kept = 0;
    gated = true;
    capture_begin_blocked(&capture);
    event_set_monitor(keep, NULL);
    assert_return_code(event_start("sockq-test", LOG_INFO), 0);
    event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "message 0");
    sem_wait(&held_at_gate);
    /* More than the ring takes: none of the callers waits. */
    for (int i = 1; i < 10000; i++)
        event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "message %d", i);
    sem_post(&gate);
    event_stop(1000);
    event_set_monitor(NULL, NULL);
    event_log(EVENT_DAEMON_STOPPED, EVENT_NO_FIELDS, "nobody reads this");
    capture_unblock(&capture, "<5>message 0\n");
    capture_end_blocked(&capture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_on_stderr),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_keeps_errno),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_before_start_goes_to_stderr),
        cmocka_unit_test(test_starts_once),
        cmocka_unit_test(test_monitor_gets_records),
        cmocka_unit_test(test_many_threads_do_not_interleave),
        cmocka_unit_test(test_many_threads_without_event_thread),
        cmocka_unit_test(test_monitor_may_change_at_any_time),
        cmocka_unit_test(test_logging_while_stopping),
        cmocka_unit_test(test_full_ring_tells_how_many_it_dropped),
        cmocka_unit_test(test_payload_flood_does_not_hide_an_event),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_signals_stay_with_the_caller),
        cmocka_unit_test(test_blocked_pipe_does_not_hang),
    };

    sem_init(&held_at_gate, 0, 0);
    sem_init(&gate, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
