/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool.h"

#define SMALLEST ((size_t) 4096)
#define LARGEST (SMALLEST << (POOL_CLASSES - 1))

static void test_a_buffer_holds_what_was_asked_for(void **state) {
    static const size_t sizes[] = { 0,    1,    100,   SMALLEST - sizeof(struct buf), SMALLEST - sizeof(struct buf) + 1,
                                    4096, 4097, 65536, LARGEST - sizeof(struct buf) };
    struct pool p = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct buf *b = pool_borrow(&p, sizes[i]);

        assert_non_null(b);
        assert_true(b->capacity >= sizes[i]);
        assert_int_equal(buf_size(b), 0);
        memset(b->data, 0xaa, b->capacity); /* the sanitizer looks on */
        assert_int_equal((b->capacity + sizeof(*b)) & (b->capacity + sizeof(*b) - 1), 0);
        assert_int_equal(p.borrowed_bytes, b->capacity + sizeof(*b));
        assert_null(pool_return(&p, b));
        assert_int_equal(p.borrowed_bytes, 0);
    }
    pool_done(&p);
}

static void test_over_the_largest_class_there_is_nothing(void **state) {
    struct pool p = { 0 };

    assert_null(pool_borrow(&p, LARGEST - sizeof(struct buf) + 1));
    assert_null(pool_borrow(&p, SIZE_MAX));
    assert_null(pool_return(&p, NULL));
    assert_int_equal(p.borrowed_bytes, 0);
    pool_done(&p);
}

static void test_a_returned_buffer_is_lent_again_empty(void **state) {
    struct pool p = { 0 };
    struct buf *a = pool_borrow(&p, 5000), *b;

    assert_non_null(a);
    a->start = 10;
    a->end = 20;
    pool_return(&p, a);
    assert_int_equal(p.kept_bytes, 8192);
    b = pool_borrow(&p, 6000);
    assert_ptr_equal(a, b);
    assert_int_equal(buf_size(b), 0);
    assert_int_equal(b->start, 0);
    assert_int_equal(p.kept_bytes, 0);
    pool_return(&p, b);

    /* Another class is another buffer. */
    b = pool_borrow(&p, 100);
    assert_int_equal(b->capacity, SMALLEST - sizeof(*b));
    pool_return(&p, b);
    pool_done(&p);
}

static void test_what_is_kept_is_bounded(void **state) {
    struct pool p = { 0 };
    struct buf *all[64];

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        assert_non_null(all[i] = pool_borrow(&p, 128 * 1024));
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        pool_return(&p, all[i]);
        assert_true(p.kept_bytes <= POOL_KEPT_BYTES_MAX);
    }
    assert_true(p.kept_bytes > POOL_KEPT_BYTES_MAX / 2);
    assert_int_equal(p.borrowed_bytes, 0);

    /* What is larger than all that may be kept goes at once. */
    size_t before = p.kept_bytes;
    pool_return(&p, pool_borrow(&p, LARGEST - sizeof(struct buf)));
    assert_int_equal(p.kept_bytes, before);
    pool_done(&p);
    assert_int_equal(p.kept_bytes, 0);
}

/* Byte i of a long run that no power of two divides. */
static uint8_t byte_at(size_t i) {
    return (uint8_t) (i % 251);
}

static void append(struct pool *p, struct buf **b, size_t from, size_t size) {
    uint8_t *data = malloc(MAX(size, (size_t) 1));

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = byte_at(from + i);
    assert_int_equal(pool_append(p, b, data, size), 0);
    free(data);
}

static void assert_bytes(const struct buf *b, size_t from, size_t size) {
    assert_int_equal(buf_size(b), size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(b->data[b->start + i], byte_at(from + i));
}

static void test_append_grows_and_keeps_the_bytes(void **state) {
    struct pool p = { 0 };
    struct buf *b = NULL;
    size_t written = 0;

    append(&p, &b, 0, 0);
    assert_null(b); /* nothing pending costs nothing */
    for (size_t size = 1; written < 200000; size = size * 3 % 7919 + 1) {
        append(&p, &b, written, size);
        written += size;
        assert_bytes(b, 0, written);
    }
    assert_int_equal(p.borrowed_bytes, b->capacity + sizeof(*b)); /* the smaller ones went back */
    pool_return(&p, b);
    pool_done(&p);
}

static void test_append_uses_the_room_in_front_before_it_grows(void **state) {
    struct pool p = { 0 };
    struct buf *b = NULL, *first;
    size_t capacity = SMALLEST - sizeof(struct buf), read = 0, written = 0;

    append(&p, &b, 0, capacity);
    written = capacity;
    first = b;
    for (unsigned i = 0; i < 100; i++) {
        b->start += 1000;
        read += 1000;
        append(&p, &b, written, 1000);
        written += 1000;
        assert_ptr_equal(b, first);
        assert_bytes(b, read, written - read);
    }

    /* Half of it read, more than half of it to come: it grows, with what is pending only. */
    b->start += 2000;
    read += 2000;
    append(&p, &b, written, 3000);
    written += 3000;
    assert_ptr_not_equal(b, first);
    assert_bytes(b, read, written - read);
    pool_return(&p, b);
    pool_done(&p);
}

static void test_append_that_does_not_fit_leaves_the_buffer_as_it_was(void **state) {
    struct pool p = { 0 };
    struct buf *b = NULL;
    static uint8_t zeros[LARGEST];

    append(&p, &b, 0, 3000);
    b->start = 1000;
    assert_int_equal(pool_append(&p, &b, zeros, sizeof(zeros)), -ENOMEM);
    assert_bytes(b, 1000, 2000);
    append(&p, &b, 3000, 500);
    assert_bytes(b, 1000, 2500);
    pool_return(&p, b);
    pool_done(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_holds_what_was_asked_for),
        cmocka_unit_test(test_over_the_largest_class_there_is_nothing),
        cmocka_unit_test(test_a_returned_buffer_is_lent_again_empty),
        cmocka_unit_test(test_what_is_kept_is_bounded),
        cmocka_unit_test(test_append_grows_and_keeps_the_bytes),
        cmocka_unit_test(test_append_uses_the_room_in_front_before_it_grows),
        cmocka_unit_test(test_append_that_does_not_fit_leaves_the_buffer_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
