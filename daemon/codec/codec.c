/* SPDX-License-Identifier: MIT */
#include "codec.h"

#include <assert.h>

#include "formats.h"

struct coder {
    enum coding id;
    const struct codec_ops *ops;
    void *state;
    bool encodes;
    int level;
    uint64_t in_bytes, out_bytes;
};

static const struct codec_ops *const table[CODING_MAX] = {
    [CODING_ZLIB] = &codec_zlib,
    [CODING_GZIP] = &codec_gzip,
};

const struct codec_ops *codec_ops(enum coding id) {
    return (int) id >= 0 && id < CODING_MAX ? table[id] : NULL;
}

static bool level_is_valid(enum coding id, int level) {
    const struct coding_info *info = coding_info(id);

    return level == 0 || (level >= info->level_min && level <= info->level_max);
}

static int coder_make(enum coding id, struct coder **ret) {
    const struct codec_ops *ops = codec_ops(id);
    struct coder *c;

    if (!ops)
        return -EINVAL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->id = id;
    c->ops = ops;
    *ret = c;
    return 0;
}

int encoder_new(enum coding id, int level, struct coder **ret) {
    _cleanup_(coder_freep) struct coder *c = NULL;
    int r;

    r = coder_make(id, &c);
    if (r < 0)
        return r;
    if (!level_is_valid(id, level))
        return -EINVAL;
    c->encodes = true;
    c->level = level;
    r = c->ops->encoder_new(level, &c->state);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

int decoder_new(enum coding id, struct coder **ret) {
    _cleanup_(coder_freep) struct coder *c = NULL;
    int r;

    r = coder_make(id, &c);
    if (r < 0)
        return r;
    r = c->ops->decoder_new(&c->state);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

struct coder *coder_free(struct coder *c) {
    if (!c)
        return NULL;
    if (c->encodes)
        c->ops->encoder_free(c->state);
    else
        c->ops->decoder_free(c->state);
    free(c);
    return NULL;
}

static void count(struct coder *c, const struct coder_io *before, const struct coder_io *after) {
    c->in_bytes += before->in_size - after->in_size;
    c->out_bytes += before->out_size - after->out_size;
}

int coder_encode(struct coder *c, struct coder_io *io, enum coder_flush flush) {
    struct coder_io before = *io;
    int r;

    assert(c->encodes);
    r = c->ops->encode(c->state, io, flush);
    count(c, &before, io);
    return r;
}

int coder_decode(struct coder *c, struct coder_io *io) {
    struct coder_io before = *io;
    int r;

    assert(!c->encodes);
    r = c->ops->decode(c->state, io);
    count(c, &before, io);
    return r;
}

int coder_set_level(struct coder *c, struct coder_io *io, int level) {
    struct coder_io before = *io;
    int r;

    assert(c->encodes);
    if (!level_is_valid(c->id, level))
        return -EINVAL;
    r = c->ops->set_level(c->state, io, level);
    count(c, &before, io);
    if (r == CODER_DONE)
        c->level = level;
    return r;
}

int coder_park(struct coder *c) {
    assert(c->encodes);
    return c->ops->park(c->state);
}

bool coder_parked(const struct coder *c) {
    return c->encodes && c->ops->parked(c->state);
}

enum coding coder_id(const struct coder *c) {
    return c->id;
}

int coder_level(const struct coder *c) {
    return c->level;
}

uint64_t coder_in_bytes(const struct coder *c) {
    return c->in_bytes;
}

uint64_t coder_out_bytes(const struct coder *c) {
    return c->out_bytes;
}

/* Makes a coder as new, at `level` if it encodes. One that cannot be reset is dropped from its `slot`. */
static int coder_renew(struct coder **slot, int level) {
    struct coder *c = *slot;
    int r = c->encodes ? c->ops->encoder_reset(c->state, level) : c->ops->decoder_reset(c->state);

    if (r < 0) {
        *slot = coder_free(c);
        return r;
    }
    c->level = level;
    c->in_bytes = c->out_bytes = 0;
    return 0;
}

static int pool_encoder(struct codec_pool *p, enum coding id, int level, struct coder **ret) {
    int r;

    if (!codec_ops(id) || !level_is_valid(id, level))
        return -EINVAL;
    r = p->encoder[id] ? coder_renew(&p->encoder[id], level) : encoder_new(id, level, &p->encoder[id]);
    if (r < 0)
        return r;
    *ret = p->encoder[id];
    return 0;
}

static int pool_decoder(struct codec_pool *p, enum coding id, struct coder **ret) {
    int r;

    if (!codec_ops(id))
        return -EINVAL;
    r = p->decoder[id] ? coder_renew(&p->decoder[id], 0) : decoder_new(id, &p->decoder[id]);
    if (r < 0)
        return r;
    *ret = p->decoder[id];
    return 0;
}

ssize_t codec_encode_whole(struct codec_pool *p, enum coding id, int level, const void *in, size_t in_size, void *out,
                           size_t out_size) {
    struct coder_io io = { .in = in, .in_size = in_size, .out = out, .out_size = out_size };
    struct coder *c;
    int r;

    r = pool_encoder(p, id, level, &c);
    if (r < 0)
        return r;
    r = coder_encode(c, &io, CODER_FINISH);
    if (r < 0)
        return r;
    return r == CODER_DONE ? (ssize_t) (out_size - io.out_size) : -EMSGSIZE;
}

ssize_t codec_decode_whole(struct codec_pool *p, enum coding id, const void *in, size_t in_size, void *out,
                           size_t out_size) {
    struct coder_io io = { .in = in, .in_size = in_size, .out = out, .out_size = out_size };
    size_t size;
    struct coder *c;
    uint8_t surplus;
    int r;

    r = pool_decoder(p, id, &c);
    if (r < 0)
        return r;
    r = coder_decode(c, &io);
    size = out_size - io.out_size;
    if (r == CODER_OUTPUT) {
        /* Full: one byte of room more tells "too large" from "truncated just here". */
        io.out = &surplus;
        io.out_size = 1;
        r = coder_decode(c, &io);
        if (r >= 0 && io.out_size == 0)
            return -EMSGSIZE;
    }
    if (r < 0)
        return r;
    return r == CODER_END && io.in_size == 0 ? (ssize_t) size : -EBADMSG;
}

void codec_pool_done(struct codec_pool *p) {
    for (size_t i = 0; i < CODING_MAX; i++) {
        p->encoder[i] = coder_free(p->encoder[i]);
        p->decoder[i] = coder_free(p->decoder[i]);
    }
}

size_t codec_bound(enum coding id, size_t in_size) {
    const struct codec_ops *ops = codec_ops(id);

    return ops ? ops->bound(in_size) : in_size;
}
