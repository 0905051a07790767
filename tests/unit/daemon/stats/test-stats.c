/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "stats.h"

#define ROUNDS 200000

static void test_names_are_unique_and_plain(void **state) {
    for (unsigned i = 0; i < STAT_MAX; i++) {
        assert_true(strlen(stat_name(i)) > 0);
        assert_int_equal(strspn(stat_name(i), "abcdefghijklmnopqrstuvwxyz_"), strlen(stat_name(i)));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(stat_name(i), stat_name(k));
    }
    assert_string_equal(stat_name(STAT_RX_BYTES), "rx_bytes");
}

static void test_ecn_names(void **state) {
    /* The two bits of RFC 3168, in which ECT(1) is 1 and ECT(0) is 2. */
    assert_string_equal(stat_ecn_name(0), "not_ect");
    assert_string_equal(stat_ecn_name(1), "ect1");
    assert_string_equal(stat_ecn_name(2), "ect0");
    assert_string_equal(stat_ecn_name(3), "ce");
}

static void test_a_tos_byte_counts_as_dscp_and_ecn(void **state) {
    struct stats s = { 0 };

    stats_mark(&s, 46 << 2 | 1);
    stats_mark(&s, 46 << 2 | 3);
    stats_mark(&s, 0);
    stats_mark(&s, 0xff);
    assert_int_equal(s.dscp[46], 2);
    assert_int_equal(s.dscp[0], 1);
    assert_int_equal(s.dscp[63], 1);
    assert_int_equal(s.ecn[0], 1);
    assert_int_equal(s.ecn[1], 1);
    assert_int_equal(s.ecn[2], 0);
    assert_int_equal(s.ecn[3], 2);
}

static void test_blocks_add_up(void **state) {
    struct stats a = { 0 }, b = { 0 };
    struct stats_snapshot sum = { 0 };

    stats_add(&a, STAT_RX_BYTES, UINT64_C(5000000000));
    stats_add(&a, STAT_RX_BYTES, 1);
    stats_add(&b, STAT_RX_BYTES, 10);
    stats_add(&b, STAT_SUPPRESSED, 3);
    stats_mark(&b, 8 << 2);
    stats_merge(&sum, &a);
    stats_merge(&sum, &b);
    assert_int_equal(sum.counter[STAT_RX_BYTES], UINT64_C(5000000011));
    assert_int_equal(sum.counter[STAT_SUPPRESSED], 3);
    assert_int_equal(sum.counter[STAT_TX_BYTES], 0);
    assert_int_equal(sum.dscp[8], 1);
    assert_int_equal(sum.ecn[0], 1);
}

static void test_snapshots_differ_in_any_counter(void **state) {
    struct stats s = { 0 };
    struct stats_snapshot before = { 0 }, after;

    stats_merge(&before, &s);
    after = before;
    assert_false(stats_differ(&before, &after));
    after.counter[STAT_SUPPRESSED]++;
    assert_true(stats_differ(&before, &after));
    after = before;
    after.dscp[63]++;
    assert_true(stats_differ(&before, &after));
    after = before;
    after.ecn[3]++;
    assert_true(stats_differ(&before, &after));
}

static void *count(void *userdata) {
    struct stats *s = userdata;

    for (unsigned i = 0; i < ROUNDS; i++) {
        stats_add(s, STAT_PAYLOADS, 1);
        stats_mark(s, 46 << 2);
    }
    return NULL;
}

static void test_a_reader_never_holds_a_writer_up_nor_sees_it_go_back(void **state) {
    static struct stats blocks[2];
    pthread_t writers[2];
    uint64_t last = 0;

    memset(blocks, 0, sizeof(blocks));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, count, &blocks[i]), 0);
    for (unsigned i = 0; i < 1000; i++) {
        struct stats_snapshot s = { 0 };

        stats_merge(&s, &blocks[0]);
        stats_merge(&s, &blocks[1]);
        assert_true(s.counter[STAT_PAYLOADS] >= last);
        last = s.counter[STAT_PAYLOADS];
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(writers[i], NULL), 0);

    struct stats_snapshot end = { 0 };
    stats_merge(&end, &blocks[0]);
    stats_merge(&end, &blocks[1]);
    assert_int_equal(end.counter[STAT_PAYLOADS], 2 * ROUNDS);
    assert_int_equal(end.dscp[46], 2 * ROUNDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_unique_and_plain),
        cmocka_unit_test(test_ecn_names),
        cmocka_unit_test(test_a_tos_byte_counts_as_dscp_and_ecn),
        cmocka_unit_test(test_blocks_add_up),
        cmocka_unit_test(test_snapshots_differ_in_any_counter),
        cmocka_unit_test(test_a_reader_never_holds_a_writer_up_nor_sees_it_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
