/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include <cmocka.h>

#include "scratch.h"

static void test_sections(void **state) {
    scratch_bad(*state, "listener = { };\n", "a.conf:1: listener: unknown key, did you mean 'listeners'?\n");
    scratch_bad(*state, "\nxyz = 1;\n", "a.conf:2: xyz: unknown key\n");
    scratch_bad(*state, "daemon = 1;\nprofiles = [ ];\nlisteners = ( );\n",
                "a.conf:1: daemon: write a group: daemon = { ... };\n"
                "a.conf:2: profiles: write a group: profiles = { ... };\n"
                "a.conf:3: listeners: write a group: listeners = { ... };\n");
}

static unsigned workers_of(void **state, const char *text) {
    return scratch_good(*state, text)->daemon.workers;
}

static void test_workers(void **state) {
    assert_int_equal(workers_of(state, "daemon = { workers = 1; };"), 1);
    assert_int_equal(workers_of(state, "daemon = { workers = 256; };"), 256);
    assert_int_equal(workers_of(state, "daemon = { workers = \"auto\"; };"), 0);
    scratch_bad(*state, "daemon = { workers = 0; };", "a.conf:1: daemon.workers: *\n");
    scratch_bad(*state, "daemon = { workers = 257; };", "a.conf:1: daemon.workers: *\n");
    scratch_bad(*state, "daemon = { workers = -1; };", "a.conf:1: daemon.workers: *\n");
    scratch_bad(*state, "daemon = { workers = 4294967297; };",
                "a.conf:1: daemon.workers: the number is too large to stand bare, write it as a string\n");
    scratch_bad(*state, "daemon = { workers = 2.0; };", "a.conf:1: daemon.workers: write a whole number\n");
    scratch_bad(*state, "daemon = { workers = \"all\"; };", "a.conf:1: daemon.workers: *\n");
    scratch_bad(*state, "daemon = { workers = \"inherit\"; };",
                "a.conf:1: daemon.workers: workers needs a value here\n");
}

static void test_durations(void **state) {
    const struct config *c = scratch_good(*state, "daemon = { drain_timeout = \"0\"; stats_interval = \"1s\"; };");
    assert_int_equal(c->daemon.drain_timeout_usec, 0);
    assert_int_equal(c->daemon.stats_interval_usec, USEC_PER_SEC);
    scratch_bad(*state, "daemon = {\n drain_timeout = 10;\n stats_interval = \"10ms\"; };",
                "a.conf:2: daemon.drain_timeout: write it as a string with a unit, for example \"10s\"\n"
                "a.conf:3: daemon.stats_interval: *\n");
    scratch_bad(*state, "daemon = {\n drain_timeout = \"2h\";\n stats_interval = true; };",
                "a.conf:2: daemon.drain_timeout: *\n"
                "a.conf:3: daemon.stats_interval: write it as a string with a unit, for example \"10s\"\n");
}

static void test_exit_on_idle(void **state) {
    assert_int_equal(scratch_good(*state, "daemon = { exit_on_idle = \"5m\"; };")->daemon.exit_on_idle_usec,
                     300 * USEC_PER_SEC);
    assert_int_equal(scratch_good(*state, "daemon = { exit_on_idle = \"off\"; };")->daemon.exit_on_idle_usec, 0);
    assert_int_equal(scratch_good(*state, "daemon = { };")->daemon.exit_on_idle_usec, 0);
    scratch_bad(*state, "daemon = { exit_on_idle = \"100ms\"; };", "a.conf:1: daemon.exit_on_idle: *\n");
    scratch_bad(*state, "daemon = { exit_on_idle = 300; };",
                "a.conf:1: daemon.exit_on_idle: write it as a string with a unit, for example \"10s\"\n");
}

