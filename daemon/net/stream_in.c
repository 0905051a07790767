/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "members.h"
#include "stream_internal.h"

/* Decoded blocks a turn: one flow that inflates without end must not hold up the others. */
#define DECODE_BLOCKS_PER_TURN 8

static size_t io_buffer(const struct flow *f) {
    return (size_t) flow_setting(f, SETTING_IO_BUFFER).number;
}

/* ---- target ---- */

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
    f->rx_payload_bytes += size;
    stats_add(stats, STAT_PAYLOADS, 1);
    stats_add(stats, STAT_RX_PAYLOAD_BYTES, size);
    f->view->target->ops->payload(f->view->target->state, stats, &payload, &answer);
    return answer.data ? stream_reply(w, f, &answer) : 0;
}

/* ---- framing ---- */

static int frame_fault(struct stream_fault *fault, const char *reason) {
    fault->kind = EVENT_FRAME_FAILED;
    fault->counter = STAT_FRAME_ERRORS;
    snprintf(fault->text, sizeof(fault->text), "%s", reason);
    return -EBADMSG;
}

/* What frame_next() looks at: the kept bytes, or the new span. */
struct deframing {
    const uint8_t *data;
    size_t size;
    bool kept;
};

static void consume(struct worker *w, struct flow *f, struct deframing *d, size_t n) {
    if (!d->kept) {
        d->data += n;
        d->size -= n;
        return;
    }
    f->plain->start += n;
    if (buf_size(f->plain) == 0)
        f->plain = pool_return(&w->pool, f->plain);
}

static int keep_plain(struct worker *w, struct flow *f, struct deframing *d, size_t n) {
    int r = pool_append(&w->pool, &f->plain, d->data, n);

    d->data += n;
    d->size -= n;
    return r;
}

/* One step: 1 goes on, 0: nothing more can be done with what there is. */
static int deframe_once(struct worker *w, struct flow *f, struct deframing *d, bool at_end,
                        struct stream_fault *fault) {
    size_t limit = (size_t) flow_setting(f, SETTING_PAYLOAD_LIMIT).number;
    const struct frame_ops *ops = f->view->framing;
    struct frame frame;
    int r;

    d->kept = f->plain != NULL;
    if (d->kept && d->size > 0 && f->frame.needed > buf_size(f->plain)) {
        r = keep_plain(w, f, d, frame_take(ops, &f->frame, buf_size(f->plain), d->data, d->size, limit));
        if (r < 0)
            return r;
    }
    r = d->kept ? frame_next(ops, &f->frame, f->plain->data + f->plain->start, buf_size(f->plain),
                             at_end && d->size == 0, limit, &frame)
                : frame_next(ops, &f->frame, d->data, d->size, at_end, limit, &frame);
    if (r == FRAME_PAYLOAD) {
        f->frame_usec = 0;
        r = deliver(w, f, frame.payload, frame.size);
        consume(w, f, d, frame.consumed);
        return r < 0 ? r : 1;
    }
    if (r == -EMSGSIZE || r == -EBADMSG)
        return frame_fault(fault, frame.reason);
    if (r < 0 || r == FRAME_END)
        return MIN(r, 0);
    if (d->kept)
        return d->size > 0;
    return keep_plain(w, f, d, d->size);
}

static int deframe(struct worker *w, struct flow *f, const uint8_t *data, size_t size, bool at_end,
                   struct stream_fault *fault) {
    struct deframing d = { .data = data, .size = size };
    int r = 1;

    if (f->view->framing == frame_ops(FRAMING_CHUNK))
        return size > 0 ? deliver(w, f, data, size) : 0;
    while (r == 1 && !f->blocked && (d.size > 0 || f->plain || at_end))
        r = deframe_once(w, f, &d, at_end, fault);
    if (r < 0)
        return r;
    f->plain_pending = r == 1 && f->blocked;
    if (f->plain_pending && d.size > 0)
        r = keep_plain(w, f, &d, d.size);
    return MIN(r, 0);
}

/* ---- decompression ---- */

/* `left`: bytes received that are not decoded yet. */
static int decode_fault(const struct flow *f, size_t left, struct stream_fault *fault, const char *what) {
    fault->kind = EVENT_DECODE_FAILED;
    fault->counter = STAT_DECODE_ERRORS;
    snprintf(fault->text, sizeof(fault->text), "%s %s data at byte %llu", what, coding_info(f->decode_id)->name,
             (unsigned long long) (f->client.rx_bytes - left));
    return -EBADMSG;
}

