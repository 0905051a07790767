/* SPDX-License-Identifier: MIT */
/*
 * Compression behind one ops table, one file a codec. Streams (one coder a direction of a leg) and whole payloads
 * (datagrams; one context a worker, reused), and which format it is where nobody said so. Does not log. A coder belongs
 * to one thread.
 *
 * To add a codec: a name in common/coding.h, one file here, its row in formats.h and codec.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "coding.h"
#include "macro.h"

/* How much of what went in must come out. */
enum coder_flush {
    CODER_MORE,  /* as the codec likes */
    CODER_FLUSH, /* everything so far can be decoded by the peer; writes nothing when nothing came since the last one */
    CODER_FINISH, /* and the trailer: the stream ends */
};

enum coder_result {
    CODER_DONE,   /* all input taken; for FLUSH and FINISH: all output written */
    CODER_OUTPUT, /* the output span is full: call again with more room (the input may be all taken already) */
    CODER_END,    /* decoder: the stream's trailer was read and checked; what follows it is left in the input span */
};

/* Input and output; the calls move the positions. Memory is the caller's. */
struct coder_io {
    const uint8_t *in;
    size_t in_size;
    uint8_t *out;
    size_t out_size;
};

struct coder; /* opaque: one direction of one stream */

/* One format's functions. `state` is the codec's own. All return enum coder_result or negative errno:
 * -EBADMSG corrupt input, -ENOMEM, -EINVAL: called out of turn (input after FINISH was CODER_DONE or after CODER_END, a
 * level before FLUSH was CODER_DONE). With -EBADMSG, what could be decoded before has been written. */
struct codec_ops {
    /* Stateless. The size of the format's header if data[size] begins with one (gzip: its ten fixed bytes), -EAGAIN if
     * all of data is the beginning of a possible one (so for size 0), else -EBADMSG. */
    int (*header)(const uint8_t *data, size_t size);
    int (*encoder_new)(int level, void **ret_state);
    int (*decoder_new)(void **ret_state);
    int (*encode)(void *state, struct coder_io *io, enum coder_flush flush);
    int (*decode)(void *state, struct coder_io *io);
    /* Changes the level from the next payload on; 0 means stored blocks. Call it only after CODER_FLUSH returned
     * CODER_DONE. May write to io->out. */
    int (*set_level)(void *state, struct coder_io *io, int level);
    int (*park)(void *state); /* see coder_park() */
    bool (*parked)(const void *state);
    int (*encoder_reset)(void *state, int level); /* for whole payloads: as new */
    int (*decoder_reset)(void *state);
    void *(*encoder_free)(void *state); /* accepts NULL, returns NULL */
    void *(*decoder_free)(void *state);
    size_t (*bound)(size_t in_size); /* see codec_bound() */
};

/* NULL for CODING_OFF, which has no coders: asking for one is -EINVAL. */
const struct codec_ops *codec_ops(enum coding id);

/* Streams. Level: as coding_info() allows, 0 for stored blocks. A new encoder is parked: the large part of its memory
 * is allocated by the first coder_encode() with input, which may return -ENOMEM (no input is taken: call again). */
int encoder_new(enum coding id, int level, struct coder **ret) _must_check_;
int decoder_new(enum coding id, struct coder **ret) _must_check_;
int coder_encode(struct coder *c, struct coder_io *io, enum coder_flush flush) _must_check_;
int coder_decode(struct coder *c, struct coder_io *io) _must_check_;
int coder_set_level(struct coder *c, struct coder_io *io, int level) _must_check_;
/* Gives an encoder's context back (zlib and gzip: 256K) and keeps level, checksum and totals, about 150 bytes. The next
 * coder_encode() with input makes a fresh context, which goes on with the same stream: the peer notices nothing, only
 * matches do not reach back over it. Level changes and CODER_FINISH without input need no context. Allowed when parked
 * already, and after CODER_FLUSH returned CODER_DONE; -EINVAL before that and after CODER_FINISH. */
int coder_park(struct coder *c) _must_check_;
bool coder_parked(const struct coder *c);  /* an encoder without a context; false for a decoder */
struct coder *coder_free(struct coder *c); /* accepts NULL, returns NULL */
DEFINE_CLEANUP(struct coder *, coder_free)
enum coding coder_id(const struct coder *c);
int coder_level(const struct coder *c); /* 0 for a decoder */
/* Bytes of input taken and output written so far: what an error message names as the offset. */
uint64_t coder_in_bytes(const struct coder *c);
uint64_t coder_out_bytes(const struct coder *c);

/* Whole payloads: contexts are made at first use and kept in `struct codec_pool`, one a worker. Zero-initialise. */
struct codec_pool {
    struct coder *encoder[CODING_MAX], *decoder[CODING_MAX];
};
/* Compresses `in` into out[out_size]; an empty payload becomes an empty member. Returns the size, or -EMSGSIZE when it
 * does not fit, -EINVAL (level, CODING_OFF), -ENOMEM. */
ssize_t codec_encode_whole(struct codec_pool *p, enum coding id, int level, const void *in, size_t in_size, void *out,
                           size_t out_size) _must_check_;
/* The inverse. -EBADMSG: corrupt, truncated, empty, or bytes behind the trailer; -EMSGSIZE: more than out_size. Where that
 * was tells coder_in_bytes() of p->decoder[id], if it is not NULL. */
ssize_t codec_decode_whole(struct codec_pool *p, enum coding id, const void *in, size_t in_size, void *out,
                           size_t out_size) _must_check_;
/* Decodes a datagram that may as well be plain. It counts as compressed only if it has the header of a format and
 * decodes whole, with the right checksum and nothing behind it: *ret_id is the format then, and the size is returned.
 * Else *ret_id = CODING_OFF and 0 is returned; `out` may have been written to, and means nothing. -EMSGSIZE: it has a
 * header and would be more than out_size (what comes behind is not looked at); -ENOMEM. */
ssize_t codec_decode_auto(struct codec_pool *p, const void *in, size_t in_size, void *out, size_t out_size,
                          enum coding *ret_id) _must_check_;
void codec_pool_done(struct codec_pool *p);

/* Tells a compressed stream from a plain one by its first bytes. `data` is the stream from its beginning as far as it
 * came, of which at most CODEC_DETECT_BYTES are looked at; no_more: nothing follows in time. Returns
 * - CODING_OFF: no header of a format stands there, what follows it does not decode, or with no_more nothing came out
 *   and the header consists of printable characters ("x^");
 * - the format (CODING_ZLIB, CODING_GZIP): a right header, and what follows decodes to the right checksum, or without an
 *   error for CODEC_DETECT_BYTES or with no_more;
 * - -EAGAIN: call again with more bytes, or with no_more. Never for CODEC_DETECT_BYTES or more, nor with no_more;
 * - -ENOMEM.
 * It is a guess: text may look like a zlib header and the beginning of a block ("x^y"), so that an explicit codec is
 * safer. What it decodes is thrown away: at most 64K, in a decoder's memory (40K) that is freed again. */
#define CODEC_DETECT_BYTES 64
int codec_detect(const void *data, size_t size, bool no_more) _must_check_;

/* Upper bound, at any level, of what one coder_encode() of in_size bytes with FLUSH or FINISH can write, its repetitions
 * after CODER_OUTPUT included, when the coder is new or its last call was a FLUSH that was CODER_DONE. Also of what
 * codec_encode_whole() needs. in_size itself for CODING_OFF. */
size_t codec_bound(enum coding id, size_t in_size);
