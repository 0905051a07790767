/* SPDX-License-Identifier: MIT */
/*
 * A stream that is compressed while everything about it changes: sizes of spans, flushes, levels, parking, room for the
 * output. After every flush the decoder has every byte, at the end the checksum is right; and codec_bound() is one.
 * The bytes are both the text and what happens to it. Byte 0: format, 1: level.
 */
#include <stdbool.h>

#include "codec.h"
#include "fuzz.h"

#define INPUT_MAX 8192
#define WIRE_MAX (16 * INPUT_MAX)

struct trip {
    struct coder *encoder, *decoder;
    uint8_t wire[WIRE_MAX], text[INPUT_MAX + 1];
    size_t n_wire, n_decoded_wire, n_text, n_sent;
    const uint8_t *sent;
    size_t room; /* for one call of the encoder */
};

static void decode(struct trip *t, int expected) {
    struct coder_io io = { .in = t->wire + t->n_decoded_wire,
                           .in_size = t->n_wire - t->n_decoded_wire,
                           .out = t->text + t->n_text,
                           .out_size = sizeof(t->text) - t->n_text };
    int r = coder_decode(t->decoder, &io);

    assert(r == expected && io.in_size == 0);
    t->n_decoded_wire = t->n_wire;
    t->n_text = sizeof(t->text) - io.out_size;
    assert(t->n_text == t->n_sent && memcmp(t->text, t->sent, t->n_sent) == 0);
}

static void encode(struct trip *t, size_t size, enum coder_flush flush) {
    struct coder_io io = { .in = t->sent + t->n_sent, .in_size = size };
    int r;

    do {
        size_t room = MIN(t->room, WIRE_MAX - t->n_wire);

        assert(room > 0);
        io.out = t->wire + t->n_wire;
        io.out_size = room;
        r = coder_encode(t->encoder, &io, flush);
        t->n_wire += room - io.out_size;
        assert(r == CODER_DONE || (r == CODER_OUTPUT && io.out_size == 0));
    } while (r == CODER_OUTPUT);
    assert(io.in_size == 0);
    t->n_sent += size;
}

/* A flush, and that nothing more of it waits. */
static void flush(struct trip *t, size_t size) {
    size_t before = t->n_wire;

    encode(t, size, CODER_FLUSH);
    decode(t, CODER_DONE);
    assert(t->n_wire - before <= codec_bound(coder_id(t->encoder), size) || size == 0);
    before = t->n_wire;
    encode(t, 0, CODER_FLUSH);
    assert(t->n_wire == before);
}

static void set_level(struct trip *t, int level) {
    struct coder_io io;
    int r;

    do {
        io = (struct coder_io){ .out = t->wire + t->n_wire, .out_size = MIN(t->room, WIRE_MAX - t->n_wire) };
        r = coder_set_level(t->encoder, &io, level);
        t->n_wire = (size_t) (io.out - t->wire);
    } while (r == CODER_OUTPUT);
    assert(r == CODER_DONE && coder_level(t->encoder) == level);
}

static void step(struct trip *t, uint8_t what, size_t size, bool *clean) {
    switch (what % 6) {
    case 0:
        encode(t, size, CODER_MORE);
        *clean = *clean && size == 0;
        return;
    case 1:
    case 2:
        if (*clean) {
            flush(t, size);
            return;
        }
        encode(t, size, CODER_FLUSH);
        decode(t, CODER_DONE);
        *clean = true;
        return;
    case 3:
        if (*clean)
            set_level(t, what / 6 % 10);
        return;
    case 4:
        if (*clean) {
            int r = coder_park(t->encoder);
            assert(r == 0 && coder_parked(t->encoder));
        }
        return;
    case 5:
        t->room = what & 1 ? 1 + what / 6u : WIRE_MAX;
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct trip trip;
    enum coding id = fuzz_byte(&data, &size) & 1 ? CODING_GZIP : CODING_ZLIB;
    int level = fuzz_byte(&data, &size) % 10, r;
    bool clean = true;

    size = MIN(size, (size_t) INPUT_MAX);
    trip = (struct trip){ .sent = data, .room = WIRE_MAX };
    r = encoder_new(id, level, &trip.encoder);
    assert(r == 0);
    r = decoder_new(id, &trip.decoder);
    assert(r == 0);
    for (size_t i = 0; i < size && trip.n_sent < size; i += 2)
        step(&trip, data[i], MIN(size - trip.n_sent, i + 1 < size ? data[i + 1] : (size_t) 0), &clean);
    encode(&trip, size - trip.n_sent, CODER_FINISH);
    decode(&trip, CODER_END);
    trip.encoder = coder_free(trip.encoder);
    trip.decoder = coder_free(trip.decoder);
    return 0;
}
