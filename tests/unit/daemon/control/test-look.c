/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakes.h"

static int begin(void **state) {
    struct fake *f = malloc(sizeof(*f));

    assert_non_null(f);
    fake_begin(f);
    *state = f;
    return 0;
}

static int end(void **state) {
    fake_end(*state);
    free(*state);
    return 0;
}

static void test_status(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Status", NULL, false);
    j = fake_answer(f, "Status", false);
    assert_string_equal(fake_text(j, "version"), SOCKQ_VERSION);
    assert_int_equal(fake_number(j, "pid"), getpid());
    assert_string_equal(fake_text(j, "state"), "serving");
    assert_int_equal(fake_number(j, "workers"), 2);
    assert_int_equal(fake_number(j, "runtime_changes"), 3);
    assert_string_equal(fake_text(j, "files.0"), "/etc/sockq/sockqd.conf");
    assert_string_equal(fake_text(j, "files.1"), "/etc/sockq/b\\xff.conf");
    assert_string_equal(fake_text(j, "listeners.0.name"), "orders");
    json_decref(j);

    control_set_state(f->control, CONTROL_DRAINING);
    fake_call(f, "Status", NULL, false);
    j = fake_answer(f, "Status", false);
    assert_string_equal(fake_text(j, "state"), "draining");
    json_decref(j);
}

static void test_listeners(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Listeners", "{}", false);
    j = fake_answer(f, "Listeners", false);
    assert_string_equal(fake_text(j, "listeners.0.profile"), "voice");
    assert_string_equal(fake_text(j, "listeners.0.target"), "ack");
    assert_string_equal(fake_text(j, "listeners.0.state"), "serving");
    assert_int_equal(fake_number(j, "listeners.0.flows"), 7);
    assert_string_equal(fake_text(j, "listeners.0.sockets.0.address"), "[::1]:8000");
    assert_string_equal(fake_text(j, "listeners.0.sockets.0.protocol"), "tcp");
    assert_string_equal(fake_text(j, "listeners.0.sockets.0.origin"), "systemd");
    assert_string_equal(fake_text(j, "listeners.1.state"), "draining");
    assert_null(fake_at(j, "listeners.1.profile"));
    json_decref(j);
}

static void test_show_everything(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Show", NULL, false);
    j = fake_answer(f, "Show", false);
    assert_int_equal(json_array_size(fake_at(j, "scopes")), 2);
    assert_string_equal(fake_text(j, "scopes.0.name"), "orders");
    assert_int_equal(json_array_size(fake_at(j, "scopes.0.values")), SETTING_OWN_MAX);
    assert_string_equal(fake_text(j, "scopes.0.values.0.origin"), "default");
    assert_string_equal(fake_text(j, "scopes.1.kind"), "profile");
    assert_string_equal(fake_text(j, "scopes.1.name"), "voice");
    assert_int_equal(json_array_size(fake_at(j, "scopes.1.values")), 1);
    assert_string_equal(fake_text(j, "scopes.1.values.0.setting"), "dscp");
    assert_string_equal(fake_text(j, "scopes.1.values.0.value"), "EF");
    json_decref(j);
}

static void test_show_one(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Show", "{\"listener\":\"orders\"}", false);
    j = fake_answer(f, "Show", false);
    assert_int_equal(json_array_size(fake_at(j, "scopes")), 1);
    assert_string_equal(fake_text(j, "scopes.0.kind"), "listener");
    json_decref(j);
    fake_call(f, "Show", "{\"profile\":\"voice\"}", false);
    j = fake_answer(f, "Show", false);
    assert_int_equal(json_array_size(fake_at(j, "scopes")), 1);
    assert_string_equal(fake_text(j, "scopes.0.kind"), "profile");
    json_decref(j);
}

/* ---- legs ---- */

static void lay(struct fake *f, const char *name, const char *text, enum origin origin) {
    struct settings set = { 0 };

    assert_int_equal(settings_set_text(&set, setting_find(name), text, NULL), 0);
    effective_apply(f->views[0].set, &set, SETTINGS_ALL, origin);
    settings_done(&set);
}

