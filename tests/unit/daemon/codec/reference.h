/* SPDX-License-Identifier: MIT */
/*
 * What the codec tests share: samples of three kinds, zlib called directly and in one go to compare with, and our coders
 * driven through spans of any size.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec.h"

enum sample {
    SAMPLE_TEXT,   /* compresses well */
    SAMPLE_RANDOM, /* does not compress */
    SAMPLE_MIXED,  /* runs of both */
    SAMPLE_MAX,
};

struct bytes {
    uint8_t *data;
    size_t size, capacity;
};
void bytes_add(struct bytes *b, const void *data, size_t size);
void bytes_done(struct bytes *b);
void assert_bytes(const struct bytes *have, const struct bytes *want);
#define _cleanup_bytes_ _cleanup_(bytes_done)

/* A number below `limit`; the same sequence in every run. */
size_t random_below(size_t limit);
void sample_fill(enum sample kind, uint8_t *data, size_t size);
struct bytes sample_new(enum sample kind, size_t size);

/* The window bits that make zlib read and write the format. */
int reference_bits(enum coding id);
struct bytes reference_encode(enum coding id, int level, const void *in, size_t in_size);
/* Appends what can be decoded of `in`. Returns zlib's result of the last call. */
int reference_decode(enum coding id, const void *in, size_t in_size, struct bytes *out);

struct coder *make_encoder(enum coding id, int level);
struct coder *make_decoder(enum coding id);
/* Gives the coder all input in pieces of 1 to in_max bytes (0: in one piece), the last with `flush`, and output spans of
 * 1 to out_max bytes. Asserts that every result keeps the contract. */
void encode_spans(struct coder *c, const void *in, size_t in_size, size_t in_max, size_t out_max,
                  enum coder_flush flush, struct bytes *out);
/* The same for decoding. Returns the first error, CODER_END or (input used up) CODER_DONE; *ret_left is the input that
 * was not taken. */
int decode_spans(struct coder *c, const void *in, size_t in_size, size_t in_max, size_t out_max, struct bytes *out,
                 size_t *ret_left);
