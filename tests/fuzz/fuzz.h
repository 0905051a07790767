/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target: one file fuzz_NAME.c, its row in meson.build, seeds in corpus/NAME. Works on any bytes, in bounded time
 * and memory, and asserts what must hold for all of them. libFuzzer calls it, or replay.c does for every seed.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An input that is of no use to a target is still answered with 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first bytes of an input choose how to try the rest. 0 when there is none left. */
static inline uint8_t fuzz_byte(const uint8_t **data, size_t *size) {
    if (*size == 0)
        return 0;
    (*size)--;
    return *(*data)++;
}

/* The next number of a sequence that depends on nothing but its beginning. */
static inline uint32_t fuzz_random(uint32_t *state) {
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return *state >> 8;
}

/* The bytes in memory of exactly their size, so that the sanitizer sees who reads over their end; with nul, one NUL
 * behind them. To be freed. */
static inline void *fuzz_copy(const void *data, size_t size, int nul) {
    char *copy = malloc(size + (nul || size == 0));

    assert(copy);
    if (size > 0)
        memcpy(copy, data, size);
    if (nul)
        copy[size] = '\0';
    return copy;
}
