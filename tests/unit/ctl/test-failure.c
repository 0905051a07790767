/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>

#include "failure.h"

/* What goes to stderr while a test looks. */
static int saved_stderr, captured;

static void capture(void) {
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    captured = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(saved_stderr >= 0 && captured >= 0);
    dup2(captured, STDERR_FILENO);
}

static void release(char *ret, size_t size) {
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n = pread(captured, ret, size - 1, 0);
    close(captured);
    ret[n > 0 ? n : 0] = 0;
}

static void told(enum status expected, const char *error, json_t *parameters, const char *part) {
    struct answer answer = { .error = strdup(error), .parameters = parameters };
    struct output o = { .file = stdout };
    char text[2048];

    capture();
    enum status status = failure_report(&o, &answer);
    release(text, sizeof(text));
    answer_done(&answer);
    assert_int_equal(status, expected);
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
    assert_null(strchr(text, '\033'));
}

#define CONTROL "org.sockq.Control."

static void names_get_suggestions(void **state) {
    told(STATUS_FAILED, CONTROL "NoSuchListener", json_pack("{ss ss}", "name", "oders", "suggestion", "orders"),
         "no listener named 'oders', did you mean 'orders'?");
    told(STATUS_FAILED, CONTROL "NoSuchProfile", json_pack("{ss}", "name", "x"),
         "no profile named 'x' (sockqctl show lists them)");
    /* Without the daemon's word, the table of this program knows. */
    told(STATUS_FAILED, CONTROL "NoSuchSetting", json_pack("{ss}", "name", "dcsp"), "did you mean 'dscp'?");
    told(STATUS_FAILED, CONTROL "NoSuchFlow", json_pack("{ss}", "flow", "1.2.3"), "no flow named '1.2.3'");
}

static void refused_values_say_why(void **state) {
    told(STATUS_FAILED, CONTROL "InvalidSettings",
         json_pack("{s:[{ss ss ss}]}", "faults", "setting", "dscp", "value", "EFF", "reason", "unknown DSCP name"),
         "  dscp=EFF: unknown DSCP name\n");
}

static void a_change_that_stays_half_done_is_status_4(void **state) {
    told(STATUS_FAILED, CONTROL "ChangeFailed", json_pack("{s:[], s:i}", "keys", "undo_failed", 0),
         "put back as it was");
    told(STATUS_PARTLY, CONTROL "ChangeFailed", json_pack("{s:[], s:i}", "keys", "undo_failed", 1),
         "could not be undone on 1 socket ");
}

static void faults_name_file_and_line(void **state) {
    told(STATUS_FAILED, CONTROL "ConfigurationInvalid",
         json_pack("{s:[{ss si ss ss}]}", "faults", "file", "/etc/x.conf", "line", 7, "key", "listeners.a", "text",
                   "bad"),
         "  /etc/x.conf:7: listeners.a: bad\n");
    told(STATUS_FAILED, CONTROL "ConfigurationInvalid",
         json_pack("{s:[{ss si ss}]}", "faults", "file", "/etc/x.conf", "line", 0, "text", "cannot be read"),
         "  /etc/x.conf: cannot be read\n");
}

static void permission_names_the_groups(void **state) {
    told(STATUS_FAILED, "org.varlink.service.PermissionDenied", json_object(), "group sockq-admin may change");
}

static void levels_are_listed(void **state) {
    told(STATUS_FAILED, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "level"),
         "notice, info");
    told(STATUS_FAILED, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "x"), "value of 'x'");
}

static void strange_errors_cannot_steer_the_terminal(void **state) {
    told(STATUS_FAILED, "com.example.\033[31mOdd", json_pack("{ss}", "x", "\033[2J"), "com.example.\\x1b[31mOdd");
}

static void unreachable(int error, bool connected, const char *part) {
    char text[2048];

    capture();
    enum status status = failure_connection("/run/x", error, connected, 30 * USEC_PER_SEC);
    release(text, sizeof(text));
    assert_int_equal(status, STATUS_UNREACHABLE);
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

static void connection_errors_are_status_3(void **state) {
    unreachable(-ECONNREFUSED, false,
                "sockqctl: cannot reach sockqd at /run/x: Connection refused (is it running? try: systemctl status "
                "sockqd)\n");
    unreachable(-EACCES, false, "Permission denied (root and members of group sockq-admin");
    unreachable(-ETIMEDOUT, true, "no answer from sockqd at /run/x within 30.0s; it may still do what was asked");
    unreachable(-ECONNRESET, true, "closed the connection");
    unreachable(-EBADMSG, true, "does not speak Varlink");
    unreachable(-ENAMETOOLONG, false, "at most 107 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_get_suggestions),
        cmocka_unit_test(refused_values_say_why),
        cmocka_unit_test(a_change_that_stays_half_done_is_status_4),
        cmocka_unit_test(faults_name_file_and_line),
        cmocka_unit_test(permission_names_the_groups),
        cmocka_unit_test(levels_are_listed),
        cmocka_unit_test(strange_errors_cannot_steer_the_terminal),
        cmocka_unit_test(connection_errors_are_status_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
