/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include "sources.h"

#define NOW (USEC_PER_SEC * 1000)

static const struct rate_limit limit = { .per_sec = 10, .payloads = true, .burst = 5 };

static struct bucket *find(struct sources *t, uint32_t who) {
    uint8_t key[16] = { 0x20, 1 };

    memcpy(key + 4, &who, sizeof(who));
    return sources_find(t, key);
}

static struct sources *make(void) {
    struct sources *t = sources_new();

    assert_non_null(t);
    sources_use(t, &limit);
    return t;
}

static void test_each_source_has_a_bucket(void **state) {
    struct sources *t = make();

    for (uint32_t who = 0; who < 100; who++)
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(bucket_try(find(t, who), &limit, 1, NOW), i < 5);
    assert_null(sources_free(t));
    assert_null(sources_free(NULL));
}

static void test_the_fullest_bucket_is_forgotten(void **state) {
    struct sources *t = make();

    (void) bucket_take(find(t, 0), &limit, 5, NOW);
    for (uint32_t who = 1; who < 100000; who++)
        (void) bucket_take(find(t, who), &limit, 1, NOW);
    assert_int_equal(bucket_tokens(find(t, 0), &limit, NOW), 0);
    sources_free(t);
}

static void test_another_limit_begins_anew(void **state) {
    const struct rate_limit other = { .per_sec = 10, .payloads = true, .burst = 6 };
    struct sources *t = make();

    (void) bucket_take(find(t, 7), &limit, 5, NOW);
    sources_use(t, &limit);
    assert_int_equal(bucket_tokens(find(t, 7), &limit, NOW), 0);
    sources_use(t, &other);
    assert_int_equal(bucket_tokens(find(t, 7), &other, NOW), 6);
    sources_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_source_has_a_bucket),
        cmocka_unit_test(test_the_fullest_bucket_is_forgotten),
        cmocka_unit_test(test_another_limit_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
