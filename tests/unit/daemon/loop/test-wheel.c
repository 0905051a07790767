/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "macro.h"
#include "wheel.h"

#define REVOLUTION_USEC (WHEEL_SLOTS * WHEEL_TICK_USEC)
#define START_USEC UINT64_C(123456789012)

/* A timer that remembers when it fired. */
struct alarm {
    struct timer timer;
    unsigned n_fired;
    uint64_t fired_usec;
    /* What else its callback does. */
    struct timer *disarms, *arms;
    uint64_t arms_usec;
};

static struct wheel wheel;
static uint64_t now_usec;

static void on_expire(struct timer *timer) {
    struct alarm *a = CONTAINER_OF(timer, struct alarm, timer);

    assert_false(timer_armed(timer));
    a->n_fired++;
    a->fired_usec = now_usec;
    if (a->disarms)
        wheel_disarm(&wheel, a->disarms);
    if (a->arms)
        wheel_arm(&wheel, a->arms, a->arms_usec);
}

static void begin(void) {
    now_usec = START_USEC;
    wheel_init(&wheel, now_usec);
}

static struct alarm alarm_in(uint64_t usec) {
    return (struct alarm){ .timer = { .on_expire = on_expire, .deadline_usec = now_usec + usec } };
}

static void arm(struct alarm *a) {
    wheel_arm(&wheel, &a->timer, a->timer.deadline_usec);
}

static void run_at(uint64_t usec) {
    now_usec = usec;
    wheel_run(&wheel, now_usec);
}

/* As the loop does: sleeps as long as it is told, then looks. */
static void run_until(uint64_t end_usec) {
    while (now_usec < end_usec) {
        uint64_t wait_usec = wheel_wait_usec(&wheel, now_usec);

        run_at(wait_usec < end_usec - now_usec ? now_usec + MAX(wait_usec, UINT64_C(1)) : end_usec);
    }
}

static void test_fires_once_never_early_and_within_two_ticks(void **state) {
    static const uint64_t delays_usec[] = { 0,
                                            1,
                                            WHEEL_TICK_USEC - 1,
                                            WHEEL_TICK_USEC,
                                            WHEEL_TICK_USEC + 1,
                                            100000,
                                            REVOLUTION_USEC - 1,
                                            REVOLUTION_USEC,
                                            REVOLUTION_USEC + 1,
                                            3 * REVOLUTION_USEC + 77 };

    for (uint64_t offset = 0; offset < 3; offset++)
        for (size_t i = 0; i < ARRAY_SIZE(delays_usec); i++) {
            begin();
            run_at(now_usec + offset * WHEEL_TICK_USEC / 2);
            struct alarm a = alarm_in(delays_usec[i]);

            arm(&a);
            assert_true(timer_armed(&a.timer));
            run_until(a.timer.deadline_usec + 2 * WHEEL_TICK_USEC);
            assert_int_equal(a.n_fired, 1);
            assert_true(a.fired_usec >= a.timer.deadline_usec);
            assert_false(timer_armed(&a.timer));
            assert_int_equal(wheel_wait_usec(&wheel, now_usec), UINT64_MAX);
        }
}

static void test_a_deadline_that_has_passed_fires_with_the_next_tick(void **state) {
    begin();
    struct alarm a = { .timer = { .on_expire = on_expire, .deadline_usec = 5 } };

    arm(&a);
    run_at(now_usec);
    assert_int_equal(a.n_fired, 0); /* this tick has been run */
    run_at(now_usec + WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired, 1);
}

static void test_the_rest_of_a_tick_is_waited_for(void **state) {
    begin();
    run_at((START_USEC / WHEEL_TICK_USEC + 1) * WHEEL_TICK_USEC);
    struct alarm a = alarm_in(WHEEL_TICK_USEC / 2);

    arm(&a);
    run_at(now_usec + WHEEL_TICK_USEC / 2 - 1);
    run_at(now_usec + 1);
    assert_int_equal(a.n_fired, 0); /* due, but nobody looks before the tick ends */
    run_at(now_usec + WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired, 1);
}

