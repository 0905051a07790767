/* SPDX-License-Identifier: MIT */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "access.h"

#define ADMIN 700
#define LOOK 701
#define OWN 900

static const struct access_policy policy = { .own_uid = OWN, .admin_gid = ADMIN, .look_gid = LOOK };
static const struct access_policy without_groups = { .own_uid = OWN,
                                                     .admin_gid = ACCESS_NO_GROUP,
                                                     .look_gid = ACCESS_NO_GROUP };

static enum access granted(const struct access_policy *p, uid_t uid, gid_t gid, gid_t extra) {
    gid_t groups[] = { 4, extra, 5 };
    struct credentials c = { .uid = uid, .gid = gid, .groups = groups, .n_groups = ARRAY_SIZE(groups) };

    return access_granted(p, &c);
}

static void test_who_may_what(_unused_ void **state) {
    assert_int_equal(granted(&policy, 0, 0, 1), ACCESS_CHANGE);
    assert_int_equal(granted(&policy, OWN, 1, 1), ACCESS_CHANGE);
    assert_int_equal(granted(&policy, 1000, 1000, ADMIN), ACCESS_CHANGE);
    assert_int_equal(granted(&policy, 1000, ADMIN, 1), ACCESS_CHANGE);
    assert_int_equal(granted(&policy, 1000, 1000, LOOK), ACCESS_LOOK);
    assert_int_equal(granted(&policy, 1000, LOOK, 1), ACCESS_LOOK);
    assert_int_equal(granted(&policy, 1000, LOOK, ADMIN), ACCESS_CHANGE);
    assert_int_equal(granted(&policy, 1000, 1000, 1), ACCESS_ANY);
    /* A uid that happens to be a group's number. */
    assert_int_equal(granted(&policy, ADMIN, 1000, 1), ACCESS_ANY);
}

static void test_missing_groups_let_nobody_in(_unused_ void **state) {
    assert_int_equal(granted(&without_groups, 1000, ACCESS_NO_GROUP, ACCESS_NO_GROUP), ACCESS_ANY);
    assert_int_equal(granted(&without_groups, 0, 0, 0), ACCESS_CHANGE);
}

static void test_classes_include_the_lower_ones(_unused_ void **state) {
    assert_true(access_allowed(ACCESS_CHANGE, ACCESS_LOOK));
    assert_true(access_allowed(ACCESS_LOOK, ACCESS_LOOK));
    assert_true(access_allowed(ACCESS_ANY, ACCESS_ANY));
    assert_false(access_allowed(ACCESS_LOOK, ACCESS_CHANGE));
    assert_false(access_allowed(ACCESS_ANY, ACCESS_LOOK));
}

static void test_policy_is_about_this_process(_unused_ void **state) {
    struct access_policy loaded;

    assert_int_equal(access_policy_load(&loaded), 0);
    assert_int_equal(loaded.own_uid, geteuid());
}

static void check_peer(unsigned n_groups) {
    struct credentials c;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(credentials_of_peer(fds[0], &c), 0);
    assert_int_equal(c.uid, geteuid());
    assert_int_equal(c.gid, getegid());
    assert_int_equal(c.pid, getpid());
    assert_int_equal(c.n_groups, n_groups);
    credentials_done(&c);
    close(fds[0]);
    close(fds[1]);
}

static void test_peer_of_a_socket(_unused_ void **state) {
    int n = getgroups(0, NULL);

    assert_true(n >= 0);
    check_peer((unsigned) n);
}

/* More groups than are asked for at first. */
static void test_peer_with_many_groups(_unused_ void **state) {
    gid_t before[1024], many[1000];
    int n = getgroups(ARRAY_SIZE(before), before);

    assert_true(n >= 0);
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = 10000 + i;
    if (setgroups(ARRAY_SIZE(many), many) < 0)
        skip(); /* only root may */
    check_peer(ARRAY_SIZE(many));
    assert_int_equal(setgroups((size_t) n, before), 0);
}

static void test_not_a_socket(_unused_ void **state) {
    struct credentials c;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(credentials_of_peer(fds[0], &c), -ENOTSOCK);
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may_what),
        cmocka_unit_test(test_missing_groups_let_nobody_in),
        cmocka_unit_test(test_classes_include_the_lower_ones),
        cmocka_unit_test(test_policy_is_about_this_process),
        cmocka_unit_test(test_peer_of_a_socket),
        cmocka_unit_test(test_peer_with_many_groups),
        cmocka_unit_test(test_not_a_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
