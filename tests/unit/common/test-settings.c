/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "setting.h"

/* The ids that a name is about. */
static uint64_t keys(const char *name) {
    return setting_keys(setting_find(name));
}

static void set(struct settings *s, const char *name, const char *text) {
    char *reason = NULL;

    if (settings_set_text(s, setting_find(name), text, &reason) != 0)
        fail_msg("%s = %s: %s", name, text, reason);
}

static void expect(const struct settings *s, const char *name, const char *text) {
    _cleanup_free_ char *got = settings_get_text(s, setting_find(name));

    if (!text) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, text);
}

static void stores_and_replaces(void **state) {
    struct settings s = {};

    expect(&s, "dscp", NULL);
    set(&s, "dscp", "ef");
    expect(&s, "dscp", "EF");
    expect(&s, "tos", "0xb8");
    set(&s, "tos", "0x10");
    expect(&s, "dscp", "4");
    set(&s, "dscp", "inherit");
    assert_true(settings_has(&s, SETTING_DSCP));
    assert_true(settings_inherits(&s, SETTING_DSCP));
    expect(&s, "dscp", "inherit");
    expect(&s, "tos", "inherit");
    set(&s, "dscp", "AF41");
    assert_false(settings_inherits(&s, SETTING_DSCP));
    set(&s, "allow", "10.0.0.0/8");
    set(&s, "allow", "::1");
    expect(&s, "allow", "::1");
    assert_int_equal(s.set_mask, keys("dscp") | keys("allow"));
    settings_done(&s);
    assert_int_equal(s.set_mask, 0);
}

static void an_error_changes_nothing(void **state) {
    _cleanup_free_ char *reason = NULL, *other = NULL;
    struct settings s = {};

    set(&s, "deny", "10.0.0.0/8");
    assert_int_equal(settings_set_text(&s, setting_find("deny"), "10.0.0.0/8,nobody", &reason), -EINVAL);
    assert_non_null(strstr(reason, "'nobody'"));
    expect(&s, "deny", "10.0.0.0/8");
    assert_int_equal(settings_set_text(&s, setting_find("io_buffer"), "inherit", &other), -EINVAL);
    assert_string_equal(other, "io_buffer has nothing to inherit from, write SIZE");
    assert_int_equal(s.set_mask, SETTING_BIT(SETTING_DENY));
    settings_done(&s);
}

static void merges_what_is_there(void **state) {
    struct settings dst = {}, src = {};

    set(&dst, "dscp", "EF");
    set(&dst, "ttl", "9");
    set(&dst, "allow", "10.0.0.0/8");
    set(&dst, "nodelay", "inherit");
    set(&src, "dscp", "inherit");
    set(&src, "nodelay", "false");
    set(&src, "allow", "::1");
    set(&src, "deny", "::2");
    settings_merge(&dst, &src, ~(SETTING_BIT(SETTING_DENY)));
    settings_done(&src);

    expect(&dst, "dscp", "inherit");
    expect(&dst, "ttl", "9");
    expect(&dst, "nodelay", "false");
    expect(&dst, "allow", "::1");
    expect(&dst, "deny", NULL);

    /* Onto itself: nothing is lost. */
    settings_merge(&dst, &dst, UINT64_MAX);
    expect(&dst, "allow", "::1");
    expect(&dst, "dscp", "inherit");
    settings_done(&dst);
}

static void clears_what_is_named(void **state) {
    struct settings s = {};

    set(&s, "allow", "::1");
    set(&s, "dscp", "inherit");
    set(&s, "ttl", "9");
    settings_clear(&s, keys("allow") | keys("dscp") | keys("mark"));
    expect(&s, "allow", NULL);
    expect(&s, "dscp", NULL);
    expect(&s, "ttl", "9");
    assert_int_equal(s.inherit_mask, 0);
    settings_done(&s);
}

static void tells_the_difference(void **state) {
    struct settings a = {}, b = {};

    assert_int_equal(settings_diff(&a, &b), 0);
    set(&a, "dscp", "EF");
    set(&b, "tos", "0xb8");
    set(&a, "allow", "10.0.0.0/8,::1");
    set(&b, "allow", "10.0.0.0/8 ::1");
    set(&a, "ttl", "inherit");
    set(&b, "ttl", "inherit");
    assert_int_equal(settings_diff(&a, &b), 0);

    set(&b, "allow", "10.0.0.0/8");
    set(&b, "ttl", "1");
    set(&a, "keepalive", "off");
    set(&a, "compression", "zlib:1");
    set(&b, "compression", "zlib:2");
    uint64_t expected = keys("allow") | keys("ttl") | keys("keepalive") | keys("compression");
    assert_int_equal(settings_diff(&a, &b), expected);
    assert_int_equal(settings_diff(&b, &a), expected);
    settings_done(&a);
    settings_done(&b);
}

static void defaults_are_complete(void **state) {
    struct settings s;

    settings_defaults(&s);
    for (size_t i = 0; i < SETTING_MAX; i++)
        expect(&s, setting_row(i)->name, setting_row(i)->dflt);
    settings_done(&s);
}

static const char *random_text(const struct setting *s) {
    static const char *const texts[][4] = {
        [SETTING_DSCP] = { "EF", "reflect", "inherit", "0" },
        [SETTING_KEEPALIVE] = { "off", "1s,2s,3", "inherit", "1s,2s,4" },
        [SETTING_COMPRESSION] = { "off", "zlib:1", "zlib:2", "gzip:1" },
        [SETTING_CONGESTION] = { "inherit", "cubic", "reno", "bbr" },
        [SETTING_ALLOW] = { "none", "::1", "10.0.0.0/8,::1", "10.0.0.0/9" },
        [SETTING_DENY] = { "none", "::1", "10.0.0.0/8,::1", "10.0.0.0/9" },
    };

    if ((size_t) s->id >= ARRAY_SIZE(texts) || !texts[s->id][0])
        return s->dflt;
    return texts[s->id][random() % 4];
}

/* Random overlays: merging makes the two agree on the mask, and touches nothing else. */
static void merge_property(void **state) {
    srandom(1);
    for (int i = 0; i < 2000; i++) {
        struct settings a = {}, b = {}, before = {};
        uint64_t mask = ((uint64_t) random() << 31 ^ (uint64_t) random()) & SETTINGS_ALL;

        for (int k = 0; k < 12; k++) {
            const struct setting *row = setting_row((size_t) random() % SETTING_MAX);
            struct settings *s = random() % 2 ? &a : &b;
            assert_int_equal(settings_set_text(s, row, random_text(row), NULL), 0);
        }
        settings_merge(&before, &a, UINT64_MAX);
        assert_int_equal(settings_diff(&before, &a), 0);
        settings_merge(&a, &b, mask);
        assert_int_equal(settings_diff(&a, &b) & mask & b.set_mask, 0);
        assert_int_equal(settings_diff(&a, &before) & ~(mask & b.set_mask), 0);
        settings_done(&a);
        settings_done(&b);
        settings_done(&before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_and_replaces),  cmocka_unit_test(an_error_changes_nothing),
        cmocka_unit_test(merges_what_is_there), cmocka_unit_test(clears_what_is_named),
        cmocka_unit_test(tells_the_difference), cmocka_unit_test(defaults_are_complete),
        cmocka_unit_test(merge_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
