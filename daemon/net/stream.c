/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "rate.h"
#include "stream_internal.h"

/* How long a finished flow waits for its peer to close: a close with unread input would reset what is still on its way. */
#define LINGER_USEC (2 * USEC_PER_SEC)

/* How long a flow that we end may take without the peer reading on. */
#define FINISH_USEC (10 * USEC_PER_SEC)

/* How long decompression = auto waits for bytes to decide on. */
#define DETECT_USEC (200 * USEC_PER_MSEC)

/* How long a stream may be idle before its compressor's memory is given back. */
#define PARK_USEC USEC_PER_SEC

/* Bytes of input that one turn of a lingering flow throws away. */
#define DISCARD_BYTES ((size_t) 64 * 1024)

static uint64_t release(struct worker *w, struct flow *f, bool reset) {
    uint64_t lost = buf_size(f->out);

    f->coding.encoder = coder_free(f->coding.encoder);
    f->coding.decoder = coder_free(f->coding.decoder);
    f->in = pool_return(&w->pool, f->in);
    f->plain = pool_return(&w->pool, f->plain);
    f->out = pool_return(&w->pool, f->out);
    return lost;
}

/* Bad input ends the input; the answers to what came before it still go out. */
static void fail_input(struct worker *w, struct flow *f, const struct stream_fault *fault) {
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    stats_add(worker_stats(w, f->view), fault->counter, 1);
    event_log(fault->kind,
              EVENT_FIELDS({ FIELD_LISTENER, f->view->listener->name }, { FIELD_FLOW, flow_id_format(f->id, id) },
                           { FIELD_PEER, address_format(&f->peer, peer) }),
              "%s: flow %s from %s: %s; the flow is closed", f->view->listener->name, id, peer, fault->text);
    f->decode_pending = f->plain_pending = false;
    f->detect_usec = f->frame_usec = 0;
    f->frame = (struct frame_state){ 0 };
    f->coding.decoder = coder_free(f->coding.decoder);
    f->in = pool_return(&w->pool, f->in);
    f->plain = pool_return(&w->pool, f->plain);
}

