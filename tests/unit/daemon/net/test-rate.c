/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include "rate.h"

#define START (USEC_PER_SEC * 1000)
#define KIB 1024

/* A worker whose clock stands still, and flows of one listener: the first two of one source. */
struct scene {
    struct worker w;
    struct listener *listener;
    struct listener_view *view;
    struct admission_source sources[2];
    struct flow flows[3];
};

static struct effective *settings(const char *rate, const char *per_source, const char *per_flow) {
    struct effective *e = effective_new();
    const char *texts[RATE_LIMITS] = { rate, per_source, per_flow };
    struct settings set = { 0 };

    assert_non_null(e);
    for (unsigned i = 0; i < RATE_LIMITS; i++)
        assert_int_equal(settings_set_text(&set, setting_by_id(SETTING_RATE_LIMIT + i), texts[i], NULL), 0);
    effective_apply(e, &set, set.set_mask, ORIGIN_LISTENER_FILE);
    settings_done(&set);
    return e;
}

static void begin(struct scene *s, struct effective *set) {
    *s = (struct scene){ .w.loop.now_usec = START };
    wheel_init(&s->w.loop.wheel, START);
    assert_int_equal(listener_new("orders", 1, &s->listener), 0);
    s->view = calloc(1, sizeof(*s->view));
    assert_non_null(s->view);
    *s->view = (struct listener_view){ .refs = 1, .listener = s->listener, .set = set };
    for (unsigned i = 0; i < ARRAY_SIZE(s->flows); i++)
        s->flows[i] = (struct flow){
            .state = FLOW_OPEN, .worker = &s->w, .view = s->view, .source = &s->sources[i / 2], .client.set = set
        };
}

static void end(struct scene *s) {
    for (unsigned i = 0; i < ARRAY_SIZE(s->flows); i++)
        wheel_disarm(&s->w.loop.wheel, &s->flows[i].timer);
    effective_unref(s->view->set);
    free(s->view);
    listener_unref(s->listener);
}

static void assert_reads(struct scene *s, unsigned i, size_t expected) {
    size_t n = rate_room(&s->w, &s->flows[i], 64 * KIB);

    assert_int_equal(n, expected);
    assert_int_equal(s->flows[i].rests, n == 0);
    if (n > 0)
        rate_charge(&s->w, &s->flows[i], n);
}

/* The clock goes on to the time for which the flow's timer is armed. */
static void wake(struct scene *s, unsigned i) {
    assert_true(s->flows[i].rests);
    assert_true(timer_armed(&s->flows[i].timer));
    s->w.loop.now_usec = MAX(s->w.loop.now_usec, s->flows[i].timer.deadline_usec);
    rate_due(&s->flows[i]);
}

static void test_off_is_off(void **state) {
    struct scene s;

    begin(&s, settings("off", "off", "off"));
    assert_false(rate_applies(&s.flows[0]));
    end(&s);
    for (unsigned i = 0; i < RATE_LIMITS; i++) {
        begin(&s, settings(i == 0 ? "1pps" : "off", i == 1 ? "1Mbit" : "off", i == 2 ? "1Mbit" : "off"));
        assert_true(rate_applies(&s.flows[0]));
        end(&s);
    }
}

static void test_a_flow_rests_when_its_bucket_is_empty(void **state) {
    struct scene s;

    begin(&s, settings("off", "off", "800Kbit,100000B")); /* 100,000 bytes a second: 1,024 at a time */
    assert_reads(&s, 0, 64 * KIB);
    assert_reads(&s, 0, 100000 - 64 * KIB);
    assert_reads(&s, 0, 0);
    assert_reads(&s, 0, 0); /* and does not pay twice */
    assert_int_equal(s.flows[0].timer.deadline_usec, START + 10240);
    assert_reads(&s, 1, 64 * KIB); /* others have their own */
    wake(&s, 0);
    assert_reads(&s, 0, 1024);
    assert_reads(&s, 0, 0);
    assert_int_equal(s.flows[0].timer.deadline_usec, START + 2 * 10240);
    end(&s);
}

static void test_what_a_read_does_not_use_is_given_back(void **state) {
    struct scene s;

    begin(&s, settings("800Kbit,1K", "off", "off"));
    assert_reads(&s, 0, 1024);
    assert_reads(&s, 0, 0);
    wake(&s, 0);
    assert_int_equal(rate_room(&s.w, &s.flows[0], 64 * KIB), 1024);
    rate_charge(&s.w, &s.flows[0], 24);
    assert_int_equal(bucket_tokens(&s.listener->bucket, rate_limit_of(&s.view->set->settings, 0), s.w.loop.now_usec),
                     1000);
    end(&s);
}

