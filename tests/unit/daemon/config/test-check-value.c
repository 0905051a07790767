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

/* The table is the only place that knows: every row takes its own default, as text. Those of single legs have no name
 * of their own in files. */
static void test_every_setting(void **state) {
    const struct setting *row;

    for (size_t i = 0; (row = setting_row(i)); i++) {
        _cleanup_free_ char *value = NULL;

        if (row->leg != SETTING_LEG_ALL)
            continue;
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

/* ---- settings of one leg ---- */

/* The settings of profile "p", told by all names: "dscp" of the client leg, "upstream.dscp" of the other. */
static void expect_legs(void **state, const char *name, const char *client, const char *upstream) {
    struct scratch *s = *state;
    const struct settings *set = &config_profile(s->config, "p")->settings;
    _cleanup_free_ char *on_client = settings_get_text(set, setting_find_on_leg(name, SETTING_LEG_CLIENT));
    _cleanup_free_ char *on_upstream = settings_get_text(set, setting_find_on_leg(name, SETTING_LEG_UPSTREAM));

    assert_string_equal(on_client ? on_client : "-", client);
    assert_string_equal(on_upstream ? on_upstream : "-", upstream);
}

/* Every setting of a leg may stand in the groups, each other one is refused. */
static void test_every_setting_of_a_leg(void **state) {
    const struct setting *row;

    for (size_t i = 0; (row = setting_row(i)); i++) {
        _cleanup_free_ char *text = NULL, *expected = NULL;

        if (row->leg != SETTING_LEG_ALL)
            continue;
        assert_true(asprintf(&text, "profiles = { p = { upstream_leg = {\n%s = \"%s\"; }; }; };", row->name,
                             row->dflt) > 0);
        if (row->id < SETTING_LEG_MAX) {
            scratch_good(*state, text);
            expect_legs(state, row->name, "-", row->dflt);
            continue;
        }
        assert_true(asprintf(&expected,
                             "a.conf:2: profiles.p.upstream_leg.%s: %s is a setting of the listener as a whole, not of "
                             "a leg\n",
                             row->name, row->name) > 0);
        scratch_bad(*state, text, expected);
    }
}

static void test_legs(void **state) {
    scratch_good(*state, "profiles = { p = { client_leg = { dscp = 46; nodelay = false; };\n"
                         "  dscp = \"CS1\"; ttl = 9;\n"
                         "  upstream_leg = { ttl = \"inherit\"; compression = \"zlib:3\"; tos = 0x28; }; }; };");
    expect_legs(state, "dscp", "EF", "AF11");
    expect_legs(state, "tos", "0xb8", "0x28");
    expect_legs(state, "ttl", "9", "inherit");
    expect_legs(state, "nodelay", "false", "-");
    expect_legs(state, "compression", "-", "zlib:3");
    scratch_good(*state, "profiles = { p = { client_leg = { }; upstream_leg = { }; }; };");
    assert_int_equal(config_profile(((struct scratch *) *state)->config, "p")->settings.set_mask, 0);
}

static void test_legs_of_a_listener(void **state) {
    const struct config *c = scratch_good(*state, "listeners = { l = { target = \"ack\"; ttl = 5;\n"
                                                  "  client_leg = { ttl = 6; }; upstream_leg = { ttl = 7; }; }; };");
    const struct settings *set = &config_listener(c, "l")->settings;

    assert_int_equal(set->v[SETTING_TTL].number, 6);
    assert_int_equal(set->v[SETTING_UPSTREAM + SETTING_TTL].number, 7);
}

static void test_faults_in_legs(void **state) {
    scratch_bad(*state,
                "profiles = { p = { client_leg = {\n"
                "  prority = 1;\n"
                "  xyz = 1;\n"
                "  ttl = 256;\n"
                "  ttl2 = { };\n"
                "  nodelay = 1;\n"
                "  client_leg = { };\n"
                "  target = \"ack\";\n"
                "  max_connections = 5;\n"
                "  compression = \"inherit\";\n"
                "  dscp = [ 1 ];\n"
                "}; }; };\n",
                "a.conf:2: profiles.p.client_leg.prority: unknown key, did you mean 'priority'?\n"
                "a.conf:3: profiles.p.client_leg.xyz: unknown key\n"
                "a.conf:4: profiles.p.client_leg.ttl: client.ttl '256' is out of range 1-255\n"
                "a.conf:5: profiles.p.client_leg.ttl2: unknown key, did you mean 'ttl'?\n"
                "a.conf:6: profiles.p.client_leg.nodelay: write true or false\n"
                "a.conf:7: profiles.p.client_leg.client_leg: unknown key\n"
                "a.conf:8: profiles.p.client_leg.target: unknown key\n"
                "a.conf:9: profiles.p.client_leg.max_connections: max_connections is a setting of the listener as a "
                "whole, not of a leg\n"
                "a.conf:10: profiles.p.client_leg.compression: client.compression has nothing to inherit from, *\n"
                "a.conf:11: profiles.p.client_leg.dscp: write a name or a number, for example \"EF\" or 46\n");
    scratch_bad(*state,
                "listeners = { l = { target = \"ack\"; client_leg = 1;\n upstream_leg = [ \"dscp\" ]; };\n"
                "  m = { target = \"ack\"; upstream_leg = \"voice\";\n client_leg = ( { dscp = 1; } ); }; };",
                "a.conf:1: listeners.l.client_leg: write a group: client_leg = { ... };\n"
                "a.conf:2: listeners.l.upstream_leg: write a group: upstream_leg = { ... };\n"
                "a.conf:3: listeners.m.upstream_leg: write a group: upstream_leg = { ... };\n"
                "a.conf:4: listeners.m.client_leg: write a group: client_leg = { ... };\n");
}

static void test_two_spellings_in_a_leg(void **state) {
    scratch_bad(*state, "profiles = { p = { upstream_leg = {\n tos = 0xb8;\n dscp = \"EF\"; }; }; };",
                "a.conf:2: profiles.p.upstream_leg.tos: tos and dscp are two spellings of one setting\n");
    /* Each place by itself. */
    scratch_good(*state,
                 "profiles = { p = { tos = 0x20; client_leg = { dscp = 1; }; upstream_leg = { tos = 0x28; }; }; };");
    expect_legs(state, "dscp", "LE", "AF11");
}

static void drop_in(void **state, const char *first, const char *second) {
    scratch_write(*state, "a.conf", first);
    scratch_write(*state, "a.conf.d/1.conf", second);
    scratch_expect(*state, "");
}

static void test_legs_in_several_files(void **state) {
    /* Groups merge, the later file wins, and so does the later spelling. */
    drop_in(state, "profiles = { p = { upstream_leg = { dscp = 1; ttl = 2; }; client_leg = { tos = 0x20; }; }; };",
            "profiles = { p = { upstream_leg = { tos = 0x28; mark = 3; }; client_leg = { dscp = 2; }; }; };");
    expect_legs(state, "dscp", "2", "AF11");
    expect_legs(state, "ttl", "-", "2");
    expect_legs(state, "mark", "-", "0x3");

    /* What is said of one leg wins over what is said of both, also where that comes later. */
    drop_in(state, "profiles = { p = { client_leg = { dscp = 1; }; }; };", "profiles = { p = { tos = 0x20; }; };");
    expect_legs(state, "dscp", "LE", "CS1");
    drop_in(state, "profiles = { p = { dscp = 8; }; };", "profiles = { p = { upstream_leg = { dscp = 1; }; }; };");
    expect_legs(state, "dscp", "CS1", "LE");

    /* What takes the place of a group, and the other way round. */
    drop_in(state, "profiles = { p = { client_leg = 5; }; };", "profiles = { p = { client_leg = { ttl = 1; }; }; };");
    expect_legs(state, "ttl", "1", "-");
    scratch_write(*state, "a.conf.d/1.conf", "profiles = { p = {\n client_leg = \"\"; }; };");
    scratch_expect(*state, "a.conf.d/1.conf:2: profiles.p.client_leg: write a group: client_leg = { ... };\n");
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
        TEST(test_every_setting_of_a_leg),
        TEST(test_legs),
        TEST(test_legs_of_a_listener),
        TEST(test_faults_in_legs),
        TEST(test_two_spellings_in_a_leg),
        TEST(test_legs_in_several_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
