/* SPDX-License-Identifier: MIT */
#include <endian.h>

#include "framings.h"

static int next(struct frame_state *state, const uint8_t *data, size_t size, size_t limit_bytes, struct frame *ret) {
    uint32_t length;

    if (size < sizeof(length)) {
        state->needed = sizeof(length);
        return FRAME_MORE;
    }
    memcpy(&length, data, sizeof(length));
    return frame_counted(state, data, size, sizeof(length), be32toh(length), limit_bytes, ret);
}

static int wrap(const uint8_t *data, size_t size, struct frame_wrap *ret) {
    uint32_t length = htobe32((uint32_t) size);

    if (size > UINT32_MAX) {
        ret->reason = "payload is larger than a length of 32 bits";
        return -EMSGSIZE;
    }
    memcpy(ret->prefix, &length, sizeof(length));
    ret->prefix_size = sizeof(length);
    return 0;
}

const struct frame_ops frame_length32 = { .next = next, .wrap = wrap };
