/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/socket.h>

#include "stream_internal.h"

/* Decoded blocks a turn: one flow that inflates without end must not hold up the others. */
#define DECODE_BLOCKS_PER_TURN 8

static size_t io_buffer(const struct flow *f) {
    return (size_t) stream_setting(f, SETTING_IO_BUFFER).number;
}

static int send_now(struct worker *w, struct flow *f, const void *data, size_t size, size_t *ret_sent) {
    ssize_t n;

    do
        n = send(f->client.source.fd, data, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
            return -errno;
        n = 0;
    }
    if (n > 0) {
        f->client.tx_bytes += (size_t) n;
        f->active_usec = w->loop.now_usec;
        stats_add(worker_stats(w, f->view), STAT_TX_BYTES, (uint64_t) n);
    }
    *ret_sent = (size_t) n;
    return 0;
}

int stream_write(struct worker *w, struct flow *f, const void *data, size_t size) {
    size_t sent = 0;
    int r;

    if (!stream_blocked(f) && size > 0) {
        r = send_now(w, f, data, size, &sent);
        if (r < 0)
            return r;
    }
    return pool_append(&w->pool, &f->client.out, (const uint8_t *) data + sent, size - sent);
}

int stream_flush(struct worker *w, struct flow *f) {
    struct buf *out = f->client.out;
    size_t sent;
    int r;

    if (!out)
        return 0;
    r = send_now(w, f, out->data + out->start, buf_size(out), &sent);
    if (r < 0)
        return r;
    out->start += sent;
    if (buf_size(out) == 0)
        f->client.out = pool_return(&w->pool, out);
    return 0;
}

/* Compresses into the scratch block until the codec has no more to say, and writes it. */
static int encode(struct worker *w, struct flow *f, const void *data, size_t size, enum coder_flush flush) {
    size_t room = codec_bound(f->encode_id, size);
    uint8_t *out = worker_scratch(w, SCRATCH_ENCODED, room);
    struct coder_io io = { .in = data, .in_size = size };
    int r, result;

    if (!out)
        return -ENOMEM;
    do {
        io.out = out;
        io.out_size = room;
        result = coder_encode(f->coding.encoder, &io, flush);
        if (result < 0)
            return result;
        r = stream_write(w, f, out, room - io.out_size);
        if (r < 0)
            return r;
    } while (result == CODER_OUTPUT);
    return 0;
}

static int reply(struct worker *w, struct flow *f, const struct span *span) {
    union setting_value compression = stream_setting(f, SETTING_COMPRESSION);
    int r;

    stats_add(worker_stats(w, f->view), STAT_REPLIES, 1);
    stats_add(worker_stats(w, f->view), STAT_TX_PAYLOAD_BYTES, span->size);
    f->client.tx_payload_bytes += span->size;
    if (f->encode_id == CODING_OFF)
        return stream_write(w, f, span->data, span->size);
    if (!f->coding.encoder) {
        r = encoder_new(f->encode_id, compression.coding.level, &f->coding.encoder);
        if (r < 0)
            return r;
    }
    return encode(w, f, span->data, span->size, CODER_FLUSH);
}

int stream_write_trailer(struct worker *w, struct flow *f) {
    int r = 0;

    if (f->coding.encoder)
        r = encode(w, f, NULL, 0, CODER_FINISH);
    f->coding.encoder = coder_free(f->coding.encoder);
    return r;
}

static int deliver(struct worker *w, struct flow *f, const void *data, size_t size) {
    struct stats *stats = worker_stats(w, f->view);
    const struct payload payload = {
        .span = { data, size },
        .listener = f->view->listener->name,
        .peer = &f->peer,
        .flow = &f->id,
    };
    struct span answer = { 0 };

    f->payloads++;
    f->client.rx_payload_bytes += size;
    stats_add(stats, STAT_PAYLOADS, 1);
    stats_add(stats, STAT_RX_PAYLOAD_BYTES, size);
    f->view->target->ops->payload(f->view->target->state, stats, &payload, &answer);
    return answer.data ? reply(w, f, &answer) : 0;
}

/* One decoder a member: consecutive members are one stream of payloads. */
static int next_member(struct flow *f) {
    if (f->coding.decoder && !f->coding.member_ended)
        return 0;
    f->coding.decoder = coder_free(f->coding.decoder);
    f->coding.member_ended = false;
    return decoder_new(f->decode_id, &f->coding.decoder);
}

/* Decodes one block. 1: there may be more, 0: the input is used up, or an error. */
static int decode_block(struct worker *w, struct flow *f, struct coder_io *io) {
    size_t room = io_buffer(f);
    uint8_t *out = worker_scratch(w, SCRATCH_DECODED, room);
    int r, result;

    if (!out)
        return -ENOMEM;
    r = next_member(f);
    if (r < 0)
        return r;
    io->out = out;
    io->out_size = room;
    result = coder_decode(f->coding.decoder, io);
    f->coding.member_ended = result == CODER_END;
    /* What came out before a fault was received all the same. */
    if (io->out_size < room) {
        r = deliver(w, f, out, room - io->out_size);
        if (r < 0)
            return r;
    }
    if (result < 0)
        return result;
    return result == CODER_OUTPUT || io->in_size > 0;
}

/* Decodes until the input is used up, the output is blocked, or the turn is over. The rest is kept. */
static int decode(struct worker *w, struct flow *f, struct coder_io *io) {
    int more = 1;

    for (unsigned i = 0; more == 1 && i < DECODE_BLOCKS_PER_TURN && !stream_blocked(f); i++)
        more = decode_block(w, f, io);
    if (more < 0)
        return more;
    f->decode_pending = more == 1;
    if (f->decode_pending && !stream_blocked(f))
        worker_ready(w, f);
    return 0;
}

int stream_feed(struct worker *w, struct flow *f, const uint8_t *data, size_t size) {
    struct coder_io io = { .in = data, .in_size = size };
    int r;

    if (f->decode_id == CODING_OFF)
        return deliver(w, f, data, size);
    r = decode(w, f, &io);
    return r < 0 ? r : pool_append(&w->pool, &f->client.in, io.in, io.in_size);
}

int stream_feed_kept(struct worker *w, struct flow *f) {
    struct buf *in = f->client.in;
    struct coder_io io = { 0 };
    int r;

    if (in) {
        io.in = in->data + in->start;
        io.in_size = buf_size(in);
    }
    r = decode(w, f, &io);
    if (in) {
        in->start = in->end - io.in_size;
        if (io.in_size == 0)
            f->client.in = pool_return(&w->pool, in);
    }
    return r;
}
