/* SPDX-License-Identifier: MIT */
#include "framings.h"

#define DIGITS_MAX 7
#define COUNT_MAX 9999999

_Static_assert(DIGITS_MAX + 1 == FRAME_PREFIX_MAX, "digits and a space");

/* Byte by byte, and the first wrong byte decides: the error is the same wherever the spans end. */
static int next(struct frame_state *state, const uint8_t *data, size_t size, size_t limit_bytes, struct frame *ret) {
    size_t count = 0;

    if (data[0] < '1' || data[0] > '9')
        return frame_refuse(ret, -EBADMSG, "octet count does not begin with a digit from 1 to 9");
    for (size_t i = 0; i < size; i++) {
        if (data[i] == ' ')
            return frame_counted(state, data, size, i + 1, count, limit_bytes, ret);
        if (data[i] < '0' || data[i] > '9')
            return frame_refuse(ret, -EBADMSG, "octet count is not digits and a space");
        if (i == DIGITS_MAX)
            return frame_refuse(ret, -EBADMSG, "octet count has more than 7 digits");
        count = 10 * count + (size_t) (data[i] - '0');
        if (count > limit_bytes)
            return frame_refuse_large(ret);
    }
    state->needed = size + 1;
    return FRAME_MORE;
}

static int wrap(const uint8_t *data, size_t size, struct frame_wrap *ret) {
    uint8_t text[FRAME_PREFIX_MAX];
    size_t begin = sizeof(text);

    if (size == 0) {
        ret->reason = "octet counting has no empty message";
        return -EBADMSG;
    }
    if (size > COUNT_MAX) {
        ret->reason = "payload is larger than an octet count of 7 digits";
        return -EMSGSIZE;
    }
    text[--begin] = ' ';
    for (size_t n = size; n > 0; n /= 10)
        text[--begin] = (uint8_t) ('0' + n % 10);
    ret->prefix_size = sizeof(text) - begin;
    memcpy(ret->prefix, text + begin, ret->prefix_size);
    return 0;
}

const struct frame_ops frame_octet_count = { .next = next, .wrap = wrap };
