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

/* ---- legs ---- */

static void a_name_of_both_legs_sets_both(void **state) {
    struct settings s = {};

    set(&s, "dscp", "EF");
    expect(&s, "client.dscp", "EF");
    expect(&s, "upstream.dscp", "EF");
    expect(&s, "upstream.tos", "0xb8");
    set(&s, "tos", "0x10");
    expect(&s, "client.tos", "0x10");
    expect(&s, "upstream.dscp", "4");
    set(&s, "ttl", "inherit");
    assert_true(settings_inherits(&s, SETTING_TTL));
    assert_true(settings_inherits(&s, SETTING_UPSTREAM + SETTING_TTL));
    set(&s, "idle_timeout", "5s");
    assert_int_equal(s.set_mask, keys("dscp") | keys("ttl") | SETTING_BIT(SETTING_IDLE_TIMEOUT));
    settings_done(&s);
}

static void a_name_of_one_leg_sets_that_one(void **state) {
    struct settings s = {};

    set(&s, "client.dscp", "EF");
    expect(&s, "dscp", "EF"); /* told by the client leg */
    expect(&s, "upstream.dscp", NULL);
    set(&s, "upstream.tos", "0x28");
    expect(&s, "upstream.dscp", "AF11");
    expect(&s, "dscp", "EF");
    assert_int_equal(s.set_mask, keys("dscp"));

    /* The latest word holds: what is said of both, then of one. */
    set(&s, "dscp", "CS1");
    expect(&s, "upstream.dscp", "CS1");
    set(&s, "upstream.dscp", "inherit");
    expect(&s, "upstream.dscp", "inherit");
    expect(&s, "client.dscp", "CS1");
    assert_int_equal(s.inherit_mask, SETTING_BIT(SETTING_UPSTREAM + SETTING_DSCP));
    set(&s, "client.tos", "inherit");
    assert_int_equal(s.inherit_mask, keys("dscp"));
    settings_done(&s);
}

static void an_error_changes_neither_leg(void **state) {
    struct settings s = {};

    set(&s, "client.ttl", "1");
    set(&s, "upstream.ttl", "2");
    assert_int_equal(settings_set_text(&s, setting_find("ttl"), "256", NULL), -ERANGE);
    assert_int_equal(settings_set_text(&s, setting_find("upstream.ttl"), "x", NULL), -EINVAL);
    assert_int_equal(settings_set_text(&s, setting_find("client.compression"), "inherit", NULL), -EINVAL);
    expect(&s, "client.ttl", "1");
    expect(&s, "upstream.ttl", "2");
    assert_int_equal(s.set_mask, keys("ttl"));
    settings_done(&s);
}

static void legs_merge_and_differ_by_themselves(void **state) {
    struct settings a = {}, b = {};

    set(&a, "keepalive", "60s,10s,5");
    set(&a, "congestion", "cubic");
    set(&b, "upstream.keepalive", "off");
    set(&b, "client.congestion", "inherit");
    settings_merge(&a, &b, SETTINGS_ALL);
    expect(&a, "client.keepalive", "60s,10s,5");
    expect(&a, "upstream.keepalive", "off");
    expect(&a, "client.congestion", "inherit");
    expect(&a, "upstream.congestion", "cubic");

    assert_int_equal(settings_diff(&a, &b), keys("client.keepalive") | keys("upstream.congestion"));
    settings_merge(&b, &a, SETTINGS_UPSTREAM);
    assert_int_equal(settings_diff(&a, &b), keys("client.keepalive"));
    settings_clear(&a, SETTINGS_UPSTREAM);
    assert_int_equal(a.set_mask, keys("client.keepalive") | keys("client.congestion"));
    settings_done(&a);
    settings_done(&b);
}

static void the_upstream_leg_by_itself(void **state) {
    struct settings s = {}, upstream = {};

    set(&s, "dscp", "EF");
    set(&s, "upstream.dscp", "AF41");
    set(&s, "client.ttl", "9");
    set(&s, "upstream.nodelay", "inherit");
    set(&s, "compression", "zlib:3");
    set(&s, "allow", "10.0.0.0/8");
    settings_upstream(&s, &upstream);
    expect(&upstream, "client.dscp", "AF41");
    expect(&upstream, "client.compression", "zlib:3");
    assert_true(settings_inherits(&upstream, SETTING_NODELAY));
    assert_int_equal(upstream.set_mask, keys("client.dscp") | keys("client.nodelay") | keys("client.compression"));

    /* Again, on top: what is said replaces, the rest stays. */
    set(&s, "upstream.dscp", "inherit");
    settings_clear(&s, keys("upstream.compression"));
    settings_upstream(&s, &upstream);
    expect(&upstream, "client.dscp", "inherit");
    expect(&upstream, "client.compression", "zlib:3");
    settings_done(&s);
    settings_done(&upstream);
}

static void keys_as_somebody_names_them(void **state) {
    uint64_t leg = SETTING_BIT(SETTING_LEG_MAX) - 1;

    assert_int_equal(settings_named(0), 0);
    assert_int_equal(settings_named(keys("dscp")), keys("client.dscp"));
    assert_int_equal(settings_named(keys("client.dscp")), keys("client.dscp"));
    assert_int_equal(settings_named(keys("upstream.dscp")), keys("upstream.dscp"));
    assert_int_equal(settings_named(keys("client.dscp") | keys("upstream.ttl")),
                     keys("client.dscp") | keys("upstream.ttl"));
    assert_int_equal(settings_named(keys("allow") | keys("idle_timeout")), keys("allow") | keys("idle_timeout"));
    assert_int_equal(settings_named(SETTINGS_ALL), SETTINGS_ALL & ~SETTINGS_UPSTREAM);
    assert_int_equal(settings_named(SETTINGS_UPSTREAM), SETTINGS_UPSTREAM);
    assert_int_equal(SETTINGS_UPSTREAM, leg << SETTING_UPSTREAM);
    assert_int_equal(SETTINGS_ALL, SETTING_BIT(SETTING_MAX) - 1);
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
        cmocka_unit_test(stores_and_replaces),
        cmocka_unit_test(an_error_changes_nothing),
        cmocka_unit_test(merges_what_is_there),
        cmocka_unit_test(clears_what_is_named),
        cmocka_unit_test(tells_the_difference),
        cmocka_unit_test(defaults_are_complete),
        cmocka_unit_test(a_name_of_both_legs_sets_both),
        cmocka_unit_test(a_name_of_one_leg_sets_that_one),
        cmocka_unit_test(an_error_changes_neither_leg),
        cmocka_unit_test(legs_merge_and_differ_by_themselves),
        cmocka_unit_test(the_upstream_leg_by_itself),
        cmocka_unit_test(keys_as_somebody_names_them),
        cmocka_unit_test(merge_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
