/* SPDX-License-Identifier: MIT */
#include "recode.h"

#include <errno.h>

#include "members.h"

#define BLOCK_BYTES ((size_t) 64 * 1024)
/* One flow that inflates without end must not hold up the others. */
#define BLOCKS_PER_RUN 8

static void way_init(struct way_coding *c, const struct settings *from, const struct settings *to) {
    c->decode_id = from->v[SETTING_DECOMPRESSION].coding.id;
    c->encode_id = to->v[SETTING_COMPRESSION].coding.id;
}

int recode_new(const struct effective *set, struct relay_coding **ret) {
    struct relay_coding c = { 0 };

    way_init(&c.to_upstream, &set->settings, &set->upstream);
    way_init(&c.to_client, &set->upstream, &set->settings);
    *ret = NULL;
    if (c.to_upstream.decode_id == CODING_OFF && c.to_upstream.encode_id == CODING_OFF &&
        c.to_client.decode_id == CODING_OFF && c.to_client.encode_id == CODING_OFF)
        return 0;
    *ret = malloc(sizeof(c));
    if (!*ret)
        return -ENOMEM;
    **ret = c;
    return 0;
}

static uint64_t way_done(struct worker *w, struct way_coding *c) {
    uint64_t lost = buf_size(c->in);

    coder_free(c->coder.encoder);
    coder_free(c->coder.decoder);
    pool_return(&w->pool, c->in);
    return lost;
}

struct relay_coding *recode_free(struct worker *w, struct relay_coding *c, uint64_t *ret_lost) {
    *ret_lost = 0;
    if (c)
        *ret_lost = way_done(w, &c->to_upstream) + way_done(w, &c->to_client);
    free(c);
    return NULL;
}

/* ---- out ---- */

struct out {
    struct worker *w;
    struct way_coding *c;
    const struct settings *to;
    recode_write_fn write;
    void *userdata;
    uint64_t received; /* of the leg's bytes, up to the end of what is decoded now */
    bool blocked;
};

static int put(struct out *o, const void *data, size_t size) {
    int r = size > 0 ? o->write(o->userdata, data, size) : 0;

    o->blocked |= r == 1;
    return MIN(r, 0);
}

static int encode(struct out *o, const void *data, size_t size, enum coder_flush flush) {
    size_t room = codec_bound(o->c->encode_id, size);
    struct coder_io io = { .in = data, .in_size = size };
    uint8_t *block = worker_scratch(o->w, SCRATCH_ENCODED, room);
    int r, result;

    if (!block)
        return -ENOMEM;
    if (!o->c->coder.encoder) {
        r = encoder_new(o->c->encode_id, o->to->v[SETTING_COMPRESSION].coding.level, &o->c->coder.encoder);
        if (r < 0)
            return r;
    }
    do {
        io.out = block;
        io.out_size = room;
        result = coder_encode(o->c->coder.encoder, &io, flush);
        r = result < 0 ? result : put(o, block, room - io.out_size);
    } while (r >= 0 && result == CODER_OUTPUT);
    return r;
}

static int pass(struct out *o, const void *data, size_t size) {
    if (o->c->encode_id == CODING_OFF)
        return put(o, data, size);
    return size > 0 ? encode(o, data, size, CODER_FLUSH) : 0;
}

/* ---- in ---- */

static int refuse(const char **ret_reason, const char *reason) {
    *ret_reason = reason;
    return -EBADMSG;
}

/* 1: there may be more, 0: the input is used up. */
static int decode_block(struct out *o, const struct settings *from, struct coder_io *io, const char **ret_reason) {
    uint8_t *block = worker_scratch(o->w, SCRATCH_DECODED, BLOCK_BYTES);
    int r = members_next(&o->c->coder, o->c->decode_id), result;
    const char *excess;

    if (!block)
        return -ENOMEM;
    if (r < 0)
        return r;
    io->out = block;
    io->out_size = BLOCK_BYTES;
    result = coder_decode(o->c->coder.decoder, io);
    o->c->coder.member_ended = result == CODER_END;
    excess = members_exceed(&o->c->coder, from, o->received - io->in_size);
    if (excess)
        return refuse(ret_reason, excess);
    r = pass(o, block, BLOCK_BYTES - io->out_size);
    if (r < 0)
        return r;
    if (result == -EBADMSG)
        return refuse(ret_reason, "corrupt");
    return result < 0 ? result : result == CODER_OUTPUT || io->in_size > 0;
}