/* 1: the peer has sent all it will. */
static int receive(struct worker *w, struct flow *f, struct stream_fault *fault) {
    size_t room = (size_t) flow_setting(f, SETTING_IO_BUFFER).number;
    void *data = worker_scratch(w, SCRATCH_IN, room);
    bool limited = rate_applies(f);
    ssize_t n;

    if (!data)
        return -ENOMEM;
    if (limited)
        room = rate_room(w, f, room);
    if (room == 0)
        return 0;
    n = recv(f->client.source.fd, data, room, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return 1;
    f->active_usec = w->loop.now_usec;
    f->client.rx_bytes += (size_t) n;
    if (limited)
        rate_charge(w, f, (size_t) n);
    stats_add(worker_stats(w, f->view), STAT_RX_BYTES, (uint64_t) n);
    life_on_received(f);
    return stream_feed(w, f, data, (size_t) n, fault);
}

static int turn_open(struct worker *w, struct flow *f, struct stream_fault *fault) {
    int r = receive(w, f, fault);

    if (r != 1)
        return r;
    f->peer_done = true;
    f->state = FLOW_FINISHING;
    return 0;
}

static int turn_finishing(struct worker *w, struct flow *f, struct stream_fault *fault) {
    int r = stream_feed_end(w, f, fault);

    if (r < 0 || f->blocked || stream_has_kept(f))
        return r;
    f->state = FLOW_FLUSHING;
    return stream_write_trailer(w, f);
}

/* 1: the flow has ended. */
static int turn_flushing(struct worker *w, struct flow *f) {
    if (f->peer_done) {
        life_end(w, f, LIFE_END_DONE, 0);
        return 1;
    }
    if (shutdown(f->client.source.fd, SHUT_WR) < 0)
        return -errno;
    f->state = FLOW_LINGERING;
    wheel_arm(&w->loop.wheel, &f->timer, w->loop.now_usec + LINGER_USEC);
    return 0;
}

/* 1: the flow has ended. */
static int turn_lingering(struct worker *w, struct flow *f) {
    void *data = worker_scratch(w, SCRATCH_IN, DISCARD_BYTES);
    ssize_t n;

    if (!data)
        return -ENOMEM;
    n = recv(f->client.source.fd, data, DISCARD_BYTES, 0);
    if (n == 0) {
        life_end(w, f, LIFE_END_DONE, 0);
        return 1;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    return 0;
}

/* Input that waited for room, for its turn, or for the time to decide what it is. */
static int turn_kept(struct worker *w, struct flow *f, struct stream_fault *fault) {
    bool late = f->detect_late;

    if (!stream_has_kept(f) && !late)
        return 0;
    f->detect_late = false;
    return stream_feed_kept(w, f, late, fault);
}

/* 0: goes on, 1: has ended, or an error that ends it. */
static int turn(struct worker *w, struct flow *f, struct stream_fault *fault) {
    int r = stream_flush(w, f);

    if (r >= 0 && !f->blocked)
        r = turn_kept(w, f, fault);
    if (r < 0 || f->blocked || stream_has_kept(f))
        return r;
    if (f->state == FLOW_OPEN) {
        r = turn_open(w, f, fault);
        if (r < 0 || f->state == FLOW_OPEN)
            return r;
    }
    if (f->state == FLOW_FINISHING) {
        r = turn_finishing(w, f, fault);
        if (r < 0 || f->blocked || f->state == FLOW_FINISHING)
            return r;
    }
    if (f->state == FLOW_FLUSHING)
        return turn_flushing(w, f);
    return turn_lingering(w, f);
}

/* We end the flow, not the peer. */
static bool is_ending(const struct flow *f) {
    return f->state != FLOW_OPEN && !f->peer_done;
}

static void begin_finishing(struct worker *w, struct flow *f) {
    if (f->state != FLOW_OPEN)
        return;
    f->state = FLOW_FINISHING;
    rate_release(f);
    wheel_arm(&w->loop.wheel, &f->timer, w->loop.now_usec + FINISH_USEC);
}

/* The time of a frame runs while its rest may come, not while we do not read. */
static void watch_frame(struct worker *w, struct flow *f) {
    bool incomplete = f->plain && !f->blocked && !f->rests && !stream_has_kept(f);

    if (!incomplete) {
        f->frame_usec = 0;
    } else if (f->frame_usec == 0) {
        f->frame_usec = w->loop.now_usec;
        stream_arm_timer(w, f);
    }
}

static uint32_t wanted_events(const struct flow *f) {
    if (f->blocked)
        return EPOLLOUT;
    return stream_has_kept(f) || f->rests ? 0 : EPOLLIN;
}

static void stream_turn(struct worker *w, struct flow *f) {
    struct stream_fault fault = { EVENT_FLOW_FAILED, STAT_ERRORS, "the socket has failed" };
    int r = turn(w, f, &fault);

    if (r == -EBADMSG) {
        fail_input(w, f, &fault);
        begin_finishing(w, f);
        r = turn(w, f, &fault);
    }
    if (r == 0)
        r = stream_settle(w, f);
    if (r < 0) {
        life_end_by_error(w, f, r);
    } else if (r == 0) {
        watch_frame(w, f);
        loop_modify(&w->loop, &f->client.source, wanted_events(f));
        /* Failed while it rested, and not watched since: reading tells how it ends. */
        if (!f->client.source.watched && !f->rests)
            worker_ready(w, f);
    }
}

static void finish(struct worker *w, struct flow *f) {
    if (f->state != FLOW_OPEN)
        return;
    begin_finishing(w, f);
    stream_turn(w, f);
}

static void on_event(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client);

    /* The kernel would go on telling of it until the flow reads again. */
    if (f->rests && events & (EPOLLERR | EPOLLHUP))
        loop_remove(&f->worker->loop, source);
    stream_turn(f->worker, f);
}

/* ---- time ---- */

static uint64_t sooner(uint64_t at_usec, uint64_t since_usec, uint64_t after_usec) {
    return since_usec && after_usec ? MIN(at_usec, since_usec + after_usec) : at_usec;
}

void stream_arm_timer(struct worker *w, struct flow *f) {
    uint64_t at_usec = UINT64_MAX;

    if (is_ending(f) || f->rests)
        return; /* armed by whoever ends it, or by the limit */
    at_usec = sooner(at_usec, f->active_usec, (uint64_t) flow_setting(f, SETTING_IDLE_TIMEOUT).number);
    at_usec = sooner(at_usec, f->frame_usec, (uint64_t) flow_setting(f, SETTING_FRAME_TIMEOUT).number);
    at_usec = sooner(at_usec, f->detect_usec, DETECT_USEC);
    if (f->coding.encoder && !coder_parked(f->coding.encoder))
        at_usec = sooner(at_usec, f->active_usec, PARK_USEC);
    if (at_usec == UINT64_MAX)
        wheel_disarm(&w->loop.wheel, &f->timer);
    else
        wheel_arm(&w->loop.wheel, &f->timer, at_usec);
}

static bool is_due(const struct worker *w, uint64_t since_usec, uint64_t after_usec) {
    return since_usec && after_usec && since_usec + after_usec <= w->loop.now_usec;
}

static void expire_ending(struct worker *w, struct flow *f) {
    if (f->state == FLOW_LINGERING)
        life_end(w, f, LIFE_END_DONE, 0);
    else if (f->active_usec + FINISH_USEC <= w->loop.now_usec)
        life_end(w, f, LIFE_END_CLOSED, 0);
    else
        wheel_arm(&w->loop.wheel, &f->timer, f->active_usec + FINISH_USEC);
}

/* The trailer of a compressed stream goes out with the rest of it; nobody waits for a peer that is silent for so long. */
static void expire_idle(struct worker *w, struct flow *f) {
    if (!f->blocked)
        (void) !stream_write_trailer(w, f);
    life_end(w, f, LIFE_END_IDLE, 0);
}

static void expire_frame(struct worker *w, struct flow *f) {
    const struct stream_fault fault = { EVENT_FRAME_FAILED, STAT_FRAME_ERRORS,
                                        "a frame was not complete within frame_timeout" };

    fail_input(w, f, &fault);
    finish(w, f);
}

/* It may read again. */
static void expire_rest(struct worker *w, struct flow *f) {
    rate_due(f);
    stream_turn(w, f);
    if (f->state != FLOW_FREE)
        stream_arm_timer(w, f);
}

static void expire(struct worker *w, struct flow *f) {
    if (is_ending(f)) {
        expire_ending(w, f);
    } else if (f->rests) {
        expire_rest(w, f);
    } else if (is_due(w, f->active_usec, (uint64_t) flow_setting(f, SETTING_IDLE_TIMEOUT).number)) {
        expire_idle(w, f);
    } else if (is_due(w, f->frame_usec, (uint64_t) flow_setting(f, SETTING_FRAME_TIMEOUT).number)) {
        expire_frame(w, f);
    } else if (is_due(w, f->detect_usec, DETECT_USEC)) {
        f->detect_late = true;
        stream_turn(w, f);
        if (f->state != FLOW_FREE)
            stream_arm_timer(w, f);
    } else {
        /* An idle stream holds no compressor. */
        if (f->coding.encoder && is_due(w, f->active_usec, PARK_USEC))
            (void) !coder_park(f->coding.encoder);
        stream_arm_timer(w, f);
    }
}

static int open_stream(struct worker *w, struct flow *f) {
    int r;

    f->client.source.on_event = on_event;
    f->encode_id = flow_setting(f, SETTING_COMPRESSION).coding.id;
    f->decode_id = flow_setting(f, SETTING_DECOMPRESSION).coding.id;
    f->unit_payload = flow_setting(f, SETTING_COMPRESSION_UNIT).number == COMPRESSION_UNIT_PAYLOAD;
    r = loop_add(&w->loop, &f->client.source, EPOLLIN);
    if (r >= 0)
        stream_arm_timer(w, f);
    return r;
}

static void describe(const struct worker *w, const struct flow *f, struct flow_row *row) {
    row->rx_payload_bytes = f->rx_payload_bytes;
    row->tx_payload_bytes = f->tx_payload_bytes;
    row->payloads = f->payloads;
    row->client.receive_queue += buf_size(f->in) + buf_size(f->plain);
    row->client.send_queue += buf_size(f->out);
    row->encode_id = f->encode_id;
    row->decode_id = f->decode_id;
    row->encode_level =
            f->coding.encoder ? coder_level(f->coding.encoder) : flow_setting(f, SETTING_COMPRESSION).coding.level;
}

const struct engine stream_engine = {
    .open = open_stream,
    .turn = stream_turn,
    .expire = expire,
    .finish = finish,
    .release = release,
    .apply = stream_apply,
    .changed = stream_arm_timer,
    .describe = describe,
    .unused = SETTING_BIT(SETTING_CONNECT_TIMEOUT) | SETTING_BIT(SETTING_HALF_CLOSE_TIMEOUT) |
              SETTING_BIT(SETTING_SESSION_TIMEOUT),
};
