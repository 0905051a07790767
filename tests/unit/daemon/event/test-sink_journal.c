/* SPDX-License-Identifier: MIT */
/* The journal is played by this file: sd_journal_sendv() and access() of the sink land here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "capture.h"
#include "record.h"
#include "sink.h"

int __wrap_sd_journal_sendv(const struct iovec *iov, int n);
int __wrap_access(const char *path, int mode);

static struct {
    char *fields[64];
    size_t sizes[64];
    int n;
} entry; /* the last one sent */

static bool stuck, no_socket;
static sem_t arrived, go_on, gone;

int __wrap_sd_journal_sendv(const struct iovec *iov, int n) {
    if (stuck) {
        sem_post(&arrived);
        sem_wait(&go_on);
        sem_post(&gone);
        return 0;
    }
    entry.n = n;
    for (int i = 0; i < n; i++) {
        free(entry.fields[i]);
        entry.fields[i] = memcpy(malloc(iov[i].iov_len), iov[i].iov_base, iov[i].iov_len);
        entry.sizes[i] = iov[i].iov_len;
    }
    return 0;
}

int __wrap_access(const char *path, int mode) {
    errno = ENOENT;
    return no_socket ? -1 : 0;
}

static void free_entry(void) {
    for (size_t i = 0; i < ARRAY_SIZE(entry.fields); i++)
        free(entry.fields[i]);
}

static void assert_entry_has(const char *field, size_t n) {
    for (int i = 0; i < entry.n; i++)
        if (entry.sizes[i] == n && memcmp(entry.fields[i], field, n) == 0)
            return;
    fail_msg("no field %s", field);
}

static void tell(const struct event_record *record) {
    void *context = NULL;

    assert_return_code(sink_journal.open("sockqd", &context), 0);
    assert_return_code(sink_journal.tell(context, record), 0);
    sink_journal.close(context);
}

#define assert_entry(field) assert_entry_has(field, sizeof(field) - 1)

static void test_entry(void **state) {
    static const char payload[] = "a\0b\nc=\xff";
    const struct event_field fields[] = { { FIELD_LISTENER, "orders", 6 },
                                          { FIELD_PAYLOAD, payload, sizeof(payload) - 1 },
                                          { FIELD_NEW, "", 0 } };

    tell(&(struct event_record){
            .kind = EVENT_PAYLOAD, .priority = LOG_WARNING, .message = "got it", .fields = fields, .n_fields = 3 });
    assert_int_equal(entry.n, 7);
    assert_entry("SYSLOG_IDENTIFIER=sockqd");
    assert_entry("MESSAGE=got it");
    assert_entry("PRIORITY=4");
    assert_entry("MESSAGE_ID=d9b126eb1f6542b2b8b7bd5dce3f6b06");
    assert_entry("SOCKQ_LISTENER=orders");
    assert_entry("SOCKQ_PAYLOAD=a\0b\nc=\xff");
    assert_entry("SOCKQ_NEW=");
}

static void test_largest_entry(void **state) {
    _cleanup_free_ char *bytes = calloc(1, EVENT_PAYLOAD_MAX), *data = malloc(RECORD_MAX);
    char message[EVENT_MESSAGE_MAX + 1], rest[EVENT_VALUE_MAX + 1];
    struct event_field fields[RECORD_FIELDS_MAX];
    struct event_record record;
    struct record_layout layout;
    size_t n = 0;

    assert_non_null(bytes);
    assert_non_null(data);
    memset(message, 'm', EVENT_MESSAGE_MAX);
    message[EVENT_MESSAGE_MAX] = '\0';
    memset(rest, 'r', EVENT_VALUE_MAX);
    rest[EVENT_VALUE_MAX] = '\0';
    record_begin(&layout, EVENT_PAYLOAD, LOG_INFO, 0, message);
    record_add(&layout, &(struct event_field){ FIELD_PAYLOAD, bytes, EVENT_PAYLOAD_MAX });
    for (size_t i = sizeof(rest) - 1; i > 0; i /= 2)
        for (int k = 0; k < 8; k++)
            record_add(&layout, &(struct event_field){ FIELD_NEW, rest + sizeof(rest) - 1 - i, 0 });
    assert_in_range(layout.bytes, RECORD_MAX - 128, RECORD_MAX);
    for (size_t i = 0; i < layout.n_parts; i++) {
        memcpy(data + n, layout.parts[i].iov_base, layout.parts[i].iov_len);
        n += layout.parts[i].iov_len;
    }
    record_read(data, n, fields, &record);
    tell(&record);
    assert_int_equal(entry.n, 4 + record.n_fields);
}

static void set_journal_stream(uintmax_t inode_offset) {
    char text[64];
    struct stat st;

    assert_return_code(fstat(STDERR_FILENO, &st), errno);
    snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino + inode_offset);
    setenv("JOURNAL_STREAM", text, 1);
}

static void test_usable_only_if_stderr_is_the_journal(void **state) {
    unsetenv("JOURNAL_STREAM");
    assert_false(sink_journal.usable());
    setenv("JOURNAL_STREAM", "", 1);
    assert_false(sink_journal.usable());
    setenv("JOURNAL_STREAM", "nonsense", 1);
    assert_false(sink_journal.usable());
    set_journal_stream(1);
    assert_false(sink_journal.usable());
    set_journal_stream(0);
    assert_true(sink_journal.usable());
    no_socket = true;
    assert_false(sink_journal.usable());
    no_socket = false;
}

static void test_events_go_to_the_journal(void **state) {
    set_journal_stream(0);
    assert_return_code(event_start("sockq-test", LOG_INFO), 0);
    event_log(EVENT_SETTING_CHANGED, EVENT_FIELDS({ FIELD_SETTING, "dscp" }, { FIELD_UID, "1000" }), "two\nlines");
    event_stop(10 * USEC_PER_SEC);
    assert_entry("SYSLOG_IDENTIFIER=sockq-test");
    assert_entry("MESSAGE=two\\nlines");
    assert_entry("SOCKQ_SETTING=dscp");
    assert_entry("SOCKQ_UID=1000");
}

static void test_stuck_journal_does_not_hang_the_exit(void **state) {
    struct capture capture;

    capture_begin(&capture);
    set_journal_stream(0);
    stuck = true;
    assert_return_code(event_start("sockq-test", LOG_INFO), 0);
    event_log(EVENT_DAEMON_STOPPING, EVENT_NO_FIELDS, "first");
    sem_wait(&arrived);
    for (int i = 0; i < 4; i++)
        event_log(EVENT_DAEMON_STOPPED, EVENT_NO_FIELDS, "another");
    event_stop(1000);
    event_log(EVENT_DAEMON_STOPPED, EVENT_NO_FIELDS, "after");
    _cleanup_free_ char *text = capture_end(&capture);

    /* The thread that was left behind goes its own way. */
    sem_post(&go_on);
    sem_wait(&gone);
    stuck = false;
    assert_string_equal(text, "<4>5 events not told: the journal did not keep up\n<6>after\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry),
        cmocka_unit_test(test_largest_entry),
        cmocka_unit_test(test_usable_only_if_stderr_is_the_journal),
        cmocka_unit_test(test_events_go_to_the_journal),
        cmocka_unit_test(test_stuck_journal_does_not_hang_the_exit),
    };
    int failed;

    sem_init(&arrived, 0, 0);
    sem_init(&go_on, 0, 0);
    sem_init(&gone, 0, 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free_entry();
    return failed;
}
