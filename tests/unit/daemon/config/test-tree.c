/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "scratch.h"

static void assert_setting(const struct settings *s, const char *name, const char *expected) {
    _cleanup_free_ char *text = settings_get_text(s, setting_find(name));

    assert_string_equal(text, expected);
}

static void test_groups_merge_key_by_key(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf",
                  "daemon = { workers = 3; log_level = \"err\"; };\n"
                  "profiles = { p = { dscp = \"EF\"; priority = 3; }; };\n");
    scratch_write(s, "a.conf.d/1.conf",
                  "profiles = { p = { priority = 4; ttl = 9; }; q = { ttl = 7; }; };\n"
                  "daemon = { workers = 4; };\n");
    scratch_write(s, "a.conf.d/2.conf", "profiles = { p = { ttl = 10; }; };\n");
    assert_int_equal(scratch_load(s), 0);
    assert_int_equal(s->config->daemon.workers, 4);
    assert_int_equal(s->config->daemon.log_level, 3);
    assert_int_equal(s->config->n_profiles, 2);
    const struct config_profile *p = config_profile(s->config, "p");
    assert_setting(&p->settings, "dscp", "EF");
    assert_setting(&p->settings, "priority", "4");
    assert_setting(&p->settings, "ttl", "10");
    assert_setting(&config_profile(s->config, "q")->settings, "ttl", "7");
    assert_string_equal(p->where.file, scratch_path(s, "a.conf"));
    assert_int_equal(p->where.line, 2);
}

static void test_arrays_replace(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf",
                  "listeners = { l = { target = \"echo\"; allow = [ \"10.0.0.0/8\", \"::1\" ];\n"
                  "  listen = [ \"tcp:127.0.0.1:1\", \"tcp:127.0.0.1:2\" ]; }; };\n");
    scratch_write(s, "a.conf.d/1.conf",
                  "\nlisteners = { l = { listen = [\n\"tcp:127.0.0.1:3\"\n];\n"
                  "  allow = [ ]; }; };\n");
    assert_int_equal(scratch_load(s), 0);
    const struct config_listener *l = config_listener(s->config, "l");
    assert_int_equal(l->n_listen, 1);
    assert_string_equal(l->listen[0].text, "tcp:127.0.0.1:3");
    assert_string_equal(l->where_listen.file, scratch_path(s, "a.conf.d/1.conf"));
    assert_int_equal(l->where_listen.line, 2);
    assert_int_equal(l->listen[0].where.line, 3);
    assert_setting(&l->settings, "allow", "none");
}

static void test_the_later_type_wins(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "daemon = 5; profiles = { p = { dscp = [ 1 ]; }; };\n");
    scratch_write(s, "a.conf.d/1.conf", "daemon = { workers = 2; }; profiles = { p = { dscp = 1; }; };\n");
    assert_int_equal(scratch_load(s), 0);
    scratch_write(s, "a.conf.d/2.conf", "\nprofiles = 1;\n");
    scratch_expect(s, "a.conf.d/2.conf:2: profiles: write a group: profiles = { ... };\n");
}

static void test_a_fault_names_the_file_that_said_it(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "profiles = { p = { dscp = \"xx\"; ttl = 1; }; };\n");
    scratch_write(s, "a.conf.d/1.conf", "profiles = {\n p = {\n dscp = \"EF\";\n ttl = 0; }; };\n");
    scratch_expect(s, "a.conf.d/1.conf:4: profiles.p.ttl: *\n");
}

static void test_later_spelling_of_a_setting_wins(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "profiles = { p = { tos = 0xb8; }; q = { dscp = \"EF\"; }; };\n");
    scratch_write(s, "a.conf.d/1.conf", "profiles = { p = { dscp = \"CS1\"; }; q = { tos = 0x20; }; };\n");
    assert_int_equal(scratch_load(s), 0);
    assert_setting(&config_profile(s->config, "p")->settings, "dscp", "CS1");
    assert_setting(&config_profile(s->config, "q")->settings, "dscp", "CS1");
}

static void test_syntax_faults(void **state) {
    scratch_bad(*state, "daemon = {\n workers = 2;\n", "a.conf:4: syntax error\n");
    scratch_bad(*state, "a = 1;\nb = 'x';\n", "a.conf:2: syntax error\n");
    scratch_bad(*state, "a = 1;\n\n\na = 2;\n", "a.conf:4: duplicate setting name\n");
    scratch_bad(*state, "a = [ 1,\n\"x\" ];\n", "a.conf:2: mismatched element type in array\n");
    scratch_bad(*state, "daemon = { \"workers\" = 2; };\n", "a.conf:1: syntax error\n");
}

static void test_one_syntax_fault_a_file(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "a = ;\nb = ;\n");
    scratch_write(s, "a.conf.d/1.conf", "daemon = {\n wrkers = 1; };\n");
    scratch_write(s, "a.conf.d/2.conf", "}\n");
    scratch_expect(s, "a.conf:1: syntax error\n"
                      "a.conf.d/1.conf:2: daemon.wrkers: unknown key, did you mean 'workers'?\n"
                      "a.conf.d/2.conf:1: syntax error\n");
}

