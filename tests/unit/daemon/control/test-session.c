/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "fixture.h"

#define ECHO(tag) "{\"method\":\"t.Echo\",\"parameters\":{\"tag\":\"" tag "\"}}"
#define ECHOED(tag) "{\"parameters\":{\"tag\":\"" tag "\"}}"
#define KEEP "{\"method\":\"t.Keep\"}"

/* What the test's handlers did. */
struct seen {
    unsigned calls, gone, drained;
    struct call *kept;
    bool keeping_up;
};

static void on_drained(struct call *call, void *userdata) {
    struct seen *s = userdata;

    assert_ptr_equal(call, s->kept);
    s->drained++;
}

static void on_gone(struct call *call, void *userdata) {
    struct seen *s = userdata;

    assert_ptr_equal(call, s->kept);
    s->gone++;
}

/* t.Keep keeps the call; anything else is answered with its parameters. */
static void on_call(struct call *call, void *userdata) {
    struct seen *s = userdata;

    s->calls++;
    if (streq(call_header(call)->method, "t.Keep")) {
        assert_null(s->kept);
        s->kept = call;
        call_watch(call, on_drained, on_gone, s);
        return;
    }
    call_reply(call, call_header(call)->parameters ? json_incref(call_header(call)->parameters) : json_object());
}

static void test_answers_in_order(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, ECHO("one"));
    fixture_call(&f, ECHO("two"));
    fixture_call(&f, "{\"method\":\"t.Echo\"}");
    fixture_expect(&f, ECHOED("one"));
    fixture_expect(&f, ECHOED("two"));
    fixture_expect(&f, "{}");
    fixture_end(&f);
}

static void test_more_calls_than_a_turn_takes(_unused_ void **state) {
    char text[500 * sizeof(ECHO("x"))];
    struct seen seen = { 0 };
    struct fixture f;

    for (int i = 0; i < 500; i++)
        memcpy(text + (size_t) i * sizeof(ECHO("x")), ECHO("x"), sizeof(ECHO("x")));
    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_send(&f, text, sizeof(text));
    for (int i = 0; i < 500; i++)
        fixture_expect(&f, ECHOED("x"));
    assert_int_equal(seen.calls, 500);
    fixture_end(&f);
}

static void test_message_in_pieces(_unused_ void **state) {
    static const char text[] = ECHO("pieces");
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        fixture_send(&f, text + i, 1);
        fixture_expect_silence(&f);
    }
    fixture_send(&f, "", 1);
    fixture_expect(&f, ECHOED("pieces"));
    fixture_end(&f);
}

static void test_next_call_waits_for_a_kept_one(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, KEEP);
    fixture_call(&f, ECHO("later"));
    fixture_expect_silence(&f);
    assert_int_equal(seen.calls, 1);
    call_reply(seen.kept, json_pack("{s:s}", "tag", "first"));
    fixture_expect(&f, ECHOED("first"));
    fixture_expect(&f, ECHOED("later"));
    fixture_end(&f);
}

static void test_oneway_is_not_answered(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"oneway\":true}");
    fixture_settle(&f);
    call_error(seen.kept, "t.Error", NULL);
    fixture_call(&f, ECHO("next"));
    fixture_expect(&f, ECHOED("next"));
    fixture_end(&f);
}

static void test_stream(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"more\":true}");
    fixture_settle(&f);
    assert_true(call_reply_more(seen.kept, json_pack("{s:i}", "n", 1)));
    fixture_expect(&f, "{\"continues\":true,\"parameters\":{\"n\":1}}");
    assert_true(call_reply_more(seen.kept, json_object()));
    call_error(seen.kept, "t.Error", json_pack("{s:i}", "n", 2));
    fixture_expect(&f, "{\"continues\":true}");
    fixture_expect(&f, "{\"error\":\"t.Error\",\"parameters\":{\"n\":2}}");
    fixture_end(&f);
}

