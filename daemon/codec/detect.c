/* SPDX-License-Identifier: MIT */
#include "codec.h"

#include <ctype.h>

/* What is looked at of a header that may be text; of the formats only zlib's can be. */
#define ZLIB_HEADER_SIZE 2

/* The format whose header stands at the beginning; CODING_OFF: none can; -EAGAIN: more bytes would tell. */
static int header_at(const uint8_t *data, size_t size) {
    int found = CODING_OFF;

    for (int id = 0; id < CODING_MAX; id++) {
        const struct codec_ops *ops = codec_ops((enum coding) id);
        int r = ops ? ops->header(data, size) : -EBADMSG;

        if (r > 0)
            return id;
        if (r == -EAGAIN)
            found = -EAGAIN;
    }
    return found;
}

/* Decodes and throws away. Returns as codec_ops.decode does, never CODER_OUTPUT; *ret_output: did anything come out? */
static int trial(const struct codec_ops *ops, const uint8_t *data, size_t size, bool *ret_output) {
    struct coder_io io = { .in = data, .in_size = size };
    uint8_t nowhere[2048];
    void *state;
    int r;

    r = ops->decoder_new(&state);
    if (r < 0)
        return r;
    do {
        io.out = nowhere;
        io.out_size = sizeof(nowhere);
        r = ops->decode(state, &io);
        *ret_output |= io.out_size < sizeof(nowhere);
    } while (r == CODER_OUTPUT);
    (void) ops->decoder_free(state);
    return r;
}

/* Could somebody have typed this? */
static bool is_text(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!isprint(data[i]) && !isspace(data[i]))
            return false;
    return true;
}

int codec_detect(const void *data, size_t size, bool no_more) {
    bool output = false;
    int id, r;

    size = MIN(size, (size_t) CODEC_DETECT_BYTES);
    id = header_at(data, size);
    if (id == -EAGAIN)
        return no_more ? CODING_OFF : -EAGAIN;
    if (id == CODING_OFF)
        return CODING_OFF;
    r = trial(codec_ops((enum coding) id), data, size, &output);
    if (r == -EBADMSG)
        return CODING_OFF;
    if (r < 0)
        return r;
    if (r == CODER_END || size == CODEC_DETECT_BYTES)
        return id;
    if (!no_more)
        return -EAGAIN;
    /* Many compressors write their header first and nothing more until much was fed to them. */
    return output || !is_text(data, ZLIB_HEADER_SIZE) ? id : CODING_OFF;
}

ssize_t codec_decode_auto(struct codec_pool *p, const void *in, size_t in_size, void *out, size_t out_size,
                          enum coding *ret_id) {
    int id = header_at(in, in_size);
    ssize_t n = -EBADMSG;

    if (id > CODING_OFF)
        n = codec_decode_whole(p, (enum coding) id, in, in_size, out, out_size);
    if (n < 0 && n != -EBADMSG)
        return n;
    *ret_id = n < 0 ? CODING_OFF : (enum coding) id;
    return MAX(n, (ssize_t) 0);
}