static void test_log_level(void **state) {
    assert_int_equal(scratch_good(*state, "daemon = { log_level = \"warning\"; };")->daemon.log_level, LOG_WARNING);
    assert_int_equal(scratch_good(*state, "daemon = { log_level = \"emerg\"; };")->daemon.log_level, LOG_EMERG);
    scratch_bad(*state, "daemon = { log_level = \"inf\"; };",
                "a.conf:1: daemon.log_level: unknown log level 'inf', did you mean 'info'?\n");
    scratch_bad(*state, "daemon = { log_level = \"loud\"; };",
                "a.conf:1: daemon.log_level: unknown log level 'loud', choose one of "
                "emerg, alert, crit, err, warning, notice, info, debug\n");
    scratch_bad(*state, "daemon = { log_level = 6; };",
                "a.conf:1: daemon.log_level: write a log level as a string, for example \"emerg\"\n");
}

static void test_unknown_key_of_the_daemon(void **state) {
    scratch_bad(*state, "daemon = { drain_timout = \"1s\"; dscp = 1; };",
                "a.conf:1: daemon.drain_timout: unknown key, did you mean 'drain_timeout'?\n"
                "a.conf:1: daemon.dscp: unknown key\n");
}

static void test_profiles(void **state) {
    scratch_bad(*state, "profiles = { p = {\n prority = 1;\n target = \"ack\";\n xyz = 2; };\n q = 1; };",
                "a.conf:2: profiles.p.prority: unknown key, did you mean 'priority'?\n"
                "a.conf:3: profiles.p.target: target belongs to a listener, not to a profile\n"
                "a.conf:4: profiles.p.xyz: unknown key\n"
                "a.conf:5: profiles.q: write a group: q = { ... };\n");
    scratch_bad(*state,
                "profiles = { p = {\n clent_leg = { };\n upstream = [ ];\n upstream_ttl = 1;\n upstream_receive_buffer "
                "= 1; }; };",
                "a.conf:2: profiles.p.clent_leg: unknown key, did you mean 'client_leg'?\n"
                "a.conf:3: profiles.p.upstream: upstream belongs to a listener, not to a profile\n"
                "a.conf:4: profiles.p.upstream_ttl: unknown key, did you mean 'upstream_leg'?\n"
                "a.conf:5: profiles.p.upstream_receive_buffer: unknown key\n"); /* no name with a dot */
}

static void test_names(void **state) {
    scratch_bad(*state, "profiles = { a*b = { }; };",
                "a.conf:1: profiles.a*b: not a name: a letter, then letters, digits, '_' and '-', at most 64 in all\n");
    scratch_bad(*state, "listeners = { * = { target = \"ack\"; }; };", "a.conf:1: listeners.*: not a name: *\n");
    scratch_bad(
            *state,
            "listeners = { aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = "
            "{ target = \"ack\"; }; };",
            "a.conf:1: listeners.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: not a name: *\n");
}

/* "section = { p0 = entry p1 = entry ... };", each on a line of its own */
static char *many(const char *section, int n, const char *entry) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fprintf(f, "%s = {\n", section);
    for (int i = 0; i < n; i++)
        fprintf(f, "p%d = %s\n", i, entry);
    fputs("};\n", f);
    fclose(f);
    return text;
}

static void test_most_profiles(void **state) {
    _cleanup_free_ char *text = many("profiles", 256, "{ dscp = 1; };");
    _cleanup_free_ char *more = many("profiles", 258, "{ };");

    assert_int_equal(scratch_good(*state, text)->n_profiles, 256);
    scratch_bad(*state, more, "a.conf:258: profiles.p256: more than 256 profiles\n");
}

static void test_most_listeners(void **state) {
    _cleanup_free_ char *text = many("listeners", 256, "{ target = \"ack\"; };");
    _cleanup_free_ char *more = many("listeners", 258, "{ target = \"ack\"; };");

    assert_int_equal(scratch_good(*state, text)->n_listeners, 256);
    scratch_bad(*state, more, "a.conf:258: listeners.p256: more than 256 listeners\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_sections),       TEST(test_workers),   TEST(test_durations),
        TEST(test_exit_on_idle),   TEST(test_log_level), TEST(test_unknown_key_of_the_daemon),
        TEST(test_profiles),       TEST(test_names),     TEST(test_most_profiles),
        TEST(test_most_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
