/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "macro.h"

static void closes_and_keeps_errno(void **state) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    errno = ENOENT;
    assert_int_equal(close_fd(fd), -EBADF);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    errno = ENOENT;
    assert_int_equal(close_fd(-EBADF), -EBADF);
    assert_int_equal(errno, ENOENT);
}

static void cleanup_closes_what_was_not_taken(void **state) {
    int kept, lost;

    {
        _cleanup_close_ int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int b = open("/dev/null", O_RDONLY | O_CLOEXEC);
        lost = a;
        kept = TAKE_FD(b);
        assert_int_equal(b, -EBADF);
    }
    assert_int_equal(fcntl(lost, F_GETFD), -1);
    assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
    close_fd(kept);
}

static void take_ptr_leaves_null(void **state) {
    _cleanup_free_ char *a = strdup("x");
    _cleanup_free_ char *b = TAKE_PTR(a);

    assert_null(a);
    assert_string_equal(b, "x");
}

static void min_max_evaluate_once(void **state) {
    int i = 0;

    assert_int_equal(MIN(i++, 5), 0);
    assert_int_equal(MAX(i++, -1), 1);
    assert_int_equal(i, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_and_keeps_errno),
        cmocka_unit_test(cleanup_closes_what_was_not_taken),
        cmocka_unit_test(take_ptr_leaves_null),
        cmocka_unit_test(min_max_evaluate_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
