/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/socket.h>

#include "stream_internal.h"

/* Replies of one turn are sent together; so many bytes go out at once. */
#define BATCH_BYTES ((size_t) 64 * 1024)

/* Several payloads may come of one read: their replies are worth one send. */
static bool is_batched(const struct flow *f) {
    return f->view->framing != frame_ops(FRAMING_CHUNK);
}

static int send_now(struct worker *w, struct flow *f, const struct iovec *iov, unsigned n_iov, size_t *ret_sent) {
    const struct msghdr msg = { .msg_iov = (struct iovec *) iov, .msg_iovlen = n_iov };
    ssize_t n;

    do
        n = n_iov == 1 ? send(f->client.source.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                       : sendmsg(f->client.source.fd, &msg, MSG_NOSIGNAL);
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

int stream_flush(struct worker *w, struct flow *f) {
    struct buf *out = f->out;
    struct iovec iov;
    size_t sent = 0;
    int r;

    if (!out)
        return 0;
    iov = (struct iovec){ out->data + out->start, buf_size(out) };
    r = send_now(w, f, &iov, 1, &sent);
    if (r < 0)
        return r;
    out->start += sent;
    f->blocked = buf_size(out) > 0;
    if (!f->blocked)
        f->out = pool_return(&w->pool, out);
    return 0;
}

/* Keeps what lies behind the first `skip` bytes. What finds no memory is lost. */
static int keep(struct worker *w, struct flow *f, const struct iovec *iov, unsigned n_iov, size_t skip) {
    int r = 0;

    for (unsigned i = 0; i < n_iov; i++) {
        size_t from = MIN(skip, iov[i].iov_len), size = iov[i].iov_len - from;

        if (r >= 0)
            r = pool_append(&w->pool, &f->out, (const uint8_t *) iov[i].iov_base + from, size);
        if (r < 0)
            stats_add(worker_stats(w, f->view), STAT_LOST_BYTES, size);
        skip -= from;
    }
    return r;
}

static int write_all(struct worker *w, struct flow *f, const struct iovec *iov, unsigned n_iov) {
    size_t sent = 0;
    int r;

    if (!is_batched(f) && !f->out) {
        r = send_now(w, f, iov, n_iov, &sent);
        if (r < 0)
            return r;
    }
    r = keep(w, f, iov, n_iov, sent);
    if (r < 0)
        return r;
    if (!is_batched(f))
        f->blocked = f->out != NULL;
    else if (!f->blocked && buf_size(f->out) >= BATCH_BYTES)
        return stream_flush(w, f);
    return 0;
}

int stream_write(struct worker *w, struct flow *f, const void *data, size_t size) {
    const struct iovec iov = { (void *) data, size };

    return size > 0 ? write_all(w, f, &iov, 1) : 0;
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

/* The reply is one more piece of the flow's compressed stream. */
static int reply_in_stream(struct worker *w, struct flow *f, const struct iovec *iov, unsigned n_iov) {
    bool rested = !f->coding.encoder || coder_parked(f->coding.encoder);
    int r = 0;

    if (!f->coding.encoder)
        r = encoder_new(f->encode_id, flow_setting(f, SETTING_COMPRESSION).coding.level, &f->coding.encoder);
    for (unsigned i = 0; i < n_iov && r >= 0; i++) {
        bool last = i + 1 == n_iov && !is_batched(f);

        r = encode(w, f, iov[i].iov_base, iov[i].iov_len, last ? CODER_FLUSH : CODER_MORE);
    }
    f->encode_dirty = is_batched(f);
    if (rested)
        stream_arm_timer(w, f);
    return r;
}

/* The reply is a compressed whole of its own. */
static int reply_whole(struct worker *w, struct flow *f, const struct iovec *iov, unsigned n_iov) {
    size_t size = 0, room;
    uint8_t *plain, *out;
    ssize_t n;

    for (unsigned i = 0; i < n_iov; i++)
        size += iov[i].iov_len;
    room = codec_bound(f->encode_id, size);
    out = worker_scratch(w, SCRATCH_ENCODED, room);
    plain = n_iov == 1 ? iov->iov_base : worker_scratch(w, SCRATCH_FRAMED, size);
    if (!out || !plain)
        return -ENOMEM;
    for (unsigned i = 0, at = 0; i < n_iov && n_iov > 1; at += iov[i++].iov_len)
        memcpy(plain + at, iov[i].iov_base, iov[i].iov_len);
    n = codec_encode_whole(&w->codecs, f->encode_id, flow_setting(f, SETTING_COMPRESSION).coding.level, plain, size,
                           out, room);
    return n < 0 ? (int) n : stream_write(w, f, out, (size_t) n);
}

/* What the framing puts around the reply; returns the number of pieces. */
static unsigned frame(const struct flow *f, const struct span *span, struct frame_wrap *wrap,
                      struct iovec iov[static 3]) {
    unsigned n = 0;

    if (wrap->prefix_size > 0)
        iov[n++] = (struct iovec){ wrap->prefix, wrap->prefix_size };
    iov[n++] = (struct iovec){ (void *) span->data, span->size };
    if (wrap->suffix_size > 0)
        iov[n++] = (struct iovec){ wrap->suffix, wrap->suffix_size };
    return n;
}

int stream_reply(struct worker *w, struct flow *f, const struct span *span) {
    struct stats *stats = worker_stats(w, f->view);
    struct frame_wrap wrap = { 0 };
    struct iovec iov[3];
    unsigned n_iov;

    /* What a target answers can be framed: fixed replies were checked with the configuration, echoes came in a frame. */
    if (frame_wrap(f->view->framing, span->data, span->size, &wrap) < 0)
        return -EPROTO;
    stats_add(stats, STAT_REPLIES, 1);
    stats_add(stats, STAT_TX_PAYLOAD_BYTES, span->size);
    f->tx_payload_bytes += span->size;
    n_iov = frame(f, span, &wrap, iov);
    if (f->encode_id == CODING_OFF)
        return write_all(w, f, iov, n_iov);
    return f->unit_payload ? reply_whole(w, f, iov, n_iov) : reply_in_stream(w, f, iov, n_iov);
}

int stream_settle(struct worker *w, struct flow *f) {
    int r = 0;

    if (f->encode_dirty)
        r = encode(w, f, NULL, 0, CODER_FLUSH);
    f->encode_dirty = false;
    if (r < 0 || f->blocked)
        return r;
    return stream_flush(w, f);
}

/* A compressed stream of no reply: the peer is right to expect a header and a trailer. */
static bool is_empty_stream(const struct flow *f) {
    return f->encode_id != CODING_OFF && !f->unit_payload && f->view->target->ops->replies && !f->coding.encoder &&
           f->client.tx_bytes == 0 && !f->out;
}

int stream_write_trailer(struct worker *w, struct flow *f) {
    int r = 0;

    if (is_empty_stream(f))
        r = encoder_new(f->encode_id, flow_setting(f, SETTING_COMPRESSION).coding.level, &f->coding.encoder);
    if (r >= 0 && f->coding.encoder)
        r = encode(w, f, NULL, 0, CODER_FINISH);
    f->encode_dirty = false;
    f->coding.encoder = coder_free(f->coding.encoder);
    return r < 0 || f->blocked ? r : stream_flush(w, f);
}
