/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>

#include "address.h"
#include "admission.h"

static struct admission a;

static int setup(void **state) {
    return admission_init(&a);
}

static int teardown(void **state) {
    admission_done(&a);
    return 0;
}

static void assert_paused(uint64_t first, uint64_t second, uint64_t third, uint64_t fourth) {
    uint64_t mask[4];

    admission_take_paused(&a, mask);
    assert_int_equal(mask[0], first);
    assert_int_equal(mask[1], second);
    assert_int_equal(mask[2], third);
    assert_int_equal(mask[3], fourth);
}

/* One flow of a source that has some. */
static void leave(const uint8_t key[static 16]) {
    struct admission_source *source = admission_source_enter(&a, key, 0);

    admission_source_leave(&a, source);
    admission_source_leave(&a, source);
}

/* ---- the listener's limit ---- */

static void test_as_many_as_the_limit(void **state) {
    for (unsigned i = 0; i < 3; i++)
        assert_true(admission_enter(&a, 3, 0));
    assert_false(admission_enter(&a, 3, 0));
    assert_false(admission_enter(&a, 3, 1));
    assert_int_equal(a.flows, 3);
    assert_true(admission_leave(&a));
    assert_paused(3, 0, 0, 0);
    assert_true(admission_enter(&a, 3, 1));
    assert_false(admission_leave(&a)); /* nobody waits any more */
}

static void test_no_limit(void **state) {
    for (unsigned i = 0; i < 100000; i++)
        assert_true(admission_enter(&a, 0, i % 256));
    assert_int_equal(a.flows, 100000);
    assert_paused(0, 0, 0, 0);
}

static void test_a_lower_limit_waits_until_enough_have_left(void **state) {
    for (unsigned i = 0; i < 5; i++)
        assert_true(admission_enter(&a, 0, 0));
    assert_false(admission_enter(&a, 3, 0));
    admission_leave(&a);
    admission_leave(&a);
    assert_false(admission_enter(&a, 3, 0)); /* three are there */
    admission_leave(&a);
    assert_true(admission_enter(&a, 3, 0));
}

static void test_every_worker_has_a_bit(void **state) {
    assert_true(admission_enter(&a, 1, 0));
    assert_false(admission_enter(&a, 1, 0));
    assert_false(admission_enter(&a, 1, 63));
    assert_false(admission_enter(&a, 1, 64));
    assert_false(admission_enter(&a, 1, 130));
    assert_false(admission_enter(&a, 1, 255));
    assert_true(admission_leave(&a));
    assert_paused(UINT64_C(1) | UINT64_C(1) << 63, 1, 4, UINT64_C(1) << 63);
}

/* ---- races ---- */

#define THREADS 4
#define LIMIT 2
#define ROUNDS 5000

static _Atomic unsigned inside, most_inside;

/* Goes in and out, and keeps the number of those who are inside. */
static void *hustle(void *userdata) {
    unsigned worker = (unsigned) (uintptr_t) userdata;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned now, most;
        uint64_t mask[4];

        if (!admission_enter(&a, LIMIT, worker))
            continue;
        now = atomic_fetch_add(&inside, 1) + 1;
        most = atomic_load(&most_inside);
        while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
            ;
        atomic_fetch_sub(&inside, 1);
        if (admission_leave(&a))
            admission_take_paused(&a, mask);
    }
    return NULL;
}

static void test_never_more_than_the_limit(void **state) {
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hustle, (void *) i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(most_inside >= 1);
    assert_true(most_inside <= LIMIT);
    assert_int_equal(a.flows, 0);
}

struct round {
    pthread_barrier_t begin, end;
    _Atomic unsigned arrived;
};

static void together(struct round *r) {
    atomic_fetch_add(&r->arrived, 1);
    while (atomic_load(&r->arrived) % 2)
        sched_yield(); /* the other may need this processor to arrive */
}

/* One knocks once, as a worker does before it stops to accept. */
static void *knock(void *userdata) {
    struct round *r = userdata;
    uint64_t mask[4];

    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&r->begin);
        together(r);
        if (admission_enter(&a, 1, 1) && admission_leave(&a))
            admission_take_paused(&a, mask);
        pthread_barrier_wait(&r->end);
    }
    return NULL;
}