/* The value that Show tells of a setting in the only scope, or NULL; *ret_n: how many it tells of. */
static char *shown(struct fake *f, const char *parameters, const char *setting, size_t *ret_n) {
    char *value = NULL;
    const json_t *list;
    json_t *j;

    fake_call(f, "Show", parameters, false);
    j = fake_answer(f, "Show", false);
    list = fake_at(j, "scopes.0.values");
    *ret_n = json_array_size(list);
    for (size_t i = 0; i < *ret_n; i++) {
        const json_t *v = json_array_get(list, i);

        if (streq(fake_text(v, "setting"), setting)) {
            assert_null(value); /* once */
            value = strdup(fake_text(v, "value"));
        }
    }
    json_decref(j);
    return value;
}

static void expect_shown(struct fake *f, const char *parameters, const char *setting, const char *value, size_t n) {
    size_t n_shown;
    _cleanup_free_ char *got = shown(f, parameters, setting, &n_shown);

    assert_string_equal(got ? got : "-", value);
    assert_int_equal(n_shown, n);
}

static void test_show_of_a_listener_with_an_upstream(void **state) {
    static const char of_orders[] = "{\"listener\":\"orders\"}";
    struct config_forward forward = { 0 };
    struct fake *f = *state;

    f->change.conf.forward = &forward;
    expect_shown(f, of_orders, "upstream.dscp", "-", SETTING_OWN_MAX); /* as the client leg */
    lay(f, "dscp", "EF", ORIGIN_PROFILE_FILE);
    expect_shown(f, of_orders, "upstream.dscp", "-", SETTING_OWN_MAX);
    expect_shown(f, of_orders, "dscp", "EF", SETTING_OWN_MAX);
    lay(f, "upstream.dscp", "CS1", ORIGIN_LISTENER_FILE);
    expect_shown(f, of_orders, "upstream.dscp", "CS1", SETTING_OWN_MAX + 1);
    expect_shown(f, of_orders, "dscp", "EF", SETTING_OWN_MAX + 1);
    lay(f, "client.ttl", "9", ORIGIN_LISTENER_RUNTIME);
    expect_shown(f, of_orders, "ttl", "9", SETTING_OWN_MAX + 2);
    expect_shown(f, of_orders, "upstream.ttl", "inherit", SETTING_OWN_MAX + 2);

    /* The same value from another place is told, too. */
    lay(f, "upstream.dscp", "EF", ORIGIN_LISTENER_RUNTIME);
    expect_shown(f, of_orders, "upstream.dscp", "EF", SETTING_OWN_MAX + 2);
    lay(f, "dscp", "EF", ORIGIN_LISTENER_RUNTIME);
    expect_shown(f, of_orders, "upstream.dscp", "-", SETTING_OWN_MAX + 1);
    f->change.conf.forward = NULL;
}

static void test_show_of_a_listener_without_an_upstream(void **state) {
    struct fake *f = *state;

    lay(f, "upstream.dscp", "CS1", ORIGIN_PROFILE_FILE);
    lay(f, "client.ttl", "9", ORIGIN_PROFILE_FILE);
    expect_shown(f, "{\"listener\":\"orders\"}", "upstream.dscp", "-", SETTING_OWN_MAX);
    expect_shown(f, "{\"listener\":\"orders\"}", "ttl", "9", SETTING_OWN_MAX);
}

static void test_show_of_a_profile_with_legs(void **state) {
    static const char of_voice[] = "{\"profile\":\"voice\"}";
    struct fake *f = *state;
    struct settings *set = &f->change.profile_settings;

    expect_shown(f, of_voice, "dscp", "EF", 1); /* of both */
    settings_clear(set, SETTINGS_UPSTREAM);
    expect_shown(f, of_voice, "client.dscp", "EF", 1);
    assert_int_equal(settings_set_text(set, setting_find("upstream.dscp"), "CS1", NULL), 0);
    expect_shown(f, of_voice, "dscp", "EF", 2);
    expect_shown(f, of_voice, "upstream.dscp", "CS1", 2);
    settings_clear(set, setting_keys(setting_find("client.dscp")));
    expect_shown(f, of_voice, "upstream.dscp", "CS1", 1);
    assert_int_equal(settings_set_text(set, setting_find("allow"), "::1", NULL), 0);
    expect_shown(f, of_voice, "allow", "::1", 2);
}