/* Decodes one block. 1: there may be more, 0: the input is used up, or an error. */
static int decode_block(struct worker *w, struct flow *f, struct coder_io *io, struct stream_fault *fault) {
    size_t room = io_buffer(f);
    uint8_t *out = worker_scratch(w, SCRATCH_DECODED, room);
    const char *excess;
    int r, result;

    if (!out)
        return -ENOMEM;
    r = members_next(&f->coding, f->decode_id);
    if (r < 0)
        return r;
    io->out = out;
    io->out_size = room;
    result = coder_decode(f->coding.decoder, io);
    f->coding.member_ended = result == CODER_END;
    excess = members_exceed(&f->coding, &f->client.set->settings, f->client.rx_bytes - io->in_size);
    if (excess)
        return decode_fault(f, io->in_size, fault, excess);
    /* What came out before a fault was received all the same. */
    if (io->out_size < room) {
        r = deframe(w, f, out, room - io->out_size, false, fault);
        if (r < 0)
            return r;
    }
    if (result == -EBADMSG)
        return decode_fault(f, io->in_size, fault, "corrupt");
    if (result < 0)
        return result;
    return result == CODER_OUTPUT || io->in_size > 0;
}

/* Decodes until the input is used up, the output is blocked, or the turn is over. The rest is the caller's to keep. */
static int decode(struct worker *w, struct flow *f, struct coder_io *io, struct stream_fault *fault) {
    int more = 1;

    for (unsigned i = 0; more == 1 && i < DECODE_BLOCKS_PER_TURN && !f->blocked; i++)
        more = decode_block(w, f, io, fault);
    if (more < 0)
        return more;
    f->decode_pending = more == 1;
    if (f->decode_pending && !f->blocked)
        worker_ready(w, f);
    return 0;
}

/* ---- the way in ---- */

/* False: decompression = auto needs more bytes; these are kept. */
static int detect(struct worker *w, struct flow *f, const uint8_t *data, size_t size, bool late) {
    int id = codec_detect(data, size, late);

    if (id == -EAGAIN) {
        if (f->detect_usec == 0) {
            f->detect_usec = w->loop.now_usec;
            stream_arm_timer(w, f);
        }
        return 0;
    }
    f->detect_usec = 0;
    if (id < 0)
        return id;
    f->decode_id = (enum coding) id;
    return 1;
}

/* Input of which the first bytes may have been kept: all of it in one piece. */
static int run(struct worker *w, struct flow *f, struct coder_io *io, bool late, struct stream_fault *fault) {
    int r;

    if (f->decode_id == CODING_AUTO) {
        r = detect(w, f, io->in, io->in_size, late);
        if (r != 1)
            return r;
    }
    if (f->decode_id != CODING_OFF)
        return decode(w, f, io, fault);
    r = deframe(w, f, io->in, io->in_size, false, fault);
    io->in_size = 0;
    return r;
}

static int run_kept(struct worker *w, struct flow *f, bool late, struct stream_fault *fault) {
    struct buf *in = f->in;
    struct coder_io io = { 0 };
    int r;

    if (in) {
        io.in = in->data + in->start;
        io.in_size = buf_size(in);
    }
    r = run(w, f, &io, late, fault);
    if (in) {
        in->start = in->end - io.in_size;
        if (io.in_size == 0)
            f->in = pool_return(&w->pool, in);
    }
    return r;
}

int stream_feed(struct worker *w, struct flow *f, const uint8_t *data, size_t size, struct stream_fault *fault) {
    struct coder_io io = { .in = data, .in_size = size };
    int r;

    if (f->in) { /* undecided until now */
        r = pool_append(&w->pool, &f->in, data, size);
        return r < 0 ? r : run_kept(w, f, false, fault);
    }
    r = run(w, f, &io, false, fault);
    return r < 0 ? r : pool_append(&w->pool, &f->in, io.in, io.in_size);
}

int stream_feed_kept(struct worker *w, struct flow *f, bool late, struct stream_fault *fault) {
    int r = 0;

    if (f->plain_pending)
        r = deframe(w, f, NULL, 0, false, fault);
    if (r < 0 || f->blocked)
        return r;
    return f->decode_pending || late ? run_kept(w, f, late, fault) : 0;
}

int stream_feed_end(struct worker *w, struct flow *f, struct stream_fault *fault) {
    int r = 0;

    if (f->decode_id == CODING_AUTO && f->in)
        r = run_kept(w, f, true, fault);
    if (r < 0 || f->blocked || stream_has_kept(f) || !f->peer_done)
        return r;
    if (members_truncated(&f->coding))
        return decode_fault(f, 0, fault, "truncated");
    return deframe(w, f, NULL, 0, true, fault);
}
