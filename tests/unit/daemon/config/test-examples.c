/* SPDX-License-Identifier: MIT */
/* The files that are shipped load without a fault. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "config.h"

static const char *const targets[] = { "ack", "discard", "echo", "journal", NULL };
static const struct config_schema schema = { .targets = targets };

static struct config *load(const char *path) {
    struct config_faults faults = { 0 };
    struct config *c = NULL;

    int r = config_load(path, &schema, &c, &faults);
    for (size_t i = 0; i < faults.n; i++) {
        _cleanup_free_ char *line = config_fault_format(&faults.items[i]);
        print_error("%s\n", line);
    }
    config_faults_done(&faults);
    assert_int_equal(r, 0);
    return c;
}

static void test_default_file(void **state) {
    struct config *c = load(SOURCE_ROOT "/etc/sockqd.conf");

    assert_int_equal(c->n_listeners, 2);
    assert_int_equal(config_listener(c, "default-tcp")->n_listen, 2);
    assert_int_equal(config_listener(c, "default-udp")->n_listen, 2);
    assert_non_null(config_listener(c, "default-tcp")->profile);
    config_unref(c);
}

static void test_examples(void **state) {
    DIR *d = opendir(SOURCE_ROOT "/etc/examples");
    struct dirent *entry;
    int n = 0;

    assert_non_null(d);
    while ((entry = readdir(d))) {
        char path[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", SOURCE_ROOT "/etc/examples", entry->d_name);
        struct config *c = load(path);
        assert_true(c->n_listeners > 0);
        config_unref(c);
        n++;
    }
    closedir(d);
    assert_true(n >= 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_file),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
