/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "bucket.h"

#define NOW (UINT64_C(1000000) * 3600 * 24 * 365 * 10) /* ten years up */
#define SEC USEC_PER_SEC
#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)
#define TBIT UINT64_C(125000000000)

static const struct rate_limit slow = { .per_sec = 1000, .burst = 4000 };
static const struct rate_limit fast = { .per_sec = TBIT, .burst = GIB };
static const struct rate_limit slowest = { .per_sec = 125, .burst = GIB };
static const struct rate_limit payloads = { .per_sec = 10, .payloads = true, .burst = 5 };

static void zeros_are_a_full_bucket(void **state) {
    const struct rate_limit *const all[] = { &slow, &fast, &slowest, &payloads };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct bucket b = { 0 };

        assert_int_equal(bucket_tokens(&b, all[i], 0), all[i]->burst);
        assert_int_equal(bucket_tokens(&b, all[i], NOW), all[i]->burst);
        assert_true(bucket_try(&b, all[i], all[i]->burst, NOW));
        assert_int_equal(bucket_tokens(&b, all[i], NOW), 0);
        assert_false(bucket_try(&b, all[i], 1 + all[i]->per_sec / NSEC_PER_SEC, NOW)); /* worth a nanosecond */
    }
}

static void it_fills_at_its_rate(void **state) {
    struct bucket b = { 0 };

    assert_true(bucket_try(&b, &slow, 4000, NOW));
    assert_int_equal(bucket_tokens(&b, &slow, NOW + SEC), 1000);
    assert_false(bucket_try(&b, &slow, 1001, NOW + SEC));
    assert_true(bucket_try(&b, &slow, 1000, NOW + SEC));
    assert_int_equal(bucket_tokens(&b, &slow, NOW + SEC), 0);
    assert_int_equal(bucket_tokens(&b, &slow, NOW + SEC + 999), 0);
    assert_int_equal(bucket_tokens(&b, &slow, NOW + SEC + 1000), 1);
    assert_int_equal(bucket_tokens(&b, &slow, NOW + 5 * SEC), 4000);
    assert_int_equal(bucket_tokens(&b, &slow, NOW + 500 * SEC), 4000); /* and no more */
}

static void more_than_the_burst_never_passes(void **state) {
    struct bucket b = { 0 };

    assert_false(bucket_try(&b, &slow, 4001, NOW));
    assert_false(bucket_try(&b, &slow, UINT64_MAX, NOW));
    assert_int_equal(bucket_tokens(&b, &slow, NOW), 4000);
}

static void a_burst_may_be_cut_into_any_pieces(void **state) {
    for (uint64_t per_sec = 125; per_sec < 100000; per_sec += 77)
        for (uint64_t piece = 1; piece <= 64; piece++) {
            const struct rate_limit limit = { .per_sec = per_sec, .burst = 12 * piece };
            struct bucket b = { 0 };

            for (unsigned i = 0; i < 12; i++)
                assert_true(bucket_try(&b, &limit, piece, NOW));
            assert_false(bucket_try(&b, &limit, 1, NOW));
        }
}

static void payloads_are_counted_one_by_one(void **state) {
    struct bucket b = { 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < 1000; i++) /* one second, a try each millisecond */
        n += bucket_try(&b, &payloads, 1, NOW + i * 1000);
    assert_int_equal(n, 5 + 9);
}

/* However it is cut: what passes is the burst and what the time brings. */
static void any_sequence_stays_within_the_limit(void **state) {
    const struct rate_limit limits[] = { slow, { .per_sec = 6250000, .burst = 64 * KIB }, payloads };

    for (size_t k = 0; k < ARRAY_SIZE(limits); k++) {
        const struct rate_limit *limit = &limits[k];
        struct bucket b = { 0 };
        uint64_t now = NOW, passed = 0, most = 0;

        for (unsigned i = 0; i < 20000; i++) {
            uint64_t n = 1 + (uint64_t) random() % limit->burst;

            now += (uint64_t) random() % 2000;
            if (bucket_try(&b, limit, n, now))
                passed += n;
            most = limit->burst + (now - NOW) * limit->per_sec / SEC;
            assert_true(passed <= most);
        }
        assert_true(passed >= (most - limit->burst) / 4 * 3); /* what is too large for the moment waits, as said */
    }
}