static void test_garbage_closes(_unused_ void **state) {
    static const char *const garbage[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"method\":1}",
        "{\"method\":\"t.Echo\",\"oneway\":true,\"more\":true}",
        "{\"method\":\"t.Echo\",\"more\":1}",
        "{\"method\":\"t.Echo\",\"method\":\"t.Echo\"}",
        "{\"method\":\"t.Echo\",\"surprise\":true}",
        "{\"method\":\"t.Echo\",\"parameters\":[]}",
        "{\"method\":\"t.\xff\"}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        struct seen seen = { 0 };
        struct fixture f;

        fixture_begin(&f, on_call, &seen);
        fixture_connect(&f);
        fixture_call(&f, garbage[i]);
        assert_null(fixture_answer(&f));
        assert_int_equal(seen.calls, 0);
        fixture_end(&f);
    }
}

static void test_long_message_closes(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;
    char text[8192];

    memset(text, ' ', sizeof(text));
    fixture_begin(&f, on_call, &seen);
    f.limits.message_bytes = 1024;
    fixture_connect(&f);
    fixture_send(&f, text, sizeof(text));
    assert_null(fixture_answer(&f));
    fixture_end(&f);
}

static void test_answer_that_cannot_be_built_closes(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, KEEP);
    fixture_settle(&f);
    call_reply(seen.kept, NULL);
    assert_null(fixture_answer(&f));
    fixture_end(&f);
}

static void test_dropped_call_closes(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, KEEP);
    fixture_settle(&f);
    call_drop(seen.kept);
    assert_null(fixture_answer(&f));
    fixture_end(&f);
}

/* Fills the socket and the queue behind it, as long as the handler is told to go on. */
static void stream_until_slow(struct fixture *f, struct seen *seen) {
    static char text[10000];

    memset(text, 'x', sizeof(text) - 1);
    while (call_reply_more(seen->kept, json_pack("{s:s}", "text", text)))
        fixture_settle(f);
}

static void test_slow_reader_gets_back_pressure(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;
    json_t *answer;

    fixture_begin(&f, on_call, &seen);
    f.limits.output_bytes = 200000;
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"more\":true}");
    fixture_settle(&f);
    stream_until_slow(&f, &seen);
    fixture_settle(&f);
    assert_int_equal(seen.drained, 0);
    assert_non_null(f.session);

    while (seen.drained == 0) {
        answer = fixture_answer(&f);
        assert_non_null(answer);
        json_decref(answer);
        fixture_settle(&f);
    }
    call_reply(seen.kept, json_object());
    for (bool more = true; more;) {
        answer = fixture_answer(&f);
        assert_non_null(answer);
        more = json_object_get(answer, "continues") != NULL;
        json_decref(answer);
    }
    fixture_end(&f);
}

static void test_output_is_bounded(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    f.limits.output_bytes = 200000;
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"more\":true}");
    fixture_settle(&f);
    stream_until_slow(&f, &seen);
    while (f.session) {
        assert_false(call_reply_more(seen.kept, json_pack("{s:s}", "text", "a handler that does not stop")));
        fixture_settle(&f);
    }
    assert_int_equal(seen.gone, 1);
    call_drop(seen.kept);
    fixture_end(&f);
}

static void test_calls_of_a_client_that_does_not_read_wait(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;
    unsigned sent = 0;

    fixture_begin(&f, on_call, &seen);
    f.limits.output_bytes = 100000;
    fixture_connect(&f);
    while (send(f.client, ECHO("again and again"), sizeof(ECHO("again and again")), MSG_NOSIGNAL) > 0) {
        sent++;
        fixture_settle(&f);
    }
    assert_non_null(f.session);
    assert_true(seen.calls < sent);
    for (unsigned i = 0; i < sent; i++)
        fixture_expect(&f, ECHOED("again and again"));
    fixture_end(&f);
}

static void test_call_outlives_its_session(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, KEEP);
    fixture_settle(&f);
    f.client = close_fd(f.client);
    fixture_expect_end(&f);
    assert_int_equal(seen.gone, 1);
    assert_string_equal(call_header(seen.kept)->method, "t.Keep");
    assert_int_equal(call_peer(seen.kept)->uid, 1000);
    call_reply(seen.kept, json_pack("{s:s}", "tag", "to nobody"));
    fixture_end(&f);
}

