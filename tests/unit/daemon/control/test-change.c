/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event.h"
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

static void test_set_asks_for_a_change(void **state) {
    struct fake *f = *state;
    const struct change_request *r = &f->change.request;

    fake_call(f, "Set",
              "{\"target\":\"orders\",\"settings\":{\"dscp\":\"ef\",\"send_buffer\":\"inherit\"},"
              "\"source\":\"10.0.0.0/8\"}",
              false);
    assert_int_equal(f->change.submitted, 1);
    assert_false(r->unset);
    assert_false(r->new_only);
    assert_false(r->target.profile);
    assert_string_equal(r->target.name, "orders");
    assert_int_equal(r->who.uid, geteuid());
    assert_int_equal(r->who.pid, getpid());
    assert_true(r->has_source);
    assert_false(r->has_flow);
    assert_int_equal(r->source.length, 104);
    assert_int_equal(r->keys, keys("dscp") | keys("send_buffer"));
    assert_int_equal(r->settings.set_mask, r->keys);
    assert_int_equal(r->settings.v[SETTING_DSCP].number, 46);
    assert_true(settings_inherits(&r->settings, SETTING_SEND_BUFFER));
}

static void test_set_for_a_profile_and_new_flows(void **state) {
    struct fake *f = *state;

    fake_call(f, "Set", "{\"target\":\"profile:voice\",\"settings\":{\"nodelay\":\"true\"},\"new_only\":true}", false);
    assert_int_equal(f->change.submitted, 1);
    assert_true(f->change.request.target.profile);
    assert_true(f->change.request.new_only);
}

static void test_result_of_a_change(void **state) {
    struct settings old = { 0 }, requested = { 0 };
    struct tally tally = { 0 };
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Set", "{\"target\":\"orders\",\"settings\":{\"tos\":\"0xb8\"}}", false);
    old.set_mask = requested.set_mask = SETTING_BIT(SETTING_DSCP);
    requested.v[SETTING_DSCP].number = 46;
    tally.key[SETTING_DSCP] = (struct tally_key){
        .applied_endpoints = 2,
        .applied_flows = 3,
        .deferred = 1,
        .n_values = 1,
        .reason = "the reason",
    };
    tally.key[SETTING_DSCP].values[0].value.number = 46;
    tally.key[SETTING_DSCP].values[0].sockets = 5;
    answer(f, &(struct change_answer){ .status = CHANGE_DONE,
                                       .id = 12,
                                       .flows = 4,
                                       .keys = SETTING_BIT(SETTING_DSCP),
                                       .old = &old,
                                       .requested = &requested,
                                       .tally = &tally });
    j = fake_answer(f, "Set", false);
    assert_int_equal(fake_number(j, "change"), 12);
    assert_int_equal(fake_number(j, "flows"), 4);
    /* The name and spelling that the caller used. */
    assert_string_equal(fake_text(j, "keys.0.setting"), "tos");
    assert_string_equal(fake_text(j, "keys.0.old"), "0x00");
    assert_string_equal(fake_text(j, "keys.0.requested"), "0xb8");
    assert_string_equal(fake_text(j, "keys.0.effective.0.value"), "0xb8");
    assert_int_equal(fake_number(j, "keys.0.effective.0.sockets"), 5);
    assert_string_equal(fake_text(j, "keys.0.outcome"), "applied");
    assert_int_equal(fake_number(j, "keys.0.applied"), 5);
    assert_int_equal(fake_number(j, "keys.0.deferred"), 1);
    assert_string_equal(fake_text(j, "keys.0.reason"), "the reason");
    json_decref(j);
}

