/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include "overlay.h"

static const struct change_who who = { .uid = 1000, .pid = 4711 };
static struct overlays overlays;
static uint64_t next_id;

static int setup(void **state) {
    overlays = (struct overlays){ 0 };
    next_id = 1;
    return 0;
}

static int teardown(void **state) {
    overlays_done(&overlays);
    return 0;
}

static struct change_target target_of(const char *text) {
    struct change_target target;

    assert_int_equal(change_target_parse(text, &target), 0);
    return target;
}

/* Only the keys that are named. */
static struct settings only(const char *a, const char *b) {
    const char *const texts[] = { a, b };
    struct settings set = { 0 };

    for (unsigned i = 0; i < 2 && texts[i]; i++) {
        _cleanup_free_ char *name = strndup(texts[i], strcspn(texts[i], "="));

        assert_int_equal(settings_set_text(&set, setting_find(name), texts[i] + strlen(name) + 1, NULL), 0);
    }
    return set;
}

static void set2(const char *target, const char *a, const char *b) {
    struct change_target t = target_of(target);
    struct settings set = only(a, b);

    assert_int_equal(overlays_set(&overlays, next_id++, &who, &t, &set), 0);
    settings_done(&set);
}

static void set(const char *target, const char *text) {
    set2(target, text, NULL);
}

static void unset(const char *target, uint64_t keys) {
    struct change_target t = target_of(target);

    overlays_unset(&overlays, &t, keys);
}

static uint64_t keys_of(const char *target) {
    struct change_target t = target_of(target);

    return overlays_keys(&overlays, &t);
}

static void assert_resolved(const struct overlays *o, const struct config_listener *conf, const char *name,
                            const char *text, enum origin origin) {
    struct effective *e = overlays_resolve(o, conf);
    _cleanup_free_ char *got = NULL;

    assert_non_null(e);
    got = settings_get_text(&e->settings, setting_find(name));
    assert_string_equal(got, text);
    assert_int_equal(e->origin[setting_find(name)->id], origin);
    effective_unref(e);
}

static void test_precedence_from_the_lowest_to_the_highest(void **state) {
    struct config_profile profile = { .name = (char *) "p" };
    struct config_listener conf = { .name = (char *) "a", .profile = &profile };

    assert_resolved(&overlays, &conf, "ttl", "inherit", ORIGIN_DEFAULT);
    profile.settings = only("ttl=10", NULL);
    assert_resolved(&overlays, &conf, "ttl", "10", ORIGIN_PROFILE_FILE);
    set("profile:p", "ttl=20");
    assert_resolved(&overlays, &conf, "ttl", "20", ORIGIN_PROFILE_RUNTIME);
    conf.settings = only("ttl=30", NULL);
    assert_resolved(&overlays, &conf, "ttl", "30", ORIGIN_LISTENER_FILE);
    set("a", "ttl=40");
    assert_resolved(&overlays, &conf, "ttl", "40", ORIGIN_LISTENER_RUNTIME);

    /* What comes later at a lower level stays beneath. */
    set("profile:p", "ttl=50");
    assert_resolved(&overlays, &conf, "ttl", "40", ORIGIN_LISTENER_RUNTIME);
    unset("a", bits("ttl"));
    assert_resolved(&overlays, &conf, "ttl", "30", ORIGIN_LISTENER_FILE);
    settings_done(&conf.settings);
    assert_resolved(&overlays, &conf, "ttl", "50", ORIGIN_PROFILE_RUNTIME);
}

static void test_inherit_masks_what_the_files_say(void **state) {
    struct config_listener conf = { .name = (char *) "a", .settings = only("ttl=30", NULL) };

    set("a", "ttl=inherit");
    assert_resolved(&overlays, &conf, "ttl", "inherit", ORIGIN_LISTENER_RUNTIME);
    unset("a", bits("ttl"));
    assert_resolved(&overlays, &conf, "ttl", "30", ORIGIN_LISTENER_FILE);
}