/* What a broken file may have said is not called missing. */
static void test_nothing_is_missing_beside_a_broken_file(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "profiles = { p = { }\n");
    scratch_write(s, "a.conf.d/1.conf", "listeners = { l = { profile = \"p\"; dscp = 64; }; };\n");
    scratch_expect(s, "a.conf:3: syntax error\n"
                      "a.conf.d/1.conf:1: listeners.l.dscp: *\n");
}

static void test_include_is_refused(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "b", "daemon = { workers = 2; };\n");
    scratch_bad(s, "\n@include \"b\"\n",
                "a.conf:2: @include is not supported, put the other file among the drop-ins\n");
}

static void test_deep_nesting(void **state) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fputs("a = ", f);
    for (int i = 0; i < 100000; i++)
        fputs("( ", f);
    fclose(f);
    scratch_bad(*state, text, "a.conf:1: nested too deeply\n");
    free(text);
}

static void test_deepest_nesting(void **state) {
    scratch_bad(*state, "a={b={c={d={e={f={g={h={i=1;};};};};};};};};", "a.conf:1: a: unknown key\n");
    scratch_bad(*state, "daemon = { workers = (((((((1))))))); };", "a.conf:1: daemon.workers: write a whole number\n");
}

static void test_binary_junk(void **state) {
    unsigned char junk[4096];

    for (size_t i = 0; i < sizeof(junk); i++)
        junk[i] = (unsigned char) (1 + i * 7919 % 255);
    scratch_write_bytes(*state, "a.conf", (char *) junk, sizeof(junk));
    assert_int_equal(scratch_load(*state), -EINVAL);
    scratch_bad(*state, "\177ELF\2\1\1", "a.conf:1: syntax error\n");
    scratch_write_bytes(*state, "a.conf", "\n\177ELF\0", 6);
    scratch_expect(*state, "a.conf:2: not a text file, there is a NUL byte\n");
}

static void write_keys(struct scratch *s, const char *name, int from, int n) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fputs("daemon = { ", f);
    for (int i = 0; i < n; i++)
        fprintf(f, "k%d=1;", from + i);
    fputs(" };\n", f);
    fclose(f);
    scratch_write(s, name, text);
    free(text);
}

static void test_many_keys_of_one_group(void **state) {
    write_keys(*state, "a.conf", 0, 1025);
    scratch_expect(*state, "a.conf:1: too many keys in one group\n");
}

static const struct config_fault *find_fault(const struct scratch *s, const char *text) {
    for (size_t i = 0; i < s->faults.n; i++)
        if (streq(s->faults.items[i].text, text))
            return &s->faults.items[i];
    return NULL;
}

static void test_many_keys_of_merged_groups(void **state) {
    struct scratch *s = *state;

    scratch_write(s, "a.conf", "");
    write_keys(s, "a.conf.d/1.conf", 0, 1000);
    write_keys(s, "a.conf.d/2.conf", 900, 124);
    assert_int_equal(scratch_load(s), -EINVAL);
    assert_null(find_fault(s, "too many keys in one group"));
    write_keys(s, "a.conf.d/2.conf", 900, 125);
    assert_int_equal(scratch_load(s), -EINVAL);
    const struct config_fault *f = find_fault(s, "too many keys in one group");
    assert_non_null(f);
    assert_string_equal(f->key, "daemon.k1024");
}

/* 17 files of 1000 keys each are over what all files together may hold. */
static void test_many_keys_in_many_files(void **state) {
    struct scratch *s = *state;
    char name[32];

    scratch_write(s, "a.conf", "");
    for (int i = 1; i <= 17; i++) {
        snprintf(name, sizeof(name), "a.conf.d/%02d.conf", i);
        write_keys(s, name, 0, 1000);
    }
    assert_int_equal(scratch_load(s), -EINVAL);
    const struct config_fault *f = find_fault(s, "too many keys");
    assert_non_null(f);
    assert_string_equal(f->file, scratch_path(s, "a.conf.d/17.conf"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_groups_merge_key_by_key),
        TEST(test_arrays_replace),
        TEST(test_the_later_type_wins),
        TEST(test_a_fault_names_the_file_that_said_it),
        TEST(test_later_spelling_of_a_setting_wins),
        TEST(test_syntax_faults),
        TEST(test_one_syntax_fault_a_file),
        TEST(test_nothing_is_missing_beside_a_broken_file),
        TEST(test_include_is_refused),
        TEST(test_deep_nesting),
        TEST(test_deepest_nesting),
        TEST(test_binary_junk),
        TEST(test_many_keys_of_one_group),
        TEST(test_many_keys_of_merged_groups),
        TEST(test_many_keys_in_many_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