/* A relay does not wait for bytes to decide on: what the first read brings must do. */
static int decide(struct way_coding *c, const uint8_t *data, size_t size) {
    int id;

    if (c->decode_id != CODING_AUTO || size == 0)
        return 0;
    id = codec_detect(data, size, true);
    if (id >= 0)
        c->decode_id = (uint8_t) id;
    return MIN(id, 0);
}

static int feed(struct out *o, const struct settings *from, struct coder_io *io, const char **ret_reason) {
    int more = io->in_size > 0, r = decide(o->c, io->in, io->in_size);

    if (r < 0)
        return r;
    if (o->c->decode_id == CODING_OFF || o->c->decode_id == CODING_AUTO) {
        r = pass(o, io->in, io->in_size);
        io->in_size = 0;
        return r;
    }
    for (unsigned i = 0; i < BLOCKS_PER_RUN && more == 1 && !o->blocked; i++)
        more = decode_block(o, from, io, ret_reason);
    return MIN(more, 0);
}

static int feed_kept(struct out *o, const struct settings *from, const char **ret_reason) {
    struct buf *in = o->c->in;
    struct coder_io io = { .in = in->data + in->start, .in_size = buf_size(in) };
    int r = feed(o, from, &io, ret_reason);

    in->start = in->end - io.in_size;
    if (io.in_size == 0)
        o->c->in = pool_return(&o->w->pool, in);
    return r;
}

static int finish(struct out *o, const char **ret_reason) {
    struct way_coding *c = o->c;

    if (c->finished)
        return 0;
    c->finished = true;
    if (!c->cut && members_truncated(&c->coder))
        return refuse(ret_reason, "truncated");
    return c->encode_id == CODING_OFF ? 0 : encode(o, NULL, 0, CODER_FINISH);
}

int recode_run(struct worker *w, struct way_coding *c, const struct settings *from, const struct settings *to,
               const uint8_t *data, size_t size, uint64_t received, bool at_end, recode_write_fn write, void *userdata,
               const char **ret_reason) {
    struct out o = { w, c, to, write, userdata, .received = received - size };
    struct coder_io io = { .in = data, .in_size = size };
    int r = 0;

    if (c->in)
        r = feed_kept(&o, from, ret_reason);
    o.received = received;
    if (r >= 0 && !c->in && !o.blocked && size > 0)
        r = feed(&o, from, &io, ret_reason);
    if (r >= 0)
        r = pool_append(&w->pool, &c->in, io.in, io.in_size);
    if (r >= 0 && at_end && !c->in)
        r = finish(&o, ret_reason);
    return r;
}

void recode_apply(struct worker *w, struct way_coding *c, const union setting_value *v, recode_write_fn write,
                  void *userdata, struct qos_result *ret) {
    uint8_t block[64];
    struct coder_io io = { .out = block, .out_size = sizeof(block) };
    enum coding id = v->coding.id;
    int r;

    if (!c || c->encode_id != id) {
        if (!c || c->encode_id == CODING_OFF || id != CODING_OFF) {
            *ret = (struct qos_result){ .outcome = QOS_DEFERRED,
                                        .reason = "the format of a relayed flow is fixed when it begins" };
            return;
        }
        ret->reason = "the stream keeps its format and carries stored blocks from here on";
    }
    if (!c->coder.encoder)
        return; /* the first byte takes the level */
    r = coder_set_level(c->coder.encoder, &io, id == CODING_OFF ? 0 : v->coding.level);
    if (r >= 0 && io.out > block)
        r = write(userdata, block, (size_t) (io.out - block));
    if (r < 0)
        *ret = (struct qos_result){ .outcome = QOS_FAILED, .error = r };
}
