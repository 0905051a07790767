/* SPDX-License-Identifier: MIT */
/* Lists of payloads, wrapped and taken apart again, and streams of anything: no chunking makes a difference. */
#include "reader.h"

#define LIMIT_BYTES ((size_t) 300)

static struct reader reader_for(enum framing id, bool joins) {
    return (struct reader){ .ops = frame_ops(id), .limit_bytes = LIMIT_BYTES, .joins = joins };
}

static void feed_randomly(struct reader *r, const struct bytes *stream, size_t span_max) {
    for (size_t position = 0, n; position < stream->size; position += n) {
        n = MIN(random_below(span_max + 1), stream->size - position);
        reader_feed(r, stream->data + position, n);
    }
    reader_end(r);
}

/* Bytes that matter to some framing more often than others. */
static uint8_t random_byte(void) {
    static const uint8_t special[] = { '\r', '\n', ' ', '0', '1', '9', 0, 255 };

    return random_below(2) ? special[random_below(ARRAY_SIZE(special))] : (uint8_t) random_below(256);
}

static size_t random_payload(enum framing id, uint8_t *data) {
    size_t size = random_below(random_below(2) ? 8 : LIMIT_BYTES + 1);

    if (size == 0 && id == FRAMING_OCTET_COUNT)
        size = LIMIT_BYTES;
    for (size_t i = 0; i < size; i++) {
        data[i] = random_byte();
        if (data[i] == '\n' && id == FRAMING_LINE)
            data[i] = '\r';
    }
    return size;
}

static void round_trip(enum framing id) {
    _cleanup_bytes_ struct bytes stream = { 0 };
    _cleanup_payloads_ struct payloads want = { 0 };
    uint8_t data[LIMIT_BYTES];

    for (size_t n = random_below(30); n > 0; n--) {
        size_t size = random_payload(id, data);

        wrap_add(&stream, id, data, size);
        payloads_add(&want, data, size);
    }
    for (int joins = 0; joins < 2; joins++) {
        _cleanup_reader_ struct reader r = reader_for(id, joins);

        feed_randomly(&r, &stream, random_below(2) ? 10 : 2000);
        assert_int_equal(r.result, FRAME_END);
        assert_payloads(&r.payloads, &want);
    }
}

static void test_round_trip(void **state) {
    static const enum framing bounded[] = { FRAMING_LINE, FRAMING_OCTET_COUNT, FRAMING_LENGTH32 };

    for (size_t f = 0; f < ARRAY_SIZE(bounded); f++)
        for (unsigned i = 0; i < 100; i++)
            round_trip(bounded[f]);
}

/* What a peer may send: wrapped payloads with some bytes changed, or nothing sensible at all. */
static void anything(enum framing id, struct bytes *stream) {
    uint8_t data[LIMIT_BYTES];

    for (size_t n = random_below(10); n > 0; n--)
        wrap_add(stream, id, data, random_payload(id, data));
    for (size_t n = random_below(3); stream->size > 0 && n > 0; n--)
        stream->data[random_below(stream->size)] = random_byte();
    for (size_t n = random_below(20); n > 0; n--) {
        uint8_t byte = random_byte();

        bytes_add(stream, &byte, 1);
    }
}

static void same_whatever_the_chunks(enum framing id) {
    _cleanup_bytes_ struct bytes stream = { 0 };
    _cleanup_reader_ struct reader whole = reader_for(id, false);

    anything(id, &stream);
    reader_feed(&whole, stream.data, stream.size);
    reader_end(&whole);
    for (int joins = 0; joins < 2; joins++) {
        _cleanup_reader_ struct reader r = reader_for(id, joins);

        feed_randomly(&r, &stream, random_below(2) ? 2 : 100);
        assert_payloads(&r.payloads, &whole.payloads);
        assert_int_equal(r.result, whole.result);
        if (whole.result < 0)
            assert_string_equal(r.reason, whole.reason);
    }
}

static void test_anything(void **state) {
    for (int id = FRAMING_LINE; id < FRAMING_MAX; id++)
        for (unsigned i = 0; i < 300; i++)
            same_whatever_the_chunks(id);
}

/* `chunk` promises no boundaries, but every byte once and in order. */
static void test_chunk_loses_nothing(void **state) {
    for (unsigned i = 0; i < 300; i++) {
        _cleanup_bytes_ struct bytes stream = { 0 };
        _cleanup_reader_ struct reader r = reader_for(FRAMING_CHUNK, false);

        anything(FRAMING_CHUNK, &stream);
        feed_randomly(&r, &stream, 1000);
        assert_int_equal(r.result, FRAME_END);
        assert_int_equal(r.payloads.bytes.size, stream.size);
        if (stream.size > 0)
            assert_memory_equal(r.payloads.bytes.data, stream.data, stream.size);
        assert_int_equal(r.copied, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_anything),
        cmocka_unit_test(test_chunk_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
