/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <assert.h>

#include "framings.h"

static const struct frame_ops *const table[FRAMING_MAX] = {
    [FRAMING_CHUNK] = &frame_chunk,       [FRAMING_LINE] = &frame_line, [FRAMING_OCTET_COUNT] = &frame_octet_count,
    [FRAMING_LENGTH32] = &frame_length32, [FRAMING_EOF] = &frame_eof,
};

static const char *const names[FRAMING_MAX + 1] = {
    [FRAMING_CHUNK] = "chunk",       [FRAMING_LINE] = "line", [FRAMING_OCTET_COUNT] = "octet_count",
    [FRAMING_LENGTH32] = "length32", [FRAMING_EOF] = "eof",
};

const char *const *frame_names(void) {
    return names;
}

int frame_parse(const char *name, enum framing *ret) {
    for (int id = 0; id < FRAMING_MAX; id++)
        if (streq(names[id], name)) {
            *ret = (enum framing) id;
            return 0;
        }
    return -EINVAL;
}

const struct frame_ops *frame_ops(enum framing id) {
    return (int) id >= 0 && id < FRAMING_MAX ? table[id] : NULL;
}

int frame_refuse(struct frame *ret, int error, const char *reason) {
    ret->reason = reason;
    return error;
}

int frame_refuse_large(struct frame *ret) {
    return frame_refuse(ret, -EMSGSIZE, "payload is larger than payload_limit");
}

int frame_yield(struct frame *ret, const uint8_t *payload, size_t size, size_t consumed) {
    ret->payload = payload;
    ret->size = size;
    ret->consumed = consumed;
    return FRAME_PAYLOAD;
}

int frame_counted(struct frame_state *state, const uint8_t *data, size_t size, size_t prefix_size, size_t count,
                  size_t limit_bytes, struct frame *ret) {
    if (count > limit_bytes)
        return frame_refuse_large(ret);
    if (size - prefix_size < count) {
        state->needed = prefix_size + count;
        return FRAME_MORE;
    }
    return frame_yield(ret, data + prefix_size, count, prefix_size + count);
}

/* What is left in front of the end of the stream, and is no whole frame. */
static int last_frame(const struct frame_ops *ops, const uint8_t *data, size_t size, size_t limit_bytes,
                      struct frame *ret) {
    if (!ops->ends_with_stream)
        return frame_refuse(ret, -EBADMSG, "stream ended inside a frame");
    if (size > limit_bytes)
        return frame_refuse_large(ret);
    return frame_yield(ret, data, size, size);
}

int frame_next(const struct frame_ops *ops, struct frame_state *state, const uint8_t *data, size_t size, bool at_end,
               size_t limit_bytes, struct frame *ret) {
    int r = FRAME_MORE;

    assert(limit_bytes > 0 && limit_bytes <= FRAME_LIMIT_MAX);
    *ret = (struct frame){ 0 };
    if (size == 0)
        return at_end ? FRAME_END : FRAME_MORE;
    /* Waiting is pointless where the limit was lowered meanwhile. */
    if (size >= state->needed || state->needed > limit_bytes + FRAME_OVERHEAD_MAX)
        r = ops->next(state, data, size, limit_bytes, ret);
    if (r == FRAME_MORE && at_end)
        r = last_frame(ops, data, size, limit_bytes, ret);
    if (r == FRAME_PAYLOAD)
        state->needed = 0;
    return r;
}

size_t frame_take(const struct frame_ops *ops, const struct frame_state *state, size_t kept, const uint8_t *data,
                  size_t size, size_t limit_bytes) {
    size_t most = limit_bytes + FRAME_OVERHEAD_MAX;
    /* With `most` bytes every framing has a payload or an error. */
    size_t room = most > kept ? most - kept : 1, n;

    if (size == 0)
        return 0;
    size = MIN(size, room);
    if (ops->take)
        return ops->take(data, size);
    n = state->needed > kept ? state->needed - kept : 1;
    return MIN(n, size);
}

int frame_wrap(const struct frame_ops *ops, const void *data, size_t size, struct frame_wrap *ret) {
    *ret = (struct frame_wrap){ 0 };
    return ops->wrap ? ops->wrap(data, size, ret) : 0;
}
