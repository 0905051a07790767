/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "scratch.h"

static void test_no_main_file(void **state) {
    scratch_expect(*state, "a.conf: cannot be opened: No such file or directory\n");
}

static void test_directory_instead_of_a_file(void **state) {
    assert_int_equal(mkdir(scratch_path(*state, "a.conf"), 0755), 0);
    scratch_expect(*state, "a.conf: not a regular file\n");
}

/* Nobody writes to it: an ordinary open would wait for ever. */
static void test_fifo_does_not_hang(void **state) {
    assert_int_equal(mkfifo(scratch_path(*state, "a.conf"), 0644), 0);
    scratch_expect(*state, "a.conf: not a regular file\n");
}

static void test_device(void **state) {
    assert_int_equal(symlink("/dev/zero", scratch_path(*state, "a.conf")), 0);
    scratch_expect(*state, "a.conf: not a regular file\n");
}

static void test_link_loop(void **state) {
    assert_int_equal(symlink("a.conf", scratch_path(*state, "a.conf")), 0);
    scratch_expect(*state, "a.conf: cannot be opened: Too many levels of symbolic links\n");
}

static void test_no_permission(void **state) {
    if (geteuid() == 0)
        skip();
    scratch_write(*state, "a.conf", "");
    assert_int_equal(chmod(scratch_path(*state, "a.conf"), 0), 0);
    scratch_expect(*state, "a.conf: cannot be opened: Permission denied\n");
}

static void test_size_limit(void **state) {
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);

    assert_non_null(text);
    memset(text, '\n', CONFIG_FILE_BYTES_MAX + 1);
    scratch_write_bytes(*state, "a.conf", text, CONFIG_FILE_BYTES_MAX);
    assert_int_equal(scratch_load(*state), 0);
    scratch_write_bytes(*state, "a.conf", text, CONFIG_FILE_BYTES_MAX + 1);
    free(text);
    scratch_expect(*state, "a.conf: larger than 4194304 bytes\n");
}

static void test_dropins_in_byte_order(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "daemon = { workers = 1; };");
    scratch_write(s, "a.conf.d/9.conf", "daemon = { workers = 9; };");
    scratch_write(s, "a.conf.d/10.conf", "daemon = { workers = 10; };");
    scratch_write(s, "a.conf.d/B.conf", "");
    scratch_write(s, "a.conf.d/a.conf", "");
    assert_int_equal(scratch_load(s), 0);
    assert_int_equal(s->config->daemon.workers, 9);
    static const char *const expected[] = { "a.conf", "a.conf.d/10.conf", "a.conf.d/9.conf", "a.conf.d/B.conf",
                                            "a.conf.d/a.conf" };
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_string_equal(s->config->files[i], scratch_path(s, expected[i]));
    assert_null(s->config->files[ARRAY_SIZE(expected)]);
}

static void test_names_that_are_no_dropins(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "");
    scratch_write(s, "a.conf.d/.hidden.conf", "wrong");
    scratch_write(s, "a.conf.d/.conf", "wrong");
    scratch_write(s, "a.conf.d/b.conf~", "wrong");
    scratch_write(s, "a.conf.d/b.conf.rpmnew", "wrong");
    scratch_write(s, "a.conf.d/conf", "wrong");
    assert_int_equal(scratch_load(s), 0);
    assert_null(s->config->files[1]);
}

static void test_dropin_that_is_no_file(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "x = 1;");
    scratch_write(s, "a.conf.d/b.conf", "");
    assert_int_equal(mkdir(scratch_path(s, "a.conf.d/c.conf"), 0755), 0);
    assert_int_equal(symlink("nowhere", scratch_path(s, "a.conf.d/d.conf")), 0);
    scratch_expect(s, "a.conf:1: x: unknown key\n"
                      "a.conf.d/c.conf: not a regular file\n"
                      "a.conf.d/d.conf: cannot be opened: No such file or directory\n");
}

static void test_dropin_directory_that_is_a_file(void **state) {
    scratch_write(*state, "a.conf", "");
    scratch_write(*state, "a.conf.d", "");
    scratch_expect(*state, "a.conf.d: cannot be listed: Not a directory\n");
}

static void test_too_many_dropins(void **state) {
    char name[32];

    scratch_write(*state, "a.conf", "");
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "a.conf.d/%d.conf", i);
        scratch_write(*state, name, "");
    }
    assert_int_equal(scratch_load(*state), 0);
    scratch_write(*state, "a.conf.d/256.conf", "");
    scratch_expect(*state, "a.conf.d: more than 256 drop-ins\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_no_main_file),
        TEST(test_directory_instead_of_a_file),
        TEST(test_fifo_does_not_hang),
        TEST(test_device),
        TEST(test_link_loop),
        TEST(test_no_permission),
        TEST(test_size_limit),
        TEST(test_dropins_in_byte_order),
        TEST(test_names_that_are_no_dropins),
        TEST(test_dropin_that_is_no_file),
        TEST(test_dropin_directory_that_is_a_file),
        TEST(test_too_many_dropins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