static void test_a_profile_and_a_listener_of_one_name_are_two(void **state) {
    struct config_profile profile = { .name = (char *) "x" };
    struct config_listener conf = { .name = (char *) "x" }, other = { .name = (char *) "y", .profile = &profile };

    set("x", "ttl=1");
    set("profile:x", "ttl=2");
    assert_resolved(&overlays, &conf, "ttl", "1", ORIGIN_LISTENER_RUNTIME);
    assert_resolved(&overlays, &other, "ttl", "2", ORIGIN_PROFILE_RUNTIME);
    unset("profile:x", bits("ttl"));
    assert_int_equal(keys_of("x"), bits("ttl"));
    assert_int_equal(keys_of("profile:x"), 0);
}

static void test_a_newer_value_takes_the_place_of_the_older(void **state) {
    struct config_listener conf = { .name = (char *) "a" };

    for (unsigned i = 1; i <= 200; i++) {
        char text[32];

        snprintf(text, sizeof(text), "ttl=%u", i);
        set("a", text);
        set2("a", "dscp=EF", "allow=10.0.0.0/8,192.0.2.1");
    }
    assert_resolved(&overlays, &conf, "ttl", "200", ORIGIN_LISTENER_RUNTIME);
    assert_int_equal(overlays.n, 2); /* however often: the list does not grow */
    assert_int_equal(overlays_count(&overlays), 3);
}

static void test_an_older_entry_keeps_its_other_keys(void **state) {
    struct config_listener conf = { .name = (char *) "a" };

    set2("a", "ttl=1", "dscp=EF");
    set("a", "dscp=CS1");
    assert_resolved(&overlays, &conf, "ttl", "1", ORIGIN_LISTENER_RUNTIME);
    assert_resolved(&overlays, &conf, "dscp", "CS1", ORIGIN_LISTENER_RUNTIME);
    assert_int_equal(overlays.items[0].id, 1);
    assert_int_equal(overlays.items[0].settings.set_mask, bits("ttl"));
    assert_int_equal(overlays.items[1].id, 2);
    assert_int_equal(overlays.items[1].who.uid, who.uid);
    assert_int_equal(overlays_count(&overlays), 2);
}

static void test_unset_drops_what_is_named_and_empty_entries(void **state) {
    set2("a", "ttl=1", "dscp=EF");
    set("b", "ttl=2");
    unset("a", bits("dscp") | bits("priority"));
    assert_int_equal(keys_of("a"), bits("ttl"));
    assert_int_equal(keys_of("b"), bits("ttl"));
    unset("a", UINT64_MAX);
    assert_int_equal(keys_of("a"), 0);
    assert_int_equal(overlays.n, 1);
    unset("a", UINT64_MAX); /* there is nothing */
    unset("b", UINT64_MAX);
    assert_int_equal(overlays.n, 0);
    assert_int_equal(overlays_count(&overlays), 0);
}

static void test_a_copy_lives_by_itself(void **state) {
    struct config_listener conf = { .name = (char *) "a" };
    struct overlays copy;

    set2("a", "ttl=1", "deny=10.0.0.0/8");
    set("profile:p", "congestion=cubic");
    assert_int_equal(overlays_copy(&overlays, &copy), 0);
    unset("a", UINT64_MAX);
    set("a", "ttl=9");
    assert_int_equal(overlays_count(&copy), 3);
    assert_resolved(&copy, &conf, "ttl", "1", ORIGIN_LISTENER_RUNTIME);
    assert_resolved(&copy, &conf, "deny", "10.0.0.0/8", ORIGIN_LISTENER_RUNTIME);
    assert_int_equal(copy.items[0].id, 1);
    overlays_done(&overlays);
    assert_resolved(&copy, &conf, "ttl", "1", ORIGIN_LISTENER_RUNTIME);
    overlays_done(&copy);
    assert_int_equal(overlays_count(&copy), 0);
}

/* ---- legs ---- */

static void expect_upstream(const struct config_listener *conf, const char *name, const char *text) {
    struct effective *e = overlays_resolve(&overlays, conf);
    _cleanup_free_ char *got = NULL;

    assert_non_null(e);
    got = settings_get_text(&e->upstream, setting_find(name));
    assert_string_equal(got, text);
    effective_unref(e);
}