static void test_timers_of_one_slot_keep_their_revolutions(void **state) {
    begin();
    struct alarm a[4];

    for (unsigned i = 0; i < 4; i++) {
        a[i] = alarm_in(i * REVOLUTION_USEC + 5 * WHEEL_TICK_USEC);
        arm(&a[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        run_until(a[i].timer.deadline_usec + 2 * WHEEL_TICK_USEC);
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(a[k].n_fired, k <= i);
    }
}

static void test_arming_again_moves(void **state) {
    begin();
    struct alarm a = alarm_in(10 * WHEEL_TICK_USEC);

    arm(&a);
    a.timer.deadline_usec += 20 * WHEEL_TICK_USEC;
    arm(&a);
    run_until(START_USEC + 12 * WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired, 0);
    run_until(START_USEC + 32 * WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired, 1);
}

static void test_disarming(void **state) {
    begin();
    struct alarm a = alarm_in(WHEEL_TICK_USEC), b = a, c = a;

    arm(&a);
    arm(&b);
    arm(&c);
    wheel_disarm(&wheel, &b.timer);
    assert_false(timer_armed(&b.timer));
    wheel_disarm(&wheel, &b.timer); /* twice is nothing */
    run_until(now_usec + 3 * WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired, 1);
    assert_int_equal(b.n_fired, 0);
    assert_int_equal(c.n_fired, 1);
}

static void test_a_callback_disarms_others_of_its_slot(void **state) {
    begin();
    struct alarm a[3];

    /* Whichever of them comes first takes the next one away. */
    for (unsigned i = 0; i < 3; i++)
        a[i] = alarm_in(WHEEL_TICK_USEC);
    for (unsigned i = 0; i < 3; i++) {
        a[i].disarms = &a[(i + 1) % 3].timer;
        arm(&a[i]);
    }
    run_until(now_usec + 3 * WHEEL_TICK_USEC);
    for (unsigned i = 0; i < 3; i++)
        assert_false(timer_armed(&a[i].timer));
    assert_int_equal(a[0].n_fired + a[1].n_fired + a[2].n_fired, 2);
}

static void test_a_callback_arms_itself_again(void **state) {
    begin();
    struct alarm a = alarm_in(WHEEL_TICK_USEC);

    a.arms = &a.timer;
    a.arms_usec = 0; /* has passed: the next tick, not this one again */
    arm(&a);
    run_until(now_usec + 10 * WHEEL_TICK_USEC);
    assert_true(a.n_fired >= 7 && a.n_fired <= 10);
}

static void test_a_callback_moves_another_of_its_slot(void **state) {
    begin();
    struct alarm a = alarm_in(WHEEL_TICK_USEC), b = a;

    a.arms = &b.timer;
    b.arms = &a.timer;
    a.arms_usec = b.arms_usec = now_usec + REVOLUTION_USEC + WHEEL_TICK_USEC; /* the same slot again */
    arm(&a);
    arm(&b);
    run_until(now_usec + 3 * WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired + b.n_fired, 1);
    a.arms = b.arms = NULL;
    run_until(START_USEC + REVOLUTION_USEC + 3 * WHEEL_TICK_USEC);
    assert_int_equal(a.n_fired + b.n_fired, 2);
}

static void test_a_long_pause_fires_everything_due_and_nothing_else(void **state) {
    begin();
    struct alarm a[64], later = alarm_in(100 * REVOLUTION_USEC);

    for (unsigned i = 0; i < 64; i++) {
        a[i] = alarm_in(i * REVOLUTION_USEC / 40);
        arm(&a[i]);
    }
    arm(&later);
    run_at(now_usec + 50 * REVOLUTION_USEC + 12345);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(a[i].n_fired, 1);
    assert_int_equal(later.n_fired, 0);
    run_until(later.timer.deadline_usec + 2 * WHEEL_TICK_USEC);
    assert_int_equal(later.n_fired, 1);
}

static void test_a_callback_during_a_long_pause_arms_for_the_future(void **state) {
    begin();
    struct alarm a = alarm_in(WHEEL_TICK_USEC), b = alarm_in(0);

    a.arms = &b.timer;
    a.arms_usec = now_usec + 10 * REVOLUTION_USEC + REVOLUTION_USEC / 2;
    arm(&a);
    run_at(now_usec + 10 * REVOLUTION_USEC);
    assert_int_equal(a.n_fired, 1);
    assert_int_equal(b.n_fired, 0);
    run_until(a.arms_usec + 2 * WHEEL_TICK_USEC);
    assert_int_equal(b.n_fired, 1);
    assert_true(b.fired_usec >= a.arms_usec);
}

static void test_the_wait_is_bounded_and_never_too_long(void **state) {
    begin();
    assert_int_equal(wheel_wait_usec(&wheel, now_usec), UINT64_MAX);

    /* Every slot in turn as the start, so that the search wraps in every way. */
    for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
        struct alarm near = alarm_in(7 * WHEEL_TICK_USEC), far = alarm_in(5 * REVOLUTION_USEC + 20 * WHEEL_TICK_USEC);

        arm(&far);
        assert_true(wheel_wait_usec(&wheel, now_usec) <= 21 * WHEEL_TICK_USEC);
        arm(&near);
        assert_true(wheel_wait_usec(&wheel, now_usec) >= 7 * WHEEL_TICK_USEC);
        assert_true(wheel_wait_usec(&wheel, now_usec) <= 8 * WHEEL_TICK_USEC);
        /* Long past: look at once. */
        assert_int_equal(wheel_wait_usec(&wheel, near.timer.deadline_usec + 2 * WHEEL_TICK_USEC), 0);
        wheel_disarm(&wheel, &near.timer);
        wheel_disarm(&wheel, &far.timer);
        run_at(now_usec + REVOLUTION_USEC + WHEEL_TICK_USEC);
        assert_int_equal(wheel_wait_usec(&wheel, now_usec), UINT64_MAX);
    }
}

static void test_time_that_stands_still_runs_nothing_twice(void **state) {
    begin();
    struct alarm a = alarm_in(0);

    arm(&a);
    run_at(now_usec + WHEEL_TICK_USEC);
    run_at(now_usec);
    run_at(now_usec);
    assert_int_equal(a.n_fired, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_once_never_early_and_within_two_ticks),
        cmocka_unit_test(test_a_deadline_that_has_passed_fires_with_the_next_tick),
        cmocka_unit_test(test_the_rest_of_a_tick_is_waited_for),
        cmocka_unit_test(test_timers_of_one_slot_keep_their_revolutions),
        cmocka_unit_test(test_arming_again_moves),
        cmocka_unit_test(test_disarming),
        cmocka_unit_test(test_a_callback_disarms_others_of_its_slot),
        cmocka_unit_test(test_a_callback_arms_itself_again),
        cmocka_unit_test(test_a_callback_moves_another_of_its_slot),
        cmocka_unit_test(test_a_long_pause_fires_everything_due_and_nothing_else),
        cmocka_unit_test(test_a_callback_during_a_long_pause_arms_for_the_future),
        cmocka_unit_test(test_the_wait_is_bounded_and_never_too_long),
        cmocka_unit_test(test_time_that_stands_still_runs_nothing_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
