/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <limits.h>
#include <stdbool.h>

#define ZLIB_CONST
#include <zlib.h>

#include "formats.h"
#include "wrap.h"

#define WINDOW_BITS 15
#define GZIP_BITS 16 /* added to the window bits of a decoder: the gzip format instead of zlib's */
#define MEM_LEVEL 8  /* zlib_bound() holds for this one and above */

/* The last block of a stream when nothing is left to say: fixed codes, end of block (RFC 1951, 3.2.6). */
static const uint8_t last_block[] = { 0x03, 0x00 };

/* The header, or all that follows the last flush marker. */
#define QUEUE_SIZE WRAP_HEADER_MAX
static_assert(sizeof(last_block) + WRAP_TRAILER_MAX <= QUEUE_SIZE, "the trailer fits into the queue");

/* Our own header, checksum and trailer around raw deflate: so its context can be given back between two flushes. */
struct encoder {
    const struct wrap *wrap;
    z_stream *z; /* NULL before the first input and while parked */
    uint32_t checksum, size;
    uint8_t queue[QUEUE_SIZE]; /* of what goes around, not yet written */
    uint8_t queue_at, queue_end;
    int8_t level;
    bool begun; /* the header is queued or written */
    bool dirty; /* input was taken that no flush marker follows yet */
    bool ended; /* the last block is written, the trailer queued */
};

struct decoder {
    z_stream z;
    bool ended;
};

static int errno_of(int zlib_result) {
    switch (zlib_result) {
    case Z_OK:
    case Z_STREAM_END:
    case Z_BUF_ERROR: /* no progress was possible: not an error */
        return 0;
    case Z_MEM_ERROR:
        return -ENOMEM;
    case Z_DATA_ERROR:
    case Z_NEED_DICT:
        return -EBADMSG;
    default:
        return -EINVAL;
    }
}

/* zlib counts spans in unsigned int, and refuses NULL even for an output of no size. */
static void lend(z_stream *z, const struct coder_io *io) {
    static uint8_t nowhere;

    z->next_in = io->in;
    z->avail_in = (uInt) MIN(io->in_size, (size_t) UINT_MAX);
    z->next_out = io->out ? io->out : &nowhere;
    z->avail_out = (uInt) MIN(io->out_size, (size_t) UINT_MAX);
}

/* Moves the spans by what zlib took and wrote since lend(). Returns the size of the input taken. */
static size_t settle(const z_stream *z, struct coder_io *io) {
    size_t taken = MIN(io->in_size, (size_t) UINT_MAX) - z->avail_in;
    size_t written = MIN(io->out_size, (size_t) UINT_MAX) - z->avail_out;

    if (taken > 0)
        io->in += taken;
    io->in_size -= taken;
    if (written > 0)
        io->out += written;
    io->out_size -= written;
    return taken;
}

static z_stream *deflate_free(z_stream *z) {
    if (z)
        (void) deflateEnd(z);
    free(z);
    return NULL;
}

static int deflate_new(int level, z_stream **ret) {
    z_stream *z = calloc(1, sizeof(*z));
    int r;

    if (!z)
        return -ENOMEM;
    r = errno_of(deflateInit2(z, level, Z_DEFLATED, -WINDOW_BITS, MEM_LEVEL, Z_DEFAULT_STRATEGY));
    if (r < 0) {
        free(z);
        return r;
    }
    *ret = z;
    return 0;
}

static int encoder_make(const struct wrap *wrap, int level, void **ret_state) {
    struct encoder *e = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    e->wrap = wrap;
    e->checksum = wrap->checksum_of_nothing;
    e->level = (int8_t) level;
    *ret_state = e;
    return 0;
}

static int zlib_encoder_new(int level, void **ret_state) {
    return encoder_make(&wrap_zlib, level, ret_state);
}

static int gzip_encoder_new(int level, void **ret_state) {
    return encoder_make(&wrap_gzip, level, ret_state);
}

static void *zlib_encoder_free(void *state) {
    struct encoder *e = state;

    if (e)
        (void) deflate_free(e->z);
    free(e);
    return NULL;
}

static int decoder_make(int window_bits, void **ret_state) {
    struct decoder *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    r = errno_of(inflateInit2(&d->z, window_bits));
    if (r < 0) {
        free(d);
        return r;
    }
    *ret_state = d;
    return 0;
}

