/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "ring.h"

#define PREFIX sizeof(uint32_t)
#define N_PRODUCERS 4
#define N_EACH 2000

static struct ring *new_ring(size_t first, size_t second, size_t record_max) {
    struct ring *ring = NULL;

    assert_return_code(ring_new((const size_t[]){ first, second }, 2, record_max, &ring), 0);
    return ring;
}

static int put(struct ring *ring, size_t lane, const char *text) {
    return ring_put(ring, lane, &(struct iovec){ (void *) text, strlen(text) }, 1);
}

static void assert_takes(struct ring *ring, const char *text) {
    char buf[256];
    ssize_t n = ring_take(ring, buf, UINT64_MAX);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, strlen(text));
}

static void test_wrap_around(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(61, 61, 20);
    char text[32], oldest[32];
    unsigned first = 0;

    /* Records of all lengths begin and end at every place of the lane. */
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%u:%.*s", i, (int) (i % 15), "abcdefghijklmno");
        while (put(ring, 0, text) == -ENOBUFS) {
            snprintf(oldest, sizeof(oldest), "%u:%.*s", first, (int) (first % 15), "abcdefghijklmno");
            assert_takes(ring, oldest);
            first++;
        }
    }
    assert_true(first > 990);
}

static void test_gathers_parts(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(64, 64, 32);
    char first[] = "a\0b", last[] = "cd";
    struct iovec parts[] = { { first, 3 }, { NULL, 0 }, { last, 2 } };
    char buf[32];

    assert_return_code(ring_put(ring, 0, parts, 3), 0);
    assert_int_equal(ring_take(ring, buf, UINT64_MAX), 5);
    assert_memory_equal(buf, "a\0bcd", 5);
}

static void test_full_lane_drops_and_counts(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(2 * (PREFIX + 4), 64, 4);

    assert_return_code(put(ring, 0, "1111"), 0);
    assert_return_code(put(ring, 0, "2222"), 0);
    assert_int_equal(put(ring, 0, "3333"), -ENOBUFS);
    assert_int_equal(put(ring, 0, ""), -ENOBUFS);
    assert_return_code(put(ring, 1, "free"), 0);

    assert_int_equal(ring_take_drops(ring, 0, true), 0);
    assert_int_equal(ring_take_drops(ring, 0, false), 2);
    assert_int_equal(ring_take_drops(ring, 0, false), 0);
    assert_int_equal(ring_take_drops(ring, 1, false), 0);

    assert_int_equal(put(ring, 0, "4444"), -ENOBUFS);
    assert_takes(ring, "1111");
    assert_takes(ring, "2222");
    assert_int_equal(ring_take_drops(ring, 0, true), 1);
    assert_return_code(put(ring, 0, "5555"), 0);
}

static void test_first_lane_first(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(64, 64, 16);

    assert_return_code(put(ring, 1, "payload 1"), 0);
    assert_return_code(put(ring, 1, "payload 2"), 0);
    assert_return_code(put(ring, 0, "event"), 0);
    assert_takes(ring, "event");
    assert_takes(ring, "payload 1");
    assert_return_code(put(ring, 0, "event 2"), 0);
    assert_takes(ring, "event 2");
    assert_takes(ring, "payload 2");
}

static void test_limits(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(64, 64, 4);
    char byte = 0;
    struct iovec huge[] = { { &byte, SIZE_MAX }, { &byte, 2 } };
    struct ring *none = NULL;
    char buf[4];

    assert_int_equal(put(ring, 0, "12345"), -EMSGSIZE);
    assert_int_equal(ring_put(ring, 0, huge, 2), -EMSGSIZE);
    assert_int_equal(ring_take_drops(ring, 0, false), 0);
    assert_int_equal(ring_take(ring, buf, 0), -ETIMEDOUT);
    assert_int_equal(ring_new((const size_t[]){ 64 }, 1, 61, &none), -EINVAL);
    assert_int_equal(ring_new((const size_t[]){ 64 }, 1, 0, &none), -EINVAL);
    assert_null(none);
    assert_null(ring_free(NULL));
}

static void test_close_drains_first(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(64, 64, 16);
    char buf[16];

    assert_return_code(put(ring, 0, "left"), 0);
    ring_close(ring);
    assert_int_equal(put(ring, 0, "late"), -ESHUTDOWN);
    assert_takes(ring, "left");
    assert_int_equal(ring_take(ring, buf, UINT64_MAX), -ESHUTDOWN);
}

static void test_discard_counts(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(PREFIX + 4, 64, 4);
    char buf[4];

    assert_return_code(put(ring, 0, "1111"), 0);
    assert_int_equal(put(ring, 0, "2222"), -ENOBUFS);
    assert_return_code(put(ring, 1, "3333"), 0);
    assert_int_equal(ring_discard(ring), 3);
    assert_int_equal(ring_discard(ring), 0);
    assert_int_equal(put(ring, 1, "4444"), -ESHUTDOWN);
    assert_int_equal(ring_take(ring, buf, UINT64_MAX), -ESHUTDOWN);
}

struct entry {
    unsigned producer, number;
};

static struct producer {
    struct ring *ring;
    unsigned index;
    pthread_t thread;
} producers[N_PRODUCERS];

static void *produce(void *userdata) {
    struct producer *producer = userdata;
    struct entry entry = { .producer = producer->index };

    while (entry.number < N_EACH)
        if (ring_put(producer->ring, entry.number % 2, &(struct iovec){ &entry, sizeof(entry) }, 1) == 0)
            entry.number++;
    return NULL;
}

static void test_many_producers(void **state) {
    _cleanup_(ring_freep) struct ring *ring = new_ring(256, 256, sizeof(struct entry));
    unsigned next[N_PRODUCERS][2] = { 0 };

    for (unsigned i = 0; i < N_PRODUCERS; i++) {
        producers[i] = (struct producer){ .ring = ring, .index = i };
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < N_PRODUCERS * N_EACH; i++) {
        struct entry entry;

        assert_int_equal(ring_take(ring, &entry, UINT64_MAX), sizeof(entry));
        assert_in_range(entry.producer, 0, N_PRODUCERS - 1);
        /* Each producer's records of a lane come in order, none twice, none missing. */
        assert_int_equal(entry.number, 2 * next[entry.producer][entry.number % 2]++ + entry.number % 2);
    }
    for (unsigned i = 0; i < N_PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    ring_take_drops(ring, 0, true);
    ring_take_drops(ring, 1, true);
    assert_int_equal(ring_discard(ring), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrap_around),
        cmocka_unit_test(test_gathers_parts),
        cmocka_unit_test(test_full_lane_drops_and_counts),
        cmocka_unit_test(test_first_lane_first),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_close_drains_first),
        cmocka_unit_test(test_discard_counts),
        cmocka_unit_test(test_many_producers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