/* The other goes out and in and out again. When the place is empty in the end, whoever was sent away has been told. */
static void test_nobody_is_forgotten(void **state) {
    struct round r = { 0 };
    pthread_t thread;
    unsigned forgotten = 0;

    assert_int_equal(pthread_barrier_init(&r.begin, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&r.end, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, knock, &r), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t mask[4];

        assert_true(admission_enter(&a, 1, 0));
        pthread_barrier_wait(&r.begin);
        together(&r);
        for (unsigned k = 0; k < 4; k++) {
            if (admission_leave(&a))
                admission_take_paused(&a, mask);
            if (k < 3 && !admission_enter(&a, 1, 0))
                break;
        }
        pthread_barrier_wait(&r.end);
        assert_int_equal(a.flows, 0);
        admission_take_paused(&a, mask);
        forgotten += (mask[0] & 2) != 0;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(forgotten, 0);
    pthread_barrier_destroy(&r.begin);
    pthread_barrier_destroy(&r.end);
}

/* ---- sources ---- */

/* The key of the i-th of many addresses of one network, the kind that an attacker has. */
static const uint8_t *key_of(unsigned i) {
    static _Thread_local uint8_t key[16];
    struct address address = { .in6 = { .sin6_family = AF_INET6, .sin6_addr = { { { 0x20, 0x01, 0x0d, 0xb8 } } } },
                               .size = sizeof(struct sockaddr_in6) };

    for (unsigned k = 0; k < 4; k++)
        address.in6.sin6_addr.s6_addr[8 + k] = (uint8_t) (i >> 8 * k);
    address_key(&address, key);
    return key;
}

static unsigned n_sources(void) {
    unsigned n = 0;

    for (unsigned i = 0; i < ADMISSION_SHARDS; i++)
        n += a.shards[i].n_sources;
    return n;
}

static void test_a_source_has_its_own_limit(void **state) {
    assert_true(admission_source_enter(&a, key_of(1), 2));
    assert_true(admission_source_enter(&a, key_of(1), 2));
    assert_false(admission_source_enter(&a, key_of(1), 2));
    assert_true(admission_source_enter(&a, key_of(2), 2));
    leave(key_of(1));
    assert_true(admission_source_enter(&a, key_of(1), 2));
    assert_false(admission_source_enter(&a, key_of(1), 2)); /* who was refused was not counted */
}

static void test_a_source_is_counted_without_a_limit_too(void **state) {
    for (unsigned i = 0; i < 5; i++)
        assert_true(admission_source_enter(&a, key_of(1), 0));
    assert_false(admission_source_enter(&a, key_of(1), 5)); /* the limit came later */
    leave(key_of(1));
    assert_true(admission_source_enter(&a, key_of(1), 5));
}

static void test_an_address_is_one_source_in_both_spellings(void **state) {
    struct address v4, mapped;
    uint8_t key[16], mapped_key[16];

    assert_int_equal(address_parse("192.0.2.1:1000", &v4), 0);
    assert_int_equal(address_parse("[::ffff:192.0.2.1]:2000", &mapped), 0);
    address_key(&v4, key);
    address_key(&mapped, mapped_key);
    assert_true(admission_source_enter(&a, key, 1));
    assert_false(admission_source_enter(&a, mapped_key, 1));
}

static void test_many_sources_come_and_go(void **state) {
    static const unsigned n = 20000;

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k <= i % 3; k++)
            assert_true(admission_source_enter(&a, key_of(i), i % 3 + 1));
    assert_int_equal(n_sources(), n);
    for (unsigned i = 0; i < n; i++)
        assert_false(admission_source_enter(&a, key_of(i), i % 3 + 1));

    /* Out of order, and each as often as it came. */
    for (unsigned step = 0; step < 7; step++)
        for (unsigned i = step; i < n; i += 7)
            for (unsigned k = 0; k <= i % 3; k++)
                leave(key_of(i));
    assert_int_equal(n_sources(), 0); /* who has left costs nothing */
    assert_true(admission_source_enter(&a, key_of(1), 1));
}

static void test_sources_spread_over_the_table(void **state) {
    for (unsigned i = 0; i < 16000; i++)
        assert_true(admission_source_enter(&a, key_of(i), 1));
    for (unsigned i = 0; i < ADMISSION_SHARDS; i++) {
        assert_in_range(a.shards[i].n_sources, 700, 1300);
        assert_true(a.shards[i].n_buckets >= a.shards[i].n_sources);
    }
}

static void test_the_seed_differs(void **state) {
    struct admission other;

    assert_int_equal(admission_init(&other), 0);
    assert_true(a.seed != other.seed);
    admission_done(&other);
}

static _Atomic unsigned faults;

static void *come_and_go(void *userdata) {
    unsigned own = 1000 + (unsigned) (uintptr_t) userdata;

    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Its own address never meets a limit of one; the common one lets in what is counted. */
        if (!admission_source_enter(&a, key_of(own), 1)) {
            atomic_fetch_add(&faults, 1);
            return NULL;
        }
        if (admission_source_enter(&a, key_of(0), LIMIT)) {
            if (atomic_fetch_add(&inside, 1) + 1 > LIMIT)
                atomic_fetch_add(&faults, 1);
            atomic_fetch_sub(&inside, 1);
            leave(key_of(0));
        }
        if (admission_source_enter(&a, key_of(1 + i % 64), 0))
            leave(key_of(1 + i % 64));
        leave(key_of(own));
    }
    return NULL;
}

static void test_sources_from_many_threads(void **state) {
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *) i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(faults, 0);
    assert_int_equal(n_sources(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_many_as_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lower_limit_waits_until_enough_have_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_worker_has_a_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_more_than_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_source_has_its_own_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_source_is_counted_without_a_limit_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_address_is_one_source_in_both_spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_sources_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sources_spread_over_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_seed_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sources_from_many_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