static void test_failed_change(void **state) {
    struct settings values = { .set_mask = SETTING_BIT(SETTING_PRIORITY) };
    struct tally tally = { 0 };
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Set", "{\"target\":\"orders\",\"settings\":{\"priority\":\"7\"}}", false);
    tally.key[SETTING_PRIORITY] = (struct tally_key){ .failed = 1, .error = -EPERM };
    answer(f, &(struct change_answer){ .status = CHANGE_FAILED,
                                       .keys = SETTING_BIT(SETTING_PRIORITY),
                                       .undo_failed = 1,
                                       .old = &values,
                                       .requested = &values,
                                       .tally = &tally });
    j = fake_error(f, "ChangeFailed");
    assert_int_equal(fake_number(j, "undo_failed"), 1);
    assert_string_equal(fake_text(j, "keys.0.outcome"), "failed");
    assert_string_equal(fake_text(j, "keys.0.errno"), "EPERM");
    assert_true(strlen(fake_text(j, "keys.0.reason")) > 0);
    assert_true(strlen(fake_text(j, "keys.0.remedy")) > 0);
    json_decref(j);
}

static void test_other_answers_to_a_change(void **state) {
    static const struct {
        const char *target;
        enum change_status status;
        const char *reason, *error, *path, *text;
    } cases[] = {
        { "ordesr", CHANGE_NO_SUCH_LISTENER, NULL, "NoSuchListener", "suggestion", "orders" },
        { "profile:voise", CHANGE_NO_SUCH_PROFILE, NULL, "NoSuchProfile", "suggestion", "voice" },
        { "orders", CHANGE_NO_SUCH_FLOW, NULL, "NoSuchFlow", "flow", "0.1.2" },
        { "orders", CHANGE_BUSY, "too many changes are waiting", "Busy", "reason", "too many changes are waiting" },
        { "orders", CHANGE_NO_MEMORY, NULL, "Busy", "reason", "out of memory" },
        { "orders", CHANGE_CONFLICT, "why", "InvalidSelector", "reason", "why" },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char parameters[256];
        json_t *j;

        (void) snprintf(parameters, sizeof(parameters),
                        "{\"target\":\"%s\",\"settings\":{\"dscp\":\"EF\"},\"flow\":\"0.1.2\"}", cases[i].target);
        fake_call(f, "Set", parameters, false);
        answer(f, &(struct change_answer){ .status = cases[i].status, .reason = cases[i].reason });
        j = fake_error(f, cases[i].error);
        assert_string_equal(fake_text(j, cases[i].path), cases[i].text);
        json_decref(j);
    }
}

static void test_faulty_values_are_all_told(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Set",
              "{\"target\":\"orders\",\"settings\":{\"dscp\":\"EFF\",\"nodelay\":\"true\",\"priority\":\"99\"}}",
              false);
    j = fake_error(f, "InvalidSettings");
    assert_int_equal(json_array_size(fake_at(j, "faults")), 2);
    assert_string_equal(fake_text(j, "faults.0.setting"), "dscp");
    assert_string_equal(fake_text(j, "faults.0.value"), "EFF");
    assert_string_equal(fake_text(j, "faults.1.setting"), "priority");
    json_decref(j);

    fake_call(f, "Set", "{\"target\":\"orders\",\"settings\":{\"dscp\":\"EF\",\"tos\":\"0\"}}", false);
    j = fake_error(f, "InvalidSettings");
    assert_string_equal(fake_text(j, "faults.0.setting"), "tos");
    json_decref(j);

    fake_call(f, "Set", "{\"target\":\"orders\",\"settings\":{\"dscp\":\"EFF\",\"nodlay\":\"true\"}}", false);
    j = fake_error(f, "InvalidSettings");
    assert_string_equal(fake_text(j, "faults.0.setting"), "dscp");
    assert_string_equal(fake_text(j, "faults.1.setting"), "nodlay");
    assert_string_equal(fake_text(j, "faults.1.reason"), "there is no such setting, did you mean 'nodelay'?");
    json_decref(j);
    assert_int_equal(f->change.submitted, 0);
}

/* `n` settings that do not exist: an object of values, or a list of names. Owned by the caller. */
static char *unknown_settings(unsigned n, bool values) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    fprintf(f, "{\"target\":\"orders\",\"settings\":%s", values ? "{" : "[");
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "%s\"x%u\"%s", i ? "," : "", i, values ? ":\"\"" : "");
    fprintf(f, "%s}", values ? "}" : "]");
    fclose(f);
    return text;
}