static void test_unknown_names(void **state) {
    static const struct {
        const char *method, *parameters, *error, *name, *suggestion;
    } cases[] = {
        { "Show", "{\"listener\":\"ordres\"}", "NoSuchListener", "ordres", "orders" },
        { "Show", "{\"listener\":\"former\"}", "NoSuchListener", "former", NULL },
        { "Show", "{\"profile\":\"vioce\"}", "NoSuchProfile", "vioce", "voice" },
        { "Get", "{\"target\":\"nothing\",\"setting\":\"dscp\"}", "NoSuchListener", "nothing", NULL },
        { "Get", "{\"target\":\"profile:vocie\",\"setting\":\"dscp\"}", "NoSuchProfile", "vocie", "voice" },
        { "Get", "{\"target\":\"orders\",\"setting\":\"nodlay\"}", "NoSuchSetting", "nodlay", "nodelay" },
        { "Stats", "{\"listener\":\"order\"}", "NoSuchListener", "order", "orders" },
        { "Flows", "{\"listener\":\"order\"}", "NoSuchListener", "order", "orders" },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *j;

        fake_call(f, cases[i].method, cases[i].parameters, streq(cases[i].method, "Flows"));
        j = fake_error(f, cases[i].error);
        assert_string_equal(fake_text(j, "name"), cases[i].name);
        if (cases[i].suggestion)
            assert_string_equal(fake_text(j, "suggestion"), cases[i].suggestion);
        else
            assert_null(fake_at(j, "suggestion"));
        json_decref(j);
    }
}

static void check_get(struct fake *f, const char *parameters, const char *value, const char *origin) {
    json_t *j;

    fake_call(f, "Get", parameters, false);
    j = fake_answer(f, "Get", false);
    assert_string_equal(fake_text(j, "value"), value);
    assert_string_equal(fake_text(j, "origin"), origin);
    json_decref(j);
}

static void test_get(void **state) {
    struct fake *f = *state;

    check_get(f, "{\"target\":\"profile:voice\",\"setting\":\"dscp\"}", "EF", "profile (runtime)");
    check_get(f, "{\"target\":\"profile:voice\",\"setting\":\"tos\"}", "0xb8", "profile (runtime)");
    check_get(f, "{\"target\":\"profile:voice\",\"setting\":\"compression\"}", "off", "default");
    check_get(f, "{\"target\":\"orders\",\"setting\":\"compression\"}", "off", "default");
    lay(f, "upstream.dscp", "CS1", ORIGIN_LISTENER_FILE);
    check_get(f, "{\"target\":\"orders\",\"setting\":\"dscp\"}", "inherit", "default");
    check_get(f, "{\"target\":\"orders\",\"setting\":\"client.dscp\"}", "inherit", "default");
    check_get(f, "{\"target\":\"orders\",\"setting\":\"upstream.tos\"}", "0x20", "listener");
    check_get(f, "{\"target\":\"profile:voice\",\"setting\":\"upstream.tos\"}", "0xb8", "profile (runtime)");
    check_get(f, "{\"target\":\"profile:voice\",\"setting\":\"upstream.ttl\"}", "inherit", "default");
    fake_call(f, "Get", "{\"target\":\"profile:\",\"setting\":\"dscp\"}", false);
    fake_expect_invalid_parameter(f, "target");
}

static void test_stats(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Stats", NULL, false);
    j = fake_answer(f, "Stats", false);
    assert_int_equal(json_array_size(fake_at(j, "listeners")), 2);
    assert_int_equal(fake_number(j, "listeners.0.counters.rx_bytes"), 12345);
    assert_int_equal(fake_number(j, "listeners.0.dscp_received.EF"), 5);
    assert_int_equal(json_object_size(fake_at(j, "listeners.0.dscp_received")), 1);
    assert_int_equal(fake_number(j, "listeners.0.ecn_received.ect0"), 6);
    json_decref(j);
    fake_call(f, "Stats", "{\"listener\":\"former\"}", false);
    j = fake_answer(f, "Stats", false);
    assert_int_equal(json_array_size(fake_at(j, "listeners")), 1);
    json_decref(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status, begin, end),
        cmocka_unit_test_setup_teardown(test_listeners, begin, end),
        cmocka_unit_test_setup_teardown(test_show_everything, begin, end),
        cmocka_unit_test_setup_teardown(test_show_one, begin, end),
        cmocka_unit_test_setup_teardown(test_show_of_a_listener_with_an_upstream, begin, end),
        cmocka_unit_test_setup_teardown(test_show_of_a_listener_without_an_upstream, begin, end),
        cmocka_unit_test_setup_teardown(test_show_of_a_profile_with_legs, begin, end),
        cmocka_unit_test_setup_teardown(test_unknown_names, begin, end),
        cmocka_unit_test_setup_teardown(test_get, begin, end),
        cmocka_unit_test_setup_teardown(test_stats, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
