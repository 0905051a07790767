/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "effective.h"

static void set(struct settings *s, const char *name, const char *text) {
    assert_int_equal(settings_set_text(s, setting_find(name), text, NULL), 0);
}

static void expect(const struct effective *e, const char *name, const char *text, enum origin origin) {
    const struct setting *row = setting_find(name);
    _cleanup_free_ char *stored = settings_get_text(&e->settings, row);

    assert_string_equal(stored, text);
    assert_int_equal(e->origin[row->id], origin);
}

static void test_defaults(void **state) {
    struct effective *e = effective_new();
    const struct setting *row;

    assert_non_null(e);
    for (size_t i = 0; (row = setting_row(i)); i++)
        expect(e, row->name, row->dflt, ORIGIN_DEFAULT);
    assert_null(effective_unref(e));
    assert_null(effective_unref(NULL));
}

static void test_layers(void **state) {
    struct settings profile = { 0 }, runtime = { 0 };
    struct effective *e = effective_new();

    set(&profile, "dscp", "EF");
    set(&profile, "ttl", "9");
    set(&profile, "allow", "10.0.0.0/8");
    set(&runtime, "dscp", "inherit");
    set(&runtime, "allow", "::1");
    effective_apply(e, &profile, UINT64_MAX, ORIGIN_PROFILE_FILE);
    effective_apply(e, &runtime, UINT64_MAX, ORIGIN_LISTENER_RUNTIME);
    settings_done(&profile);
    settings_done(&runtime);

    expect(e, "dscp", "inherit", ORIGIN_LISTENER_RUNTIME);
    expect(e, "ttl", "9", ORIGIN_PROFILE_FILE);
    expect(e, "allow", "::1", ORIGIN_LISTENER_RUNTIME);
    expect(e, "nodelay", "true", ORIGIN_DEFAULT);
    effective_unref(e);
}

static void test_mask(void **state) {
    struct settings over = { 0 };
    struct effective *e = effective_new();

    set(&over, "dscp", "EF");
    set(&over, "ttl", "9");
    effective_apply(e, &over, SETTING_BIT(SETTING_TTL) | SETTING_BIT(SETTING_MARK), ORIGIN_FLOW);
    expect(e, "dscp", "inherit", ORIGIN_DEFAULT);
    expect(e, "mark", "inherit", ORIGIN_DEFAULT);
    expect(e, "ttl", "9", ORIGIN_FLOW);
    settings_done(&over);
    effective_unref(e);
}

static void test_copy_is_private(void **state) {
    struct settings over = { 0 };
    struct effective *e = effective_new();

    set(&over, "allow", "10.0.0.0/8");
    effective_apply(e, &over, UINT64_MAX, ORIGIN_LISTENER_FILE);
    struct effective *copy = effective_copy(e);
    assert_non_null(copy);
    set(&over, "allow", "none");
    set(&over, "ttl", "3");
    effective_apply(copy, &over, UINT64_MAX, ORIGIN_FLOW);
    expect(e, "allow", "10.0.0.0/8", ORIGIN_LISTENER_FILE);
    expect(e, "ttl", "inherit", ORIGIN_DEFAULT);
    expect(copy, "allow", "none", ORIGIN_FLOW);
    effective_unref(e);
    expect(copy, "ttl", "3", ORIGIN_FLOW);
    settings_done(&over);
    effective_unref(copy);
}

static void test_references(void **state) {
    struct effective *e = effective_new(), *second = effective_ref(e);

    assert_ptr_equal(e, second);
    effective_unref(e);
    expect(second, "ttl", "inherit", ORIGIN_DEFAULT);
    effective_unref(second);
}

/* effective.upstream says of the other leg what the client leg's ids say. */
static void expect_upstream(const struct effective *e, const char *name, const char *text) {
    _cleanup_free_ char *stored = settings_get_text(&e->upstream, setting_find(name));

    assert_string_equal(stored, text);
}

static void test_upstream_leg(void **state) {
    struct settings profile = { 0 }, listener = { 0 };
    struct effective *e = effective_new(), *copy;

    assert_int_equal(e->upstream.set_mask, SETTING_BIT(SETTING_LEG_MAX) - 1);
    for (enum setting_id id = 0; id < SETTING_LEG_MAX; id++)
        expect_upstream(e, setting_by_id(id)->name, setting_by_id(id)->dflt);

    set(&profile, "dscp", "EF");
    set(&profile, "upstream.compression", "zlib:3");
    set(&profile, "client.ttl", "9");
    effective_apply(e, &profile, SETTINGS_ALL, ORIGIN_PROFILE_FILE);
    expect_upstream(e, "dscp", "EF");
    expect_upstream(e, "compression", "zlib:3");
    expect_upstream(e, "ttl", "inherit");
    expect(e, "upstream.dscp", "EF", ORIGIN_PROFILE_FILE);
    expect(e, "upstream.ttl", "inherit", ORIGIN_DEFAULT);
    expect(e, "compression", "off", ORIGIN_DEFAULT);

    /* The mask says which leg; inherit masks a value. */
    set(&listener, "dscp", "CS1");
    set(&listener, "upstream.dscp", "inherit");
    copy = effective_copy(e);
    effective_apply(e, &listener, SETTINGS_ALL & ~SETTINGS_UPSTREAM, ORIGIN_LISTENER_FILE);
    expect(e, "dscp", "CS1", ORIGIN_LISTENER_FILE);
    expect(e, "upstream.dscp", "EF", ORIGIN_PROFILE_FILE);
    expect_upstream(e, "dscp", "EF");
    effective_apply(copy, &listener, SETTINGS_UPSTREAM, ORIGIN_FLOW);
    expect(copy, "dscp", "EF", ORIGIN_PROFILE_FILE);
    expect(copy, "upstream.dscp", "inherit", ORIGIN_FLOW);
    expect_upstream(copy, "dscp", "inherit");
    expect_upstream(copy, "compression", "zlib:3");
    expect_upstream(e, "dscp", "EF"); /* a copy is private */
    settings_done(&profile);
    settings_done(&listener);
    effective_unref(e);
    effective_unref(copy);
}

static void test_origin_names(void **state) {
    assert_string_equal(origin_name(ORIGIN_DEFAULT), "default");
    assert_string_equal(origin_name(ORIGIN_PROFILE_FILE), "profile");
    assert_string_equal(origin_name(ORIGIN_PROFILE_RUNTIME), "profile (runtime)");
    assert_string_equal(origin_name(ORIGIN_LISTENER_FILE), "listener");
    assert_string_equal(origin_name(ORIGIN_LISTENER_RUNTIME), "listener (runtime)");
    assert_string_equal(origin_name(ORIGIN_FLOW), "flow");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_layers),     cmocka_unit_test(test_mask),
        cmocka_unit_test(test_copy_is_private), cmocka_unit_test(test_references), cmocka_unit_test(test_upstream_leg),
        cmocka_unit_test(test_origin_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