/* Nobody has to say more than twice as much as there is to say. */
static void test_more_settings_than_there_are(void **state) {
    struct fake *f = *state;
    unsigned most = 2 * SETTING_MAX;
    _cleanup_free_ char *values = unknown_settings(most + 1, true), *names = unknown_settings(most + 1, false),
                        *bearable = unknown_settings(most, true);
    json_t *j;

    fake_call(f, "Set", values, false);
    fake_expect_invalid_parameter(f, "settings");
    fake_call(f, "Unset", names, false);
    fake_expect_invalid_parameter(f, "settings");
    fake_call(f, "Set", bearable, false);
    j = fake_error(f, "InvalidSettings");
    assert_int_equal(json_array_size(fake_at(j, "faults")), most);
    json_decref(j);
    assert_int_equal(f->change.submitted, 0);
}

static void test_faulty_selectors(void **state) {
    static const char *const cases[][2] = {
        { "{\"target\":\"orders\",\"settings\":{\"dscp\":\"EF\"},\"flow\":\"x\"}", "x" },
        { "{\"target\":\"orders\",\"settings\":{\"dscp\":\"EF\"},\"source\":\"10.0.0.1/8\"}", "10.0.0.1/8" },
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *j;

        fake_call(f, "Set", cases[i][0], false);
        j = fake_error(f, "InvalidSelector");
        assert_string_equal(fake_text(j, "selector"), cases[i][1]);
        json_decref(j);
    }
    fake_call(f, "Set", "{\"target\":\"no good name\",\"settings\":{\"dscp\":\"EF\"}}", false);
    fake_expect_invalid_parameter(f, "target");
    fake_call(f, "Set", "{\"target\":\"orders\",\"settings\":{}}", false);
    fake_expect_invalid_parameter(f, "settings");
    assert_int_equal(f->change.submitted, 0);
}

static void test_unset(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Unset", "{\"target\":\"orders\",\"settings\":[\"tos\",\"nodelay\"]}", false);
    assert_true(f->change.request.unset);
    assert_int_equal(f->change.request.keys, keys("dscp") | keys("nodelay"));
    answer(f, &(struct change_answer){ .status = CHANGE_DONE, .keys = SETTING_BIT(SETTING_DSCP) });
    j = fake_answer(f, "Unset", false);
    assert_string_equal(fake_text(j, "keys.0.setting"), "tos");
    json_decref(j);

    fake_call(f, "Unset", "{\"target\":\"orders\"}", false);
    assert_int_equal(f->change.request.keys, 0);
    answer(f, &(struct change_answer){ .status = CHANGE_DONE });
    json_decref(fake_answer(f, "Unset", false));

    fake_call(f, "Unset", "{\"target\":\"orders\",\"settings\":[\"dcsp\"]}", false);
    json_decref(fake_error(f, "NoSuchSetting"));
    assert_int_equal(f->change.submitted, 2);
}

/* The change goes on without its client. */
static void test_client_that_leaves(void **state) {
    struct fake *f = *state;

    fake_call(f, "Set", "{\"target\":\"ordesr\",\"settings\":{\"dscp\":\"EF\"}}", false);
    f->client.client = close_fd(f->client.client);
    fixture_settle(&f->client);
    assert_int_equal(server_sessions(control_server(f->control)), 0);
    answer(f, &(struct change_answer){ .status = CHANGE_NO_SUCH_LISTENER });
}

/* control_free() in end() drops it. */
static void test_stop_during_a_change(void **state) {
    fake_call(*state, "Set", "{\"target\":\"orders\",\"settings\":{\"dscp\":\"EF\"}}", false);
}

static void reload_answer(struct fake *f, const struct reload_answer *a) {
    f->change.reload_done(a, f->change.userdata);
}

