/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "scratch.h"

static char *profile(const char *key, const char *value) {
    char *text = NULL;

    assert_true(asprintf(&text, "profiles = { p = {\n%s = %s; }; };\n", key, value) > 0);
    return text;
}

/* In a profile, `key = value` is understood and comes back as `expected`. */
static void good(void **state, const char *key, const char *value, const char *expected) {
    _cleanup_free_ char *text = profile(key, value);
    const struct config_profile *p = config_profile(scratch_good(*state, text), "p");
    _cleanup_free_ char *stored = settings_get_text(&p->settings, setting_find(key));

    assert_string_equal(stored, expected);
}

/* It is refused with `reason`; "*": whatever the reason. */
static void bad(void **state, const char *key, const char *value, const char *reason) {
    _cleanup_free_ char *text = profile(key, value), *expected = NULL;

    assert_true(asprintf(&expected, "a.conf:2: profiles.p.%s: %s\n", key, reason) > 0);
    scratch_bad(*state, text, expected);
}

/* The table is the only place that knows: every row takes its own default, as text. */
static void test_every_setting(void **state) {
    const struct setting *row;

    for (size_t i = 0; (row = setting_row(i)); i++) {
        _cleanup_free_ char *value = NULL;
        assert_true(asprintf(&value, "\"%s\"", row->dflt) > 0);
        good(state, row->name, value, row->dflt);
        bad(state, row->name, "{ }", "write *");
        bad(state, row->name, "\"\\x02 ?\"", "*");
    }
}

static void test_integers(void **state) {
    good(state, "priority", "6", "6");
    good(state, "ttl", "0x40", "64");
    good(state, "ttl", "64L", "64");
    good(state, "ttl", "\"64\"", "64");
    bad(state, "ttl", "256", "*");
    bad(state, "ttl", "-1", "*");
    bad(state, "ttl", "64.0", "write a whole number");
    bad(state, "ttl", "true", "write a whole number");
    bad(state, "ttl", "[ 64 ]", "write a whole number");
}

static void test_marks(void **state) {
    good(state, "mark", "42", "0x2a");
    good(state, "mark", "0xffffffff", "0xffffffff");
    good(state, "mark", "4294967295L", "0xffffffff");
    good(state, "mark", "\"4294967295\"", "0xffffffff");
    bad(state, "mark", "0x100000000L", "*");
}

/* 4294967300 would be 4 in libconfig 1.5, 010 is 10 or 8 by version. */
static void test_integers_that_cannot_be_believed(void **state) {
    bad(state, "mark", "4294967300", "the number is too large to stand bare, write it as a string");
    bad(state, "priority", "4294967300", "the number is too large to stand bare, write it as a string");
    bad(state, "priority", "0x100000004", "the number is too large to stand bare, write it as a string");
    bad(state, "priority", "18446744073709551620L", "the number is too large to stand bare, write it as a string");
    bad(state, "ttl", "010", "the number begins with 0, write it without");
}

static void test_marks_of_packets(void **state) {
    good(state, "dscp", "\"ef\"", "EF");
    good(state, "dscp", "46", "EF");
    good(state, "dscp", "0x2e", "EF");
    good(state, "tos", "0xb8", "0xb8");
    good(state, "tos", "184", "0xb8");
    good(state, "tos", "\"0xb8\"", "0xb8");
    bad(state, "dscp", "64", "*");
    bad(state, "tos", "0xb9", "*");
    bad(state, "dscp", "4.6", "write a name or a number, for example \"EF\" or 46");
    bad(state, "tos", "true", "write a byte, for example 0xb8");
}

static void test_two_spellings(void **state) {
    scratch_bad(*state, "profiles = { p = {\n tos = 0xb8;\n dscp = \"EF\"; }; };",
                "a.conf:2: profiles.p.tos: tos and dscp are two spellings of one setting\n");
    scratch_bad(*state, "listeners = { l = { target = \"ack\"; dscp = \"EF\";\n tos = 0xb8; }; };",
                "a.conf:2: listeners.l.tos: tos and dscp are two spellings of one setting\n");
    /* What else is wrong with them is told at once. */
    scratch_bad(*state, "profiles = { p = {\n dscp = 99;\n tos = 999; }; };",
                "a.conf:2: profiles.p.dscp: DSCP '99' is out of range 0-63\n"
                "a.conf:3: profiles.p.tos: tos and dscp are two spellings of one setting\n"
                "a.conf:3: profiles.p.tos: TOS '999' is out of range 0x00-0xfc\n");
    scratch_good(*state, "profiles = { p = { tos = 0xb8; }; };\n"
                         "listeners = { l = { target = \"ack\"; profile = \"p\"; dscp = \"EF\"; }; };");
}

