/* SPDX-License-Identifier: MIT */
#include "framings.h"

#define TERMINATOR_MAX ((size_t) 2) /* CR LF */

static int next(struct frame_state *state, const uint8_t *data, size_t size, size_t limit_bytes, struct frame *ret) {
    size_t scanned = state->needed > 0 ? state->needed - 1 : 0;
    size_t end = MIN(size, limit_bytes + TERMINATOR_MAX), n;
    const uint8_t *lf = scanned < end ? memchr(data + scanned, '\n', end - scanned) : NULL;

    if (!lf) {
        /* One byte over the limit may be the CR of the terminator. */
        if (size > limit_bytes && (size > limit_bytes + 1 || data[limit_bytes] != '\r'))
            return frame_refuse_large(ret);
        state->needed = size + 1;
        return FRAME_MORE;
    }
    n = (size_t) (lf - data);
    if (n > 0 && data[n - 1] == '\r')
        n--;
    if (n > limit_bytes)
        return frame_refuse_large(ret);
    return frame_yield(ret, data, n, (size_t) (lf - data) + 1);
}

static size_t take(const uint8_t *data, size_t size) {
    const uint8_t *lf = memchr(data, '\n', size);

    return lf ? (size_t) (lf - data) + 1 : size;
}

static int wrap(const uint8_t *data, size_t size, struct frame_wrap *ret) {
    if (size > 0 && memchr(data, '\n', size)) {
        ret->reason = "a line cannot hold a line feed";
        return -EBADMSG;
    }
    /* Else the reply's own CR would be taken for a part of the terminator. */
    if (size > 0 && data[size - 1] == '\r')
        ret->suffix[ret->suffix_size++] = '\r';
    ret->suffix[ret->suffix_size++] = '\n';
    return 0;
}

const struct frame_ops frame_line = { .ends_with_stream = true, .next = next, .take = take, .wrap = wrap };
