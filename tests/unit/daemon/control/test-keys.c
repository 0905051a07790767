/* SPDX-License-Identifier: MIT */
/* Names of single legs, in requests and in answers. */
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

/* The ids that a name is about. */
static uint64_t keys(const char *name) {
    return setting_keys(setting_find(name));
}

static void answer(struct fake *f, const struct change_answer *a) {
    f->change.done(a, f->change.userdata);
}

static void set_legs(struct fake *f, const char *settings) {
    char parameters[256];

    (void) snprintf(parameters, sizeof(parameters), "{\"target\":\"orders\",\"settings\":{%s}}", settings);
    fake_call(f, "Set", parameters, false);
}

/* What is said of one leg wins over what is said of both, whatever the order. */
static void test_names_of_legs(void **state) {
    static const struct {
        const char *settings, *keys[2], *client, *upstream;
    } cases[] = {
        { "'dscp':'EF'", { "dscp" }, "EF", "EF" },
        { "'tos':'0xb8'", { "dscp" }, "EF", "EF" },
        { "'client.dscp':'EF'", { "client.dscp" }, "EF", NULL },
        { "'client.tos':'0x20'", { "client.dscp" }, "CS1", NULL },
        { "'upstream.dscp':'inherit'", { "upstream.dscp" }, NULL, "inherit" },
        { "'upstream.tos':'0x20'", { "upstream.dscp" }, NULL, "CS1" },
        { "'dscp':'EF','upstream.dscp':'CS1'", { "dscp" }, "EF", "CS1" },
        { "'upstream.dscp':'CS1','dscp':'EF'", { "dscp" }, "EF", "CS1" },
        { "'tos':'0xb8','client.dscp':'inherit'", { "dscp" }, "inherit", "EF" },
        { "'client.dscp':'inherit','tos':'0xb8'", { "dscp" }, "inherit", "EF" },
        { "'client.tos':'0x20','upstream.dscp':'EF'", { "dscp" }, "CS1", "EF" },
        { "'upstream.dscp':'EF','dscp':'CS2','client.tos':'0x20'", { "dscp" }, "CS1", "EF" },
        { "'client.dscp':'EF','upstream.ttl':'9'", { "client.dscp", "upstream.ttl" }, "EF", NULL },
        { "'dscp':'EF','idle_timeout':'5s'", { "dscp", "idle_timeout" }, "EF", "EF" },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct change_request *r = &f->change.request;
        char settings[128];

        (void) stpcpy(settings, cases[i].settings);
        for (char *c = settings; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        set_legs(f, settings);
        assert_int_equal(f->change.submitted, i + 1);
        assert_int_equal(r->keys, keys(cases[i].keys[0]) | (cases[i].keys[1] ? keys(cases[i].keys[1]) : 0));
        assert_int_equal(r->settings.set_mask, r->keys);
        _cleanup_free_ char *client = settings_get_text(&r->settings, setting_find("client.dscp"));
        _cleanup_free_ char *upstream = settings_get_text(&r->settings, setting_find("upstream.dscp"));
        assert_string_equal(client ? client : "-", cases[i].client ? cases[i].client : "-");
        assert_string_equal(upstream ? upstream : "-", cases[i].upstream ? cases[i].upstream : "-");
        answer(f, &(struct change_answer){ .status = CHANGE_DONE });
        json_decref(fake_answer(f, "Set", false));
    }
}

static void expect_faults(struct fake *f, const char *settings, const char *name, const char *reason, size_t n) {
    json_t *j;

    set_legs(f, settings);
    j = fake_error(f, "InvalidSettings");
    assert_int_equal(json_array_size(fake_at(j, "faults")), n);
    assert_string_equal(fake_text(j, "faults.0.setting"), name);
    assert_string_equal(fake_text(j, "faults.0.reason"), reason);
    json_decref(j);
}

static void test_faulty_names_of_legs(void **state) {
    const char *twice = "this setting is given twice, under two names";
    struct fake *f = *state;

    expect_faults(f, "\"client.dscp\":\"EF\",\"client.tos\":\"0\"", "client.tos", twice, 1);
    expect_faults(f, "\"upstream.tos\":\"0\",\"upstream.dscp\":\"EF\"", "upstream.dscp", twice, 1);
    expect_faults(f, "\"client.dscp\":\"EF\",\"tos\":\"0\",\"upstream.tos\":\"0\",\"dscp\":\"EF\"", "dscp", twice, 1);
    expect_faults(f, "\"client.ttl\":\"0\",\"ttl\":\"256\"", "ttl", "ttl '256' is out of range 1-255", 2);
    expect_faults(f, "\"upstream.ttl\":\"0\",\"ttl\":\"1\"", "upstream.ttl", "upstream.ttl '0' is out of range 1-255",
                  1);
    expect_faults(f, "\"upstream.compression\":\"inherit\"", "upstream.compression",
                  "upstream.compression has nothing to inherit from, write off|zlib[:1-9]|gzip[:1-9]", 1);
    expect_faults(f, "\"upstream.dcsp\":\"EF\"", "upstream.dcsp",
                  "there is no such setting, did you mean 'upstream.dscp'?", 1);
    expect_faults(f, "\"client.max_connections\":\"5\"", "client.max_connections",
                  "there is no such setting, did you mean 'max_connections'?", 1);
    assert_int_equal(f->change.submitted, 0);
}

static void expect_results(struct fake *f, const char *method, const char *parameters, uint64_t answered,
                           const char *client, const char *client_value, const char *upstream,
                           const char *upstream_value) {
    struct settings requested = { 0 };
    json_t *j;

    assert_int_equal(settings_set_text(&requested, setting_find("client.dscp"), "EF", NULL), 0);
    assert_int_equal(settings_set_text(&requested, setting_find("upstream.dscp"), "CS1", NULL), 0);
    fake_call(f, method, parameters, false);
    answer(f, &(struct change_answer){ .status = CHANGE_DONE, .keys = answered, .requested = &requested });
    j = fake_answer(f, method, false);
    assert_int_equal(json_array_size(fake_at(j, "keys")), __builtin_popcountll(answered));
    assert_string_equal(fake_text(j, "keys.0.setting"), client ? client : upstream);
    assert_string_equal(fake_text(j, "keys.0.requested"), client ? client_value : upstream_value);
    if (client && upstream) {
        assert_string_equal(fake_text(j, "keys.1.setting"), upstream);
        assert_string_equal(fake_text(j, "keys.1.requested"), upstream_value);
    }
    json_decref(j);
}

/* Each leg under the name that decided about it. */
static void test_results_of_legs(void **state) {
    static const struct {
        const char *method, *settings;
        const char *client, *client_value, *upstream, *upstream_value;
    } cases[] = {
        { "Set", "{\"dscp\":\"EF\"}", "dscp", "EF", "upstream.dscp", "CS1" },
        { "Set", "{\"tos\":\"0xb8\"}", "tos", "0xb8", "upstream.tos", "0x20" },
        { "Set", "{\"tos\":\"0xb8\"}", "tos", "0xb8", NULL, NULL },
        { "Set", "{\"client.tos\":\"0xb8\"}", "client.tos", "0xb8", NULL, NULL },
        { "Set", "{\"upstream.dscp\":\"CS1\"}", NULL, NULL, "upstream.dscp", "CS1" },
        { "Set", "{\"tos\":\"0x20\",\"client.dscp\":\"EF\"}", "client.dscp", "EF", "upstream.tos", "0x20" },
        { "Set", "{\"client.dscp\":\"EF\",\"tos\":\"0x20\"}", "client.dscp", "EF", "upstream.tos", "0x20" },
        { "Set", "{\"upstream.tos\":\"0x20\",\"dscp\":\"EF\"}", "dscp", "EF", "upstream.tos", "0x20" },
        { "Unset", "[\"dscp\"]", "dscp", "EF", "upstream.dscp", "CS1" },
        { "Unset", "[\"upstream.tos\"]", NULL, NULL, "upstream.tos", "0x20" },
        { "Unset", "[\"dscp\",\"upstream.tos\"]", "dscp", "EF", "upstream.tos", "0x20" },
        { "Unset", "[\"client.tos\",\"dscp\"]", "client.tos", "0xb8", "upstream.dscp", "CS1" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char parameters[256];

        (void) snprintf(parameters, sizeof(parameters), "{\"target\":\"orders\",\"settings\":%s}", cases[i].settings);
        expect_results(*state, cases[i].method, parameters,
                       (cases[i].client ? keys("client.dscp") : 0) | (cases[i].upstream ? keys("upstream.dscp") : 0),
                       cases[i].client, cases[i].client_value, cases[i].upstream, cases[i].upstream_value);
    }
    /* Nothing was named: the settings' own names. */
    expect_results(*state, "Unset", "{\"target\":\"orders\"}", keys("dscp"), "dscp", "EF", "upstream.dscp", "CS1");
}

static void test_unset_of_legs(void **state) {
    static const struct {
        const char *settings;
        const char *keys[2];
    } cases[] = {
        { "\"client.tos\"", { "client.dscp" } },
        { "\"upstream.ttl\"", { "upstream.ttl" } },
        { "\"dscp\",\"upstream.dscp\"", { "dscp" } },
        { "\"client.dscp\",\"upstream.ttl\"", { "client.dscp", "upstream.ttl" } },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char parameters[128];

        (void) snprintf(parameters, sizeof(parameters), "{\"target\":\"orders\",\"settings\":[%s]}", cases[i].settings);
        fake_call(f, "Unset", parameters, false);
        assert_int_equal(f->change.request.keys,
                         keys(cases[i].keys[0]) | (cases[i].keys[1] ? keys(cases[i].keys[1]) : 0));
        answer(f, &(struct change_answer){ .status = CHANGE_DONE });
        json_decref(fake_answer(f, "Unset", false));
    }
    fake_call(f, "Unset", "{\"target\":\"orders\",\"settings\":[\"upstream.deny\"]}", false);
    json_decref(fake_error(f, "NoSuchSetting"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_of_legs, begin, end),
        cmocka_unit_test_setup_teardown(test_faulty_names_of_legs, begin, end),
        cmocka_unit_test_setup_teardown(test_results_of_legs, begin, end),
        cmocka_unit_test_setup_teardown(test_unset_of_legs, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
