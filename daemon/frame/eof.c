/* SPDX-License-Identifier: MIT */
#include "framings.h"

static int next(struct frame_state *state, const uint8_t *data, size_t size, size_t limit_bytes, struct frame *ret) {
    if (size > limit_bytes)
        return frame_refuse_large(ret);
    state->needed = size + 1;
    return FRAME_MORE;
}

static size_t take(const uint8_t *data, size_t size) {
    return size;
}

const struct frame_ops frame_eof = { .ends_with_stream = true, .next = next, .take = take };