static void test_session_freed_under_a_call(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"more\":true}");
    fixture_settle(&f);
    f.session = session_free(f.session);
    assert_int_equal(seen.gone, 1);
    assert_false(call_reply_more(seen.kept, json_object()));
    call_drop(seen.kept);
    fixture_end(&f);
}

static void test_half_closed_client_is_answered(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, KEEP);
    fixture_call(&f, ECHO("last"));
    assert_int_equal(shutdown(f.client, SHUT_WR), 0);
    fixture_expect_silence(&f);
    call_reply(seen.kept, json_object());
    fixture_expect(&f, "{}");
    fixture_expect(&f, ECHOED("last"));
    assert_null(fixture_answer(&f));
    assert_null(f.session);
    fixture_end(&f);
}

static void test_oneway_calls_of_a_client_that_left(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"oneway\":true}");
    fixture_call(&f, ECHO("nobody waits for this"));
    fixture_call(&f, "{\"method\":\"t.Echo\",\"oneway\":true}");
    f.client = close_fd(f.client);
    fixture_settle(&f);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.gone, 0);
    call_reply(seen.kept, json_object());
    fixture_expect_end(&f);
    assert_int_equal(seen.calls, 2);
    fixture_end(&f);
}

static void test_idle_client_is_closed(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    f.limits.idle_usec = USEC_PER_MSEC;
    fixture_connect(&f);
    assert_null(fixture_answer(&f));
    fixture_end(&f);
}

static void test_call_under_way_is_not_idle(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"more\":true}");
    fixture_settle(&f);
    f.limits.idle_usec = f.limits.partial_usec = 0;
    assert_true(call_reply_more(seen.kept, json_object()));
    fixture_expect(&f, "{\"continues\":true}");
    fixture_expect_silence(&f);
    call_reply(seen.kept, json_object());
    fixture_expect(&f, "{}");
    assert_null(fixture_answer(&f));
    fixture_end(&f);
}

static void test_whole_message_is_not_unfinished(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    f.limits.partial_usec = 0;
    fixture_connect(&f);
    fixture_call(&f, ECHO("whole"));
    fixture_expect(&f, ECHOED("whole"));
    fixture_expect_silence(&f);
    fixture_end(&f);
}

static void test_half_a_message_is_closed(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    f.limits.partial_usec = USEC_PER_MSEC;
    fixture_connect(&f);
    fixture_expect_silence(&f);
    fixture_send(&f, "{\"method", 8);
    assert_null(fixture_answer(&f));
    fixture_end(&f);
}

static void test_unread_output_is_closed(_unused_ void **state) {
    struct seen seen = { 0 };
    struct fixture f;

    fixture_begin(&f, on_call, &seen);
    f.limits.unread_usec = USEC_PER_MSEC;
    f.limits.output_bytes = 200000;
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"t.Keep\",\"more\":true}");
    fixture_settle(&f);
    stream_until_slow(&f, &seen);
    fixture_expect_end(&f);
    assert_int_equal(seen.gone, 1);
    call_drop(seen.kept);
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_in_order),
        cmocka_unit_test(test_more_calls_than_a_turn_takes),
        cmocka_unit_test(test_message_in_pieces),
        cmocka_unit_test(test_next_call_waits_for_a_kept_one),
        cmocka_unit_test(test_oneway_is_not_answered),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_garbage_closes),
        cmocka_unit_test(test_long_message_closes),
        cmocka_unit_test(test_answer_that_cannot_be_built_closes),
        cmocka_unit_test(test_dropped_call_closes),
        cmocka_unit_test(test_slow_reader_gets_back_pressure),
        cmocka_unit_test(test_output_is_bounded),
        cmocka_unit_test(test_calls_of_a_client_that_does_not_read_wait),
        cmocka_unit_test(test_call_outlives_its_session),
        cmocka_unit_test(test_session_freed_under_a_call),
        cmocka_unit_test(test_half_closed_client_is_answered),
        cmocka_unit_test(test_oneway_calls_of_a_client_that_left),
        cmocka_unit_test(test_idle_client_is_closed),
        cmocka_unit_test(test_call_under_way_is_not_idle),
        cmocka_unit_test(test_whole_message_is_not_unfinished),
        cmocka_unit_test(test_half_a_message_is_closed),
        cmocka_unit_test(test_unread_output_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