static void test_reload(void **state) {
    static const char *const added[] = { "new", NULL }, *const none[] = { NULL };
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Reload", NULL, false);
    assert_int_equal(f->change.reloads, 1);
    assert_int_equal(f->change.request.who.pid, getpid());
    reload_answer(f, &(struct reload_answer){ .added = added, .removed = none, .changed = none, .restart = none });
    j = fake_answer(f, "Reload", false);
    assert_string_equal(fake_text(j, "files.0"), "/etc/sockq/sockqd.conf");
    assert_string_equal(fake_text(j, "added.0"), "new");
    assert_int_equal(json_array_size(fake_at(j, "removed")), 0);
    json_decref(j);

    fake_call(f, "Reload", NULL, false);
    reload_answer(f, &(struct reload_answer){ .status = CHANGE_BUSY, .reason = "the daemon is stopping" });
    json_decref(fake_error(f, "Busy"));
}

static void test_status_during_a_reload(void **state) {
    struct fake *f = *state, other;
    json_t *j;

    fake_call(f, "Reload", NULL, false);
    fake_join(f, &other);
    fixture_call(&other.client, "{\"method\":\"org.sockq.Control.Status\"}");
    fixture_settle(&f->client);
    j = fake_answer(&other, "Status", false);
    assert_string_equal(fake_text(j, "state"), "reloading");
    json_decref(j);
    fixture_end(&other.client);
    reload_answer(f, &(struct reload_answer){ .status = CHANGE_DONE });
    json_decref(fake_answer(f, "Reload", false));
}

static void test_reload_with_faults(void **state) {
    struct config_fault items[] = {
        { .file = (char *) "/etc/x", .line = 3, .key = (char *) "listeners.a", .text = (char *) "bad \xff" },
        { .file = (char *) "/etc/y", .text = (char *) "unreadable" },
    };
    struct config_faults faults = { .items = items, .n = ARRAY_SIZE(items) };
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Reload", NULL, false);
    reload_answer(f, &(struct reload_answer){ .status = CHANGE_FAILED, .faults = &faults });
    j = fake_error(f, "ConfigurationInvalid");
    assert_int_equal(fake_number(j, "faults.0.line"), 3);
    assert_string_equal(fake_text(j, "faults.0.text"), "bad \\xff");
    assert_null(fake_at(j, "faults.1.key"));
    json_decref(j);
}

static void test_log_level(void **state) {
    struct fake *f = *state;
    int before = event_level();
    json_t *j;

    event_set_level(LOG_INFO);
    fake_call(f, "SetLogLevel", "{\"level\":\"err\"}", false);
    j = fake_answer(f, "SetLogLevel", false);
    assert_string_equal(fake_text(j, "old"), "info");
    assert_string_equal(fake_text(j, "new"), "err");
    json_decref(j);
    assert_int_equal(event_level(), LOG_ERR);
    fake_call(f, "SetLogLevel", "{\"level\":\"loud\"}", false);
    fake_expect_invalid_parameter(f, "level");
    event_set_level(before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_asks_for_a_change, begin, end),
        cmocka_unit_test_setup_teardown(test_set_for_a_profile_and_new_flows, begin, end),
        cmocka_unit_test_setup_teardown(test_result_of_a_change, begin, end),
        cmocka_unit_test_setup_teardown(test_failed_change, begin, end),
        cmocka_unit_test_setup_teardown(test_other_answers_to_a_change, begin, end),
        cmocka_unit_test_setup_teardown(test_faulty_values_are_all_told, begin, end),
        cmocka_unit_test_setup_teardown(test_more_settings_than_there_are, begin, end),
        cmocka_unit_test_setup_teardown(test_faulty_selectors, begin, end),
        cmocka_unit_test_setup_teardown(test_unset, begin, end),
        cmocka_unit_test_setup_teardown(test_client_that_leaves, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_during_a_change, begin, end),
        cmocka_unit_test_setup_teardown(test_reload, begin, end),
        cmocka_unit_test_setup_teardown(test_status_during_a_reload, begin, end),
        cmocka_unit_test_setup_teardown(test_reload_with_faults, begin, end),
        cmocka_unit_test_setup_teardown(test_log_level, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