static void who_takes_ahead_waits_in_turn(void **state) {
    struct bucket b = { 0 };

    assert_int_equal(bucket_take(&b, &slow, 4000, NOW), NOW);
    assert_int_equal(bucket_take(&b, &slow, 500, NOW), NOW + SEC / 2);
    assert_int_equal(bucket_take(&b, &slow, 500, NOW), NOW + SEC);
    assert_int_equal(bucket_tokens(&b, &slow, NOW + SEC), 0);
    /* Who leaves makes the queue shorter for those who come. */
    bucket_give_back(&b, &slow, 500);
    assert_int_equal(bucket_take(&b, &slow, 500, NOW), NOW + SEC);
}

static void charging_afterwards_keeps_the_long_run_rate(void **state) {
    struct bucket b = { 0 };
    uint64_t now = NOW, passed = 0;

    while (passed < 1000000) {
        uint64_t n = 1 + (uint64_t) random() % 1500, at = bucket_take(&b, &slow, n, now);

        passed += n;
        now = at;
    }
    assert_int_equal((now - NOW + 999) / 1000, passed - 4000); /* a byte a millisecond */
}

static void giving_back_fills_at_most(void **state) {
    struct bucket b = { 0 };

    bucket_give_back(&b, &slow, 4000);
    assert_int_equal(bucket_tokens(&b, &slow, 1), 4000);
    (void) bucket_take(&b, &slow, 10, 5);
    bucket_give_back(&b, &slow, 4000);
    assert_int_equal(bucket_tokens(&b, &slow, 1), 4000);
    assert_true(bucket_try(&b, &slow, 4000, 1));
    assert_false(bucket_try(&b, &slow, 1, 1));
}

/* 64K at 125 bytes a second are nine minutes: nobody waits for them when the limit has become another one. */
static void a_new_limit_forgets_what_it_does_not_know(void **state) {
    const struct rate_limit before = { .per_sec = 125, .burst = 64 * KIB }, off = { 0 };
    const struct rate_limit after = { .per_sec = 1000000, .burst = 100000 };
    struct bucket b = { 0 };

    (void) bucket_take(&b, &before, 64 * KIB, NOW);
    (void) bucket_take(&b, &before, 64 * KIB, NOW);
    bucket_change(&b, &after, NOW);
    assert_int_equal(bucket_tokens(&b, &after, NOW), 0);
    assert_int_equal(bucket_tokens(&b, &after, NOW + SEC / 10), 100000);
    (void) bucket_take(&b, &before, 64 * KIB, NOW);
    bucket_change(&b, &off, NOW);
    assert_int_equal(bucket_tokens(&b, &after, NOW), 100000);
    bucket_change(&b, &before, NOW); /* a full one stays full */
    assert_int_equal(bucket_tokens(&b, &before, NOW), 64 * KIB);
}

#define THREADS 4
#define TRIES 100000

static void *try_often(void *userdata) {
    uintptr_t n = 0;

    for (unsigned i = 0; i < TRIES; i++)
        n += bucket_try(userdata, &(const struct rate_limit){ .per_sec = 1, .burst = TRIES }, 1, NOW);
    return (void *) n;
}

static void threads_share_one(void **state) {
    struct bucket b = { 0 };
    pthread_t threads[THREADS];
    uintptr_t total = 0;
    void *n;

    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, try_often, &b), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &n), 0);
        total += (uintptr_t) n;
    }
    assert_int_equal(total, TRIES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_are_a_full_bucket),
        cmocka_unit_test(it_fills_at_its_rate),
        cmocka_unit_test(more_than_the_burst_never_passes),
        cmocka_unit_test(a_burst_may_be_cut_into_any_pieces),
        cmocka_unit_test(payloads_are_counted_one_by_one),
        cmocka_unit_test(any_sequence_stays_within_the_limit),
        cmocka_unit_test(who_takes_ahead_waits_in_turn),
        cmocka_unit_test(charging_afterwards_keeps_the_long_run_rate),
        cmocka_unit_test(giving_back_fills_at_most),
        cmocka_unit_test(a_new_limit_forgets_what_it_does_not_know),
        cmocka_unit_test(threads_share_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