static void test_flows_that_share_a_bucket_take_turns(void **state) {
    struct scene s;

    begin(&s, settings("800Kbit,1K", "off", "off"));
    assert_reads(&s, 0, 1024);
    for (unsigned i = 0; i < 3; i++)
        assert_reads(&s, i, 0);
    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(s.flows[i].timer.deadline_usec, START + (round * 3 + i + 1) * 10240);
            wake(&s, i);
            assert_reads(&s, i, 1024);
            assert_reads(&s, i, 0);
        }
    end(&s);
}

static void test_all_three_hold(void **state) {
    struct scene s;

    begin(&s, settings("800Kbit,4K", "800Kbit,3K", "800Kbit,2K"));
    assert_reads(&s, 0, 2048);
    assert_reads(&s, 1, 1024); /* of the same source */
    assert_reads(&s, 2, 1024); /* another one, but of the same listener */
    for (unsigned i = 0; i < 3; i++)
        assert_reads(&s, i, 0);
    end(&s);
}

static void test_a_read_is_a_payload(void **state) {
    struct scene s;

    begin(&s, settings("off", "10pps,2", "off"));
    assert_reads(&s, 0, 64 * KIB);
    assert_reads(&s, 1, 64 * KIB);
    assert_reads(&s, 0, 0);
    assert_int_equal(s.flows[0].timer.deadline_usec, START + USEC_PER_SEC / 10);
    assert_reads(&s, 2, 64 * KIB);
    wake(&s, 0);
    assert_reads(&s, 0, 64 * KIB);
    end(&s);
}

static void test_who_ends_leaves_its_turn(void **state) {
    struct scene s;

    begin(&s, settings("800Kbit,1K", "off", "off"));
    assert_reads(&s, 0, 1024);
    assert_reads(&s, 0, 0);
    assert_reads(&s, 1, 0);
    rate_release(&s.flows[0]);
    assert_false(s.flows[0].rests);
    assert_reads(&s, 2, 0);
    assert_int_equal(s.flows[2].timer.deadline_usec, START + 2 * 10240);
    rate_lift(&s.flows[1]);
    assert_reads(&s, 1, 64 * KIB);
    end(&s);
}

static void test_datagrams_are_taken_or_dropped(void **state) {
    struct scene s;

    begin(&s, settings("3pps,3", "off", "8Kbit,2K"));
    assert_true(rate_permits_session(&s.w, &s.flows[0], 1500));
    assert_false(rate_permits_session(&s.w, &s.flows[0], 1500));
    assert_true(rate_permits_session(&s.w, &s.flows[0], 500)); /* the one that was dropped has cost nothing */
    assert_true(rate_permits_session(&s.w, &s.flows[1], 0));
    assert_false(rate_permits_session(&s.w, &s.flows[2], 0)); /* the listener's three */
    s.w.loop.now_usec += USEC_PER_SEC;
    assert_false(rate_permits_session(&s.w, &s.flows[2], 2049));
    assert_true(rate_permits_session(&s.w, &s.flows[2], 2048));
    end(&s);
}

static void change(struct scene *s, struct flow *f, struct effective *to) {
    for (enum setting_id id = 0; id < SETTING_MAX; id++)
        rate_change(&s->w, f, id, &to->settings);
    f->client.set = to;
}

static void test_a_change_wakes_and_forgets(void **state) {
    struct effective *slow = settings("8Kbit,64K", "8Kbit,64K", "8Kbit,64K");
    struct effective *fast = settings("800Mbit,64K", "800Mbit,64K", "800Mbit,64K");
    struct listener_view *view;
    struct scene s;

    begin(&s, slow);
    assert_reads(&s, 0, 64 * KIB);
    assert_reads(&s, 0, 0);
    view = &(struct listener_view){ .refs = 1, .listener = s.listener, .set = fast };
    rate_change_view(&s.w, s.view, view);
    change(&s, &s.flows[0], fast);
    assert_false(s.flows[0].rests);
    assert_true(s.flows[0].ready);
    assert_reads(&s, 0, 0); /* nothing is there yet, but soon */
    assert_in_range(s.flows[0].timer.deadline_usec, START + 1, START + 1000);
    s.flows[0].client.set = slow;
    end(&s);
    effective_unref(fast);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_is_off),
        cmocka_unit_test(test_a_flow_rests_when_its_bucket_is_empty),
        cmocka_unit_test(test_what_a_read_does_not_use_is_given_back),
        cmocka_unit_test(test_flows_that_share_a_bucket_take_turns),
        cmocka_unit_test(test_all_three_hold),
        cmocka_unit_test(test_a_read_is_a_payload),
        cmocka_unit_test(test_who_ends_leaves_its_turn),
        cmocka_unit_test(test_datagrams_are_taken_or_dropped),
        cmocka_unit_test(test_a_change_wakes_and_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