static void test_units(void **state) {
    good(state, "send_buffer", "\"262144B\"", "256K");
    good(state, "pacing_rate", "\"50Mbit\"", "50Mbit");
    good(state, "user_timeout", "\"1500ms\"", "1500ms");
    bad(state, "send_buffer", "262144", "write it as a string with a unit, for example \"256K\"");
    bad(state, "send_buffer", "0", "write it as a string with a unit, for example \"256K\"");
    bad(state, "send_buffer", "10000000000", "write it as a string with a unit, for example \"256K\"");
    bad(state, "pacing_rate", "1e6", "write it as a string with a unit, for example \"50Mbit\"");
    bad(state, "user_timeout", "10", "write it as a string with a unit, for example \"10s\"");
    bad(state, "send_buffer", "\"262144\"", "*");
}

static void test_booleans(void **state) {
    good(state, "nodelay", "true", "true");
    good(state, "nodelay", "FALSE", "false");
    good(state, "nodelay", "\"false\"", "false");
    bad(state, "nodelay", "1", "write true or false");
}

static void test_words(void **state) {
    good(state, "keepalive", "\"60s,10s,5\"", "60s,10s,5");
    bad(state, "keepalive", "false", "write it as a string, for example \"60s,10s,5\"");
    bad(state, "compression", "6", "write it as a string, for example \"zlib:6\"");
    bad(state, "congestion", "[ \"cubic\" ]", "write it as a string, for example \"cubic\"");
    good(state, "compression", "\"zlib\" \":6\"", "zlib:6");
}

static void test_prefixes(void **state) {
    good(state, "allow", "\"10.0.0.0/8, ::1\"", "10.0.0.0/8,::1");
    good(state, "allow", "[ \"10.0.0.0/8\", \"::1\" ]", "10.0.0.0/8,::1");
    good(state, "allow", "( \"10.0.0.0/8\" )", "10.0.0.0/8");
    good(state, "deny", "[ ]", "none");
    bad(state, "allow", "10", "write a list of strings, for example [ \"10.0.0.0/8\" ]");
    bad(state, "allow", "[ 10 ]", "write a list of strings, for example [ \"10.0.0.0/8\" ]");
    bad(state, "allow", "[ \"none\" ]", "write one address prefix in each string of the list");
    bad(state, "allow", "[ \"::1,::2\" ]", "write one address prefix in each string of the list");
}

static void test_each_prefix_has_its_line(void **state) {
    scratch_bad(*state,
                "profiles = { p = { allow = [\n"
                "  \"10.0.0.0/8\",\n"
                "  \"10.0.0.1/8\",\n"
                "  \"::1\",\n"
                "  \"localhost\"\n"
                "]; }; };\n",
                "a.conf:3: profiles.p.allow: '10.0.0.1/8' *\n"
                "a.conf:5: profiles.p.allow: 'localhost' *\n");
}

static void test_most_prefixes(void **state) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fputs("profiles = { p = { deny = [ \"::\"", f);
    for (int i = 0; i < CIDR_LIST_MAX; i++)
        fprintf(f, ",\n\"::%x\"", i + 1);
    fputs(" ]; }; };\n", f);
    fclose(f);
    scratch_bad(*state, text, "a.conf:1: profiles.p.deny: *\n");
    free(text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_every_setting),
        TEST(test_integers),
        TEST(test_marks),
        TEST(test_integers_that_cannot_be_believed),
        TEST(test_marks_of_packets),
        TEST(test_two_spellings),
        TEST(test_units),
        TEST(test_booleans),
        TEST(test_words),
        TEST(test_prefixes),
        TEST(test_each_prefix_has_its_line),
        TEST(test_most_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
