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
    assert_int_equal(event_start("test", LOG_DEBUG), 0);
    *state = f;
    return 0;
}

static int end(void **state) {
    event_stop(10 * USEC_PER_SEC);
    fake_end(*state);
    free(*state);
    return 0;
}

static void test_tells_what_happens(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Monitor", NULL, true);
    event_log(EVENT_SETTING_CHANGED, EVENT_FIELDS({ FIELD_LISTENER, "orders" }, { FIELD_NEW, "EF" }), "changed %d", 1);
    j = fake_answer(f, "Monitor", true);
    assert_string_equal(fake_text(j, "kind"), "setting-changed");
    assert_string_equal(fake_text(j, "level"), "notice");
    assert_string_equal(fake_text(j, "message"), "changed 1");
    assert_string_equal(fake_text(j, "fields.SOCKQ_LISTENER"), "orders");
    assert_string_equal(fake_text(j, "fields.SOCKQ_NEW"), "EF");
    assert_int_equal(fake_number(j, "dropped"), 0);
    assert_true(fake_number(j, "time_usec") > 0);
    json_decref(j);
}

static void test_level_and_payloads_are_left_out(void **state) {
    struct fake *f = *state;
    json_t *j;

    fake_call(f, "Monitor", "{\"level\":\"notice\"}", true);
    event_log(EVENT_FLOW_OPENED, EVENT_NO_FIELDS, "too quiet");
    event_log_at(LOG_ERR, EVENT_PAYLOAD, EVENT_FIELDS({ FIELD_PAYLOAD, "\1\2", 2 }), "contents");
    event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "loud enough");
    j = fake_answer(f, "Monitor", true);
    assert_string_equal(fake_text(j, "message"), "loud enough");
    json_decref(j);
}

static void test_unknown_level(void **state) {
    struct fake *f = *state;

    fake_call(f, "Monitor", "{\"level\":\"loud\"}", true);
    fake_expect_invalid_parameter(f, "level");
}

static void test_any_number_of_clients(void **state) {
    struct fake *f = *state, other;
    json_t *j;

    fake_call(f, "Monitor", "{\"level\":\"err\"}", true);
    fake_join(f, &other);
    fixture_call(&other.client, "{\"method\":\"org.sockq.Control.Monitor\",\"more\":true}");
    fixture_settle(&f->client);
    event_log(EVENT_DAEMON_STARTED, EVENT_NO_FIELDS, "for one");
    event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "for both");
    j = fake_answer(f, "Monitor", true);
    assert_string_equal(fake_text(j, "message"), "for both");
    json_decref(j);
    j = fake_answer(&other, "Monitor", true);
    assert_string_equal(fake_text(j, "message"), "for one");
    json_decref(j);

    /* One leaves, the other goes on. */
    other.client.client = close_fd(other.client.client);
    fixture_settle(&f->client);
    event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "still here");
    j = fake_answer(f, "Monitor", true);
    assert_string_equal(fake_text(j, "message"), "still here");
    json_decref(j);
    fixture_end(&other.client);
}

/* Tells one event and waits until it has come through to the main thread. */
static void tell(struct fake *f, const char *text, uint64_t n) {
    struct event_counts counts;

    event_log(EVENT_CONFIG_FAULT, EVENT_NO_FIELDS, "%s", text);
    do {
        fixture_settle(&f->client);
        event_counts(&counts);
    } while (counts.told < n);
    fixture_settle(&f->client);
}

static void test_slow_client_loses_events_and_learns_how_many(void **state) {
    struct event_counts counts;
    struct fake *f = *state;
    int64_t dropped = 0, received = 0;
    char text[1500];
    json_t *j;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fake_call(f, "Monitor", NULL, true);
    event_counts(&counts);
    for (int i = 1; i <= 400; i++)
        tell(f, text, counts.told + (uint64_t) i);
    /* Everything that was not dropped arrives; the session lives. */
    for (int i = 0; i < 400; i++) {
        j = fake_answer(f, "Monitor", true);
        dropped += fake_number(j, "dropped");
        received++;
        json_decref(j);
        fixture_settle(&f->client);
        tell(f, "one more", counts.told + 401 + (uint64_t) i);
        if (dropped > 0)
            break;
    }
    assert_true(dropped > 0);
    assert_true(received + dropped >= 400);
    assert_int_equal(server_sessions(control_server(f->control)), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tells_what_happens, begin, end),
        cmocka_unit_test_setup_teardown(test_level_and_payloads_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(test_unknown_level, begin, end),
        cmocka_unit_test_setup_teardown(test_any_number_of_clients, begin, end),
        cmocka_unit_test_setup_teardown(test_slow_client_loses_events_and_learns_how_many, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
