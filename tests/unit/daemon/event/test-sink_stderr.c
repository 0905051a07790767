/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "capture.h"
#include "sink.h"

static const struct event_record simple = { .kind = EVENT_DAEMON_READY, .priority = LOG_NOTICE, .message = "ready" };

/* What the sink writes for a record. To be freed. */
static char *told(const struct event_record *record) {
    struct capture capture;
    int r;

    capture_begin(&capture);
    r = sink_stderr.tell(NULL, record);
    _cleanup_free_ char *text = capture_end(&capture);
    assert_return_code(r, -r);
    return TAKE_PTR(text);
}

static char *told_with(enum event_kind kind, const char *name, const void *value, size_t size) {
    const struct event_field field = { name, value, size };

    return told(&(struct event_record){
            .kind = kind, .priority = LOG_INFO, .message = "message", .fields = &field, .n_fields = 1 });
}

static void test_prefix(void **state) {
    _cleanup_free_ char *text = told(&simple);

    assert_string_equal(text, "<5>ready\n");
}

static void test_terminal_has_no_prefix(void **state) {
    _cleanup_close_ int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal = -EBADF;
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    char text[64] = "";

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        close(saved);
        skip();
    }
    terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    dup2(terminal, STDERR_FILENO);
    int r = sink_stderr.tell(NULL, &simple);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_return_code(r, -r);
    assert_true(read(master, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "ready\r\n");
}

static void test_payload_is_escaped(void **state) {
    static const char payload[] = "GET /\r\n<3>forged\0\xff\x1b[2J";
    _cleanup_free_ char *text = told_with(EVENT_PAYLOAD, FIELD_PAYLOAD, payload, sizeof(payload) - 1);

    assert_string_equal(text, "<6>message: GET /\\r\\n<3>forged\\x00\\xff\\x1b[2J\n");
}

static void test_long_payload_is_cut(void **state) {
    static char payload[EVENT_PAYLOAD_MAX];
    _cleanup_free_ char *text = told_with(EVENT_PAYLOAD, FIELD_PAYLOAD, payload, sizeof(payload));

    assert_in_range(strlen(text), 512, 2048);
    assert_string_equal(text + strlen(text) - 8, "\\x00...\n");
}

static void test_held_back_is_shown(void **state) {
    _cleanup_free_ char *text = told_with(EVENT_ACCESS_DENIED, FIELD_SUPPRESSED, "12", 2);
    _cleanup_free_ char *note = told_with(EVENT_EVENTS_SUPPRESSED, FIELD_SUPPRESSED, "12", 2);

    assert_string_equal(text, "<6>message (12 like it held back)\n");
    assert_string_equal(note, "<6>message\n");
}

static void test_try_does_not_wait_for_a_full_pipe(void **state) {
    struct capture capture;
    int r;

    capture_begin_blocked(&capture);
    r = sink_stderr_try(&simple, 0);
    capture_end_blocked(&capture);
    assert_int_equal(r, -EAGAIN);
}

static void test_try_writes_what_tell_writes(void **state) {
    struct capture capture;
    int r;

    capture_begin(&capture);
    r = sink_stderr_try(&simple, 0);
    _cleanup_free_ char *text = capture_end(&capture);
    assert_return_code(r, -r);
    assert_string_equal(text, "<5>ready\n");
}

static void test_closed_stderr_is_an_error(void **state) {
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), told_r, tried_r;

    close(STDERR_FILENO);
    told_r = sink_stderr.tell(NULL, &simple);
    tried_r = sink_stderr_try(&simple, 0);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(told_r, -EBADF);
    assert_int_equal(tried_r, -EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_terminal_has_no_prefix),
        cmocka_unit_test(test_payload_is_escaped),
        cmocka_unit_test(test_long_payload_is_cut),
        cmocka_unit_test(test_held_back_is_shown),
        cmocka_unit_test(test_try_does_not_wait_for_a_full_pipe),
        cmocka_unit_test(test_try_writes_what_tell_writes),
        cmocka_unit_test(test_closed_stderr_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