static void test_each_leg_by_precedence(void **state) {
    struct config_profile profile = { .name = (char *) "p", .settings = only("ttl=10", "upstream.ttl=11") };
    struct config_listener conf = { .name = (char *) "a", .profile = &profile };

    assert_resolved(&overlays, &conf, "ttl", "10", ORIGIN_PROFILE_FILE);
    assert_resolved(&overlays, &conf, "upstream.ttl", "11", ORIGIN_PROFILE_FILE);
    set("profile:p", "client.ttl=20");
    assert_resolved(&overlays, &conf, "ttl", "20", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.ttl", "11", ORIGIN_PROFILE_FILE);
    set("profile:p", "ttl=21"); /* of both: above what the file says of one */
    assert_resolved(&overlays, &conf, "upstream.ttl", "21", ORIGIN_PROFILE_RUNTIME);
    conf.settings = only("upstream.ttl=30", NULL);
    assert_resolved(&overlays, &conf, "ttl", "21", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.ttl", "30", ORIGIN_LISTENER_FILE);
    expect_upstream(&conf, "ttl", "30");
    set("a", "upstream.ttl=inherit");
    assert_resolved(&overlays, &conf, "upstream.ttl", "inherit", ORIGIN_LISTENER_RUNTIME);
    expect_upstream(&conf, "ttl", "inherit");
    set("a", "ttl=40");
    assert_resolved(&overlays, &conf, "ttl", "40", ORIGIN_LISTENER_RUNTIME);
    expect_upstream(&conf, "ttl", "40");
    unset("a", bit("upstream.ttl"));
    assert_resolved(&overlays, &conf, "ttl", "40", ORIGIN_LISTENER_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.ttl", "30", ORIGIN_LISTENER_FILE);
    settings_done(&profile.settings);
    settings_done(&conf.settings);
}

/* The profile of the upstream leg lies on top of the listener's, for that leg only. */
static void test_a_profile_of_the_upstream_leg(void **state) {
    struct config_profile p = { .name = (char *) "p", .settings = only("dscp=EF", "ttl=10") };
    struct config_profile q = { .name = (char *) "q", .settings = only("dscp=CS1", "idle_timeout=5s") };
    struct config_forward forward = { .profile = &q };
    struct config_listener conf = { .name = (char *) "a", .profile = &p, .forward = &forward };

    assert_resolved(&overlays, &conf, "dscp", "EF", ORIGIN_PROFILE_FILE);
    assert_resolved(&overlays, &conf, "upstream.dscp", "CS1", ORIGIN_PROFILE_FILE);
    assert_resolved(&overlays, &conf, "upstream.ttl", "10", ORIGIN_PROFILE_FILE); /* q says nothing of it */
    assert_resolved(&overlays, &conf, "idle_timeout", "off", ORIGIN_DEFAULT);     /* not of a leg */
    expect_upstream(&conf, "dscp", "CS1");
    expect_upstream(&conf, "ttl", "10");

    /* Runtime values of either: those of q are the higher ones, as its file's are. */
    set("profile:p", "dscp=AF11");
    assert_resolved(&overlays, &conf, "dscp", "AF11", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.dscp", "CS1", ORIGIN_PROFILE_FILE);
    set2("profile:p", "ttl=20", "upstream.mark=5");
    assert_resolved(&overlays, &conf, "upstream.ttl", "20", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.mark", "0x5", ORIGIN_PROFILE_RUNTIME);
    set2("profile:q", "ttl=30", "client.mark=6");
    assert_resolved(&overlays, &conf, "ttl", "20", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.ttl", "30", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "mark", "inherit", ORIGIN_DEFAULT);
    assert_resolved(&overlays, &conf, "upstream.mark", "0x5", ORIGIN_PROFILE_RUNTIME);
    set("profile:q", "upstream.dscp=AF21");
    assert_resolved(&overlays, &conf, "upstream.dscp", "AF21", ORIGIN_PROFILE_RUNTIME);
    unset("profile:q", UINT64_MAX);
    assert_resolved(&overlays, &conf, "upstream.dscp", "CS1", ORIGIN_PROFILE_FILE);
    assert_resolved(&overlays, &conf, "upstream.ttl", "20", ORIGIN_PROFILE_RUNTIME);

    /* The listener itself has the last word. */
    conf.settings = only("dscp=AF31", NULL);
    assert_resolved(&overlays, &conf, "upstream.dscp", "AF31", ORIGIN_LISTENER_FILE);
    set("a", "upstream.dscp=AF41");
    assert_resolved(&overlays, &conf, "dscp", "AF31", ORIGIN_LISTENER_FILE);
    assert_resolved(&overlays, &conf, "upstream.dscp", "AF41", ORIGIN_LISTENER_RUNTIME);
    settings_done(&conf.settings);
    settings_done(&p.settings);
    settings_done(&q.settings);
}

static void test_one_profile_for_both_legs(void **state) {
    struct config_profile p = { .name = (char *) "p", .settings = only("dscp=EF", "upstream.dscp=CS1") };
    struct config_forward forward = { .profile = &p };
    struct config_listener conf = { .name = (char *) "a", .profile = &p, .forward = &forward };
    struct config_listener bare = { .name = (char *) "b", .forward = &forward };

    assert_resolved(&overlays, &conf, "dscp", "EF", ORIGIN_PROFILE_FILE);
    assert_resolved(&overlays, &conf, "upstream.dscp", "CS1", ORIGIN_PROFILE_FILE);
    assert_resolved(&overlays, &bare, "dscp", "inherit", ORIGIN_DEFAULT); /* no profile of its own */
    assert_resolved(&overlays, &bare, "upstream.dscp", "CS1", ORIGIN_PROFILE_FILE);
    set("profile:p", "dscp=AF11");
    assert_resolved(&overlays, &conf, "dscp", "AF11", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &conf, "upstream.dscp", "AF11", ORIGIN_PROFILE_RUNTIME);
    assert_resolved(&overlays, &bare, "dscp", "inherit", ORIGIN_DEFAULT);
    assert_resolved(&overlays, &bare, "upstream.dscp", "AF11", ORIGIN_PROFILE_RUNTIME);
    forward.profile = NULL;
    assert_resolved(&overlays, &bare, "upstream.dscp", "inherit", ORIGIN_DEFAULT);
    settings_done(&p.settings);
}

static void test_values_are_counted_as_they_are_named(void **state) {
    set("a", "ttl=1");
    assert_int_equal(overlays_count(&overlays), 1); /* one word for both */
    set("a", "upstream.ttl=2");
    assert_int_equal(overlays_count(&overlays), 2);
    set("a", "upstream.ttl=3");
    assert_int_equal(overlays_count(&overlays), 2);
    assert_int_equal(keys_of("a"), bits("ttl"));
    unset("a", bit("ttl"));
    assert_int_equal(keys_of("a"), bit("upstream.ttl"));
    assert_int_equal(overlays_count(&overlays), 1);
    set2("a", "client.dscp=EF", "upstream.mark=1");
    assert_int_equal(overlays_count(&overlays), 3);
    set("a", "ttl=4");
    set("a", "tos=0");
    assert_int_equal(overlays_count(&overlays), 3);
    assert_int_equal(keys_of("a"), bits("ttl") | bits("dscp") | bit("upstream.mark"));
}

static void test_targets(void **state) {
    static const char *const bad[] = {
        "",   "profile:",   "a b", "profile:a:b", ":a",
        "9a", "profile: a", "-a",  "a/b",         "a2345678901234567890123456789012345678901234567890123456789012345"
    };
    struct change_target t;

    t = target_of("orders");
    assert_false(t.profile);
    assert_string_equal(t.name, "orders");
    t = target_of("profile:voice");
    assert_true(t.profile);
    assert_string_equal(t.name, "voice");
    t = target_of("profile"); /* a listener of that name */
    assert_false(t.profile);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (change_target_parse(bad[i], &t) != -EINVAL)
            fail_msg("'%s' was taken as a target", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_precedence_from_the_lowest_to_the_highest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inherit_masks_what_the_files_say, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_and_a_listener_of_one_name_are_two, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_newer_value_takes_the_place_of_the_older, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_older_entry_keeps_its_other_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unset_drops_what_is_named_and_empty_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_lives_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_leg_by_precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_of_the_upstream_leg, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_profile_for_both_legs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_are_counted_as_they_are_named, setup, teardown),
        cmocka_unit_test(test_targets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