static int zlib_decoder_new(void **ret_state) {
    return decoder_make(WINDOW_BITS, ret_state);
}

static int gzip_decoder_new(void **ret_state) {
    return decoder_make(WINDOW_BITS + GZIP_BITS, ret_state);
}

static void *zlib_decoder_free(void *state) {
    struct decoder *d = state;

    if (d)
        (void) inflateEnd(&d->z);
    free(d);
    return NULL;
}

static int write_queued(struct encoder *e, struct coder_io *io) {
    size_t n = MIN((size_t) (e->queue_end - e->queue_at), io->out_size);

    if (n > 0) {
        memcpy(io->out, e->queue + e->queue_at, n);
        io->out += n;
        io->out_size -= n;
        e->queue_at += (uint8_t) n;
    }
    if (e->queue_at < e->queue_end)
        return CODER_OUTPUT;
    e->queue_at = e->queue_end = 0;
    return CODER_DONE;
}

static void queue_header(struct encoder *e) {
    if (!e->begun)
        e->queue_end = (uint8_t) e->wrap->header(e->queue, e->level);
    e->begun = true;
}

static void queue_trailer(struct encoder *e) {
    e->queue_end += (uint8_t) e->wrap->trailer(e->queue + e->queue_end, e->checksum, e->size);
}

static int deflate_once(struct encoder *e, struct coder_io *io, int flush) {
    bool last = io->in_size <= UINT_MAX;
    const uint8_t *in = io->in;
    size_t taken;
    int z;

    lend(e->z, io);
    z = deflate(e->z, last ? flush : Z_NO_FLUSH);
    taken = settle(e->z, io);
    if (taken > 0) {
        e->checksum = (uint32_t) e->wrap->checksum(e->checksum, in, taken);
        e->size += (uint32_t) taken;
        e->dirty = true;
    }
    e->ended = z == Z_STREAM_END;
    return errno_of(z);
}

/* Calls at least once, so that what the codec holds moves even without input. */
static int deflate_all(struct encoder *e, struct coder_io *io, int flush) {
    int r;

    do {
        if (io->out_size == 0)
            return CODER_OUTPUT;
        r = e->z ? 0 : deflate_new(e->level, &e->z);
        if (r < 0)
            return r;
        r = deflate_once(e, io, flush);
        if (r < 0)
            return r;
    } while (io->in_size > 0 || (flush == Z_FINISH && !e->ended));
    return CODER_DONE;
}

static bool has_pending(struct encoder *e) {
    unsigned pending = 0;

    return e->z && deflatePending(e->z, &pending, Z_NULL) == Z_OK && pending > 0;
}

/* All that was taken is written, up to the byte: another deflate may go on from here. */
static bool is_clean(struct encoder *e) {
    return !e->dirty && e->queue_at == e->queue_end && !has_pending(e);
}

/* Z_SYNC_FLUSH with little room is a trap: after an output that is just full zlib cannot be asked whether the marker
 * is written already, and writes another one each time. So the blocks are completed first with Z_BLOCK, which writes
 * no marker; then one Z_SYNC_FLUSH has only the marker to write, which zlib keeps as pending output if need be. */
static int encode_flush(struct encoder *e, struct coder_io *io) {
    int r;

    if (e->dirty || io->in_size > 0) {
        r = deflate_all(e, io, Z_BLOCK);
        if (r != CODER_DONE)
            return r;
        if (io->out_size == 0)
            return CODER_OUTPUT;
        r = deflate_once(e, io, Z_SYNC_FLUSH);
        if (r < 0)
            return r;
        e->dirty = false;
    } else if (has_pending(e) && io->out_size > 0) {
        r = deflate_once(e, io, Z_NO_FLUSH);
        if (r < 0)
            return r;
    }
    return has_pending(e) ? CODER_OUTPUT : CODER_DONE;
}

/* Without anything new to say this needs no context: thousands of parked streams may end at once. */
static int encode_finish(struct encoder *e, struct coder_io *io) {
    int r;

    if (io->in_size == 0 && is_clean(e)) {
        memcpy(e->queue, last_block, sizeof(last_block));
        e->queue_end = sizeof(last_block);
        e->ended = true;
    } else {
        e->dirty = true; /* even without input, from here on the last block is deflate's */
        r = deflate_all(e, io, Z_FINISH);
        if (r != CODER_DONE)
            return r;
    }
    queue_trailer(e);
    return write_queued(e, io);
}

