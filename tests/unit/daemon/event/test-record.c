/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "record.h"

struct copy {
    char data[RECORD_MAX];
    struct event_field fields[RECORD_FIELDS_MAX];
    struct event_record record;
};

/* What the ring does to a record, and the way back. */
static struct copy *read_back(const struct record_layout *layout) {
    struct copy *copy = malloc(sizeof(*copy));
    size_t n = 0;

    assert_non_null(copy);
    assert_true(layout->bytes <= RECORD_MAX);
    for (size_t i = 0; i < layout->n_parts; i++) {
        memcpy(copy->data + n, layout->parts[i].iov_base, layout->parts[i].iov_len);
        n += layout->parts[i].iov_len;
    }
    assert_int_equal(n, layout->bytes);
    record_read(copy->data, n, copy->fields, &copy->record);
    return copy;
}

static void test_round_trip(void **state) {
    static const char payload[] = "a\0b\nc=\xff";
    struct record_layout layout;

    record_begin(&layout, EVENT_SETTING_CHANGED, LOG_ERR, UINT64_C(1234567890123456), "dscp changed");
    record_add(&layout, &(struct event_field){ FIELD_LISTENER, "orders", 0 });
    record_add(&layout, &(struct event_field){ FIELD_OLD, NULL, 0 });
    record_add(&layout, &(struct event_field){ FIELD_NEW, "", 0 });
    record_add(&layout, &(struct event_field){ FIELD_PAYLOAD, payload, sizeof(payload) - 1 });

    _cleanup_free_ struct copy *copy = read_back(&layout);
    const struct event_record *record = &copy->record;

    assert_int_equal(record->kind, EVENT_SETTING_CHANGED);
    assert_int_equal(record->priority, LOG_ERR);
    assert_int_equal(record->realtime_usec, UINT64_C(1234567890123456));
    assert_string_equal(record->message, "dscp changed");
    assert_int_equal(record->n_fields, 3);
    assert_string_equal(record->fields[0].name, FIELD_LISTENER);
    assert_string_equal(record->fields[0].value, "orders");
    assert_int_equal(record->fields[0].size, 6);
    assert_string_equal(record->fields[1].value, "");
    assert_int_equal(record->fields[1].size, 0);
    assert_null(record_find(record, FIELD_OLD));
    assert_int_equal(record_find(record, FIELD_PAYLOAD)->size, sizeof(payload) - 1);
    assert_memory_equal(record_find(record, FIELD_PAYLOAD)->value, payload, sizeof(payload));
}

static void test_all_fields(void **state) {
    char names[RECORD_FIELDS_MAX][16], message[EVENT_MESSAGE_MAX + 1];
    struct record_layout layout;

    memset(message, 'm', EVENT_MESSAGE_MAX);
    message[EVENT_MESSAGE_MAX] = '\0';
    record_begin(&layout, EVENT_STATS, LOG_INFO, 0, message);
    for (int i = 0; i < RECORD_FIELDS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "SOCKQ_%d", i);
        record_add(&layout, &(struct event_field){ names[i], names[i], 0 });
    }
    record_add(&layout, &(struct event_field){ FIELD_RESULT, "one too many", 0 });

    _cleanup_free_ struct copy *copy = read_back(&layout);

    assert_string_equal(copy->record.message, message);
    assert_int_equal(copy->record.n_fields, RECORD_FIELDS_MAX);
    for (int i = 0; i < RECORD_FIELDS_MAX; i++)
        assert_string_equal(record_find(&copy->record, names[i])->value, names[i]);
}

static void test_long_values_are_cut(void **state) {
    _cleanup_free_ char *text = malloc(EVENT_VALUE_MAX + 2), *bytes = malloc(EVENT_PAYLOAD_MAX + 1);
    struct record_layout layout;

    assert_non_null(text);
    assert_non_null(bytes);
    memset(text, 't', EVENT_VALUE_MAX + 1);
    text[EVENT_VALUE_MAX + 1] = '\0';
    memcpy(text + EVENT_VALUE_MAX - 5, "\xe2\x82\xac", 3); /* across the place of the cut */
    memset(bytes, 0x80, EVENT_PAYLOAD_MAX + 1);
    record_begin(&layout, EVENT_PAYLOAD, LOG_INFO, 0, "");
    record_add(&layout, &(struct event_field){ FIELD_NEW, text, 0 });
    record_add(&layout, &(struct event_field){ FIELD_OLD, text + 1, 0 });
    record_add(&layout, &(struct event_field){ FIELD_PAYLOAD, bytes, EVENT_PAYLOAD_MAX + 1 });

    _cleanup_free_ struct copy *copy = read_back(&layout);
    const struct event_field *cut = record_find(&copy->record, FIELD_NEW);

    assert_int_equal(cut->size, EVENT_VALUE_MAX - 2);
    assert_string_equal((const char *) cut->value + cut->size - 5, "tt...");
    assert_string_equal(record_find(&copy->record, FIELD_OLD)->value, text + 1);
    assert_int_equal(record_find(&copy->record, FIELD_PAYLOAD)->size, EVENT_PAYLOAD_MAX);
}

static void test_what_does_not_fit_is_left_out(void **state) {
    _cleanup_free_ char *bytes = calloc(1, EVENT_PAYLOAD_MAX);
    struct record_layout layout;

    assert_non_null(bytes);
    record_begin(&layout, EVENT_PAYLOAD, LOG_INFO, 0, "");
    for (int i = 0; i < 3; i++)
        record_add(&layout, &(struct event_field){ FIELD_PAYLOAD, bytes, EVENT_PAYLOAD_MAX });
    record_add(&layout, &(struct event_field){ FIELD_LISTENER, "orders", 0 });

    _cleanup_free_ struct copy *copy = read_back(&layout);

    assert_int_equal(copy->record.n_fields, 2);
    assert_string_equal(copy->record.fields[1].value, "orders");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_all_fields),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_what_does_not_fit_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