static int zlib_encode(void *state, struct coder_io *io, enum coder_flush flush) {
    struct encoder *e = state;
    int r;

    if (e->ended && io->in_size > 0)
        return -EINVAL;
    if (io->in_size > 0 || flush == CODER_FINISH)
        queue_header(e);
    r = write_queued(e, io);
    if (r != CODER_DONE || e->ended)
        return r;
    switch (flush) {
    case CODER_MORE:
        return io->in_size > 0 ? deflate_all(e, io, Z_NO_FLUSH) : CODER_DONE;
    case CODER_FLUSH:
        return encode_flush(e, io);
    case CODER_FINISH:
        return encode_finish(e, io);
    }
    return -EINVAL;
}

static int zlib_set_level(void *state, struct coder_io *io, int level) {
    struct encoder *e = state;
    struct coder_io only_out = { .out = io->out, .out_size = io->out_size };
    int z = Z_OK;

    if (e->ended || !is_clean(e))
        return -EINVAL;
    if (e->z) {
        lend(e->z, &only_out);
        z = deflateParams(e->z, level, Z_DEFAULT_STRATEGY);
        (void) settle(e->z, &only_out);
        io->out = only_out.out;
        io->out_size = only_out.out_size;
    }
    if (z == Z_BUF_ERROR)
        return CODER_OUTPUT;
    if (z != Z_OK)
        return errno_of(z);
    e->level = (int8_t) level;
    return CODER_DONE;
}

static int zlib_park(void *state) {
    struct encoder *e = state;

    if (e->ended || !is_clean(e))
        return -EINVAL;
    e->z = deflate_free(e->z);
    return 0;
}

static bool zlib_parked(const void *state) {
    const struct encoder *e = state;

    return !e->z;
}

static int zlib_encoder_reset(void *state, int level) {
    struct encoder *e = state;
    struct coder_io none = { 0 };

    if (e->z && deflateReset(e->z) != Z_OK)
        return -EINVAL;
    e->checksum = e->wrap->checksum_of_nothing;
    e->size = 0;
    e->queue_at = e->queue_end = 0;
    e->begun = e->dirty = e->ended = false;
    return zlib_set_level(e, &none, level) == CODER_DONE ? 0 : -EINVAL;
}

static int zlib_decode(void *state, struct coder_io *io) {
    struct decoder *d = state;
    int z, r;

    if (d->ended)
        return -EINVAL;
    /* The first call is made without room too: the trailer needs none. */
    do {
        lend(&d->z, io);
        z = inflate(&d->z, Z_NO_FLUSH);
        (void) settle(&d->z, io);
        r = errno_of(z);
        if (r < 0)
            return r;
        if (z == Z_STREAM_END) {
            d->ended = true;
            return CODER_END;
        }
    } while (io->in_size > 0 && io->out_size > 0);
    return io->out_size > 0 ? CODER_DONE : CODER_OUTPUT;
}

static int zlib_decoder_reset(void *state) {
    struct decoder *d = state;

    d->ended = false;
    return errno_of(inflateReset(&d->z));
}

/* Blocks that do not shrink are stored: 5 bytes for each 16383 or more of input. The constant covers a started byte,
 * gzip's header and trailer (18), the last block's header and the flush marker (6), with room to spare. */
static size_t zlib_bound(size_t in_size) {
    return in_size + (in_size >> 11) + 64;
}

#define COMMON_ROW                                                                                                     \
    .encode = zlib_encode, .decode = zlib_decode, .set_level = zlib_set_level, .park = zlib_park,                      \
    .parked = zlib_parked, .encoder_reset = zlib_encoder_reset, .decoder_reset = zlib_decoder_reset,                   \
    .encoder_free = zlib_encoder_free, .decoder_free = zlib_decoder_free, .bound = zlib_bound

const struct codec_ops codec_zlib = {
    .header = wrap_find_zlib, .encoder_new = zlib_encoder_new, .decoder_new = zlib_decoder_new, COMMON_ROW
};
const struct codec_ops codec_gzip = {
    .header = wrap_find_gzip, .encoder_new = gzip_encoder_new, .decoder_new = gzip_decoder_new, COMMON_ROW
};
