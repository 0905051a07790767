/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "event.h"
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

static const struct {
    const char *text;
    enum counter counter;
} ends[STREAM_END_MAX] = {
    [STREAM_END_DONE] = { "done", STAT_CLOSED },
    [STREAM_END_RESET] = { "reset by the peer", STAT_RESETS },
    [STREAM_END_ERROR] = { "error", STAT_ERRORS },
    [STREAM_END_IDLE] = { "idle timeout", STAT_TIMEOUTS },
    [STREAM_END_CLOSED] = { "closed on request", STAT_CLOSED },
};

static void log_end(const struct flow *f, enum stream_end why, int error) {
    enum event_kind kind = why == STREAM_END_ERROR ? EVENT_FLOW_FAILED : EVENT_FLOW_CLOSED;
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    if (!event_enabled(kind))
        return;
    event_log(kind,
              EVENT_FIELDS({ FIELD_LISTENER, f->view->listener->name }, { FIELD_FLOW, flow_id_format(f->id, id) },
                           { FIELD_PEER, address_format(&f->peer, peer) }, { FIELD_RESULT, ends[why].text }),
              "%s: flow %s from %s ended: %s%s%s, %llu bytes in, %llu out", f->view->listener->name, id, peer,
              ends[why].text, error ? ": " : "", error ? strerror(-error) : "", (unsigned long long) f->client.rx_bytes,
              (unsigned long long) f->client.tx_bytes);
}

void stream_end(struct worker *w, struct flow *f, enum stream_end why, int error) {
    struct listener_view *view = f->view;
    struct stats *stats = worker_stats(w, view);
    uint8_t key[16];

    log_end(f, why, error);
    if (ends[why].counter != STAT_CLOSED)
        stats_add(stats, ends[why].counter, 1);
    stats_add(stats, STAT_CLOSED, 1);
    stats_add(stats, STAT_LOST_BYTES, buf_size(f->client.out));

    loop_remove(&w->loop, &f->client.source);
    wheel_disarm(&w->loop.wheel, &f->timer);
    f->client.source.fd = close_fd(f->client.source.fd);
    f->coding.encoder = coder_free(f->coding.encoder);
    f->coding.decoder = coder_free(f->coding.decoder);
    f->client.in = pool_return(&w->pool, f->client.in);
    f->client.plain = pool_return(&w->pool, f->client.plain);
    f->client.out = pool_return(&w->pool, f->client.out);
    f->client.set = effective_unref(f->client.set);
    f->endpoint = endpoint_unref(f->endpoint);
    address_key(&f->peer, key);
    admission_source_leave(&view->listener->admission, key);
    worker_leave(w, view->listener);
    f->view = listener_view_unref(view);
    if (f->ready)
        worker_forget_ready(w, f);
    flow_table_give(&w->flows, f);
}

static void end_by_error(struct worker *w, struct flow *f, int error) {
    bool reset = error == -ECONNRESET || error == -EPIPE;

    stream_end(w, f, reset ? STREAM_END_RESET : STREAM_END_ERROR, error);
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
    f->client.in = pool_return(&w->pool, f->client.in);
    f->client.plain = pool_return(&w->pool, f->client.plain);
}

/* IPv6 tells the mark of the latest segment: follow it. */
static void follow_mark(struct flow *f) {
    struct qos_socket s = flow_qos_socket(f, f->endpoint->socket.domain);
    uint8_t tos;

    if (qos_received_tos(&s, &tos) == QOS_MARK_NONE || (tos & 0xfc) == (f->received_tos & 0xfc))
        return;
    f->received_tos = tos;
    (void) qos_set_tos(&s, tos & 0xfc, &f->client.set->settings, &f->endpoint->baseline);
}

static void on_received(struct flow *f) {
    const struct settings *set = &f->client.set->settings;

    if (!settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT &&
        f->received_label == QOS_MARK_LATEST)
        follow_mark(f);
    if (!settings_inherits(set, SETTING_QUICKACK))
        qos_rearm_quickack(f->client.source.fd, set->v[SETTING_QUICKACK].number != 0);
}

/* 1: the peer has sent all it will. */
static int receive(struct worker *w, struct flow *f, struct stream_fault *fault) {
    size_t room = (size_t) stream_setting(f, SETTING_IO_BUFFER).number;
    void *data = worker_scratch(w, SCRATCH_IN, room);
    ssize_t n;

    if (!data)
        return -ENOMEM;
    n = recv(f->client.source.fd, data, room, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return 1;
    f->active_usec = w->loop.now_usec;
    f->client.rx_bytes += (size_t) n;
    stats_add(worker_stats(w, f->view), STAT_RX_BYTES, (uint64_t) n);
    on_received(f);
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
    if (f->peer_done) {
        int r = stream_feed_end(w, f, fault);

        if (r < 0 || f->blocked || stream_has_kept(f))
            return r;
    }
    f->state = FLOW_FLUSHING;
    return stream_write_trailer(w, f);
}

/* 1: the flow has ended. */
static int turn_flushing(struct worker *w, struct flow *f) {
    if (f->peer_done) {
        stream_end(w, f, STREAM_END_DONE, 0);
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
        stream_end(w, f, STREAM_END_DONE, 0);
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
    wheel_arm(&w->loop.wheel, &f->timer, w->loop.now_usec + FINISH_USEC);
}

static uint32_t wanted_events(const struct flow *f) {
    if (f->blocked)
        return EPOLLOUT;
    return stream_has_kept(f) ? 0 : EPOLLIN;
}

void stream_turn(struct worker *w, struct flow *f) {
    struct stream_fault fault = { EVENT_FLOW_FAILED, STAT_ERRORS, "the socket has failed" };
    int r = turn(w, f, &fault);

    if (r == -EBADMSG) {
        fail_input(w, f, &fault);
        begin_finishing(w, f);
        r = turn(w, f, &fault);
    }
    if (r == 0)
        r = stream_settle(w, f);
    if (r < 0)
        end_by_error(w, f, r);
    else if (r == 0)
        loop_modify(&w->loop, &f->client.source, wanted_events(f));
}

void stream_finish(struct worker *w, struct flow *f) {
    if (f->state != FLOW_OPEN)
        return;
    begin_finishing(w, f);
    stream_turn(w, f);
}

static void on_event(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client);

    stream_turn(f->worker, f);
}

/* ---- time ---- */

static uint64_t sooner(uint64_t at_usec, uint64_t since_usec, uint64_t after_usec) {
    return since_usec && after_usec ? MIN(at_usec, since_usec + after_usec) : at_usec;
}

void stream_arm_timer(struct worker *w, struct flow *f) {
    uint64_t at_usec = UINT64_MAX;

    if (is_ending(f))
        return; /* armed by whoever ends it */
    at_usec = sooner(at_usec, f->active_usec, (uint64_t) stream_setting(f, SETTING_IDLE_TIMEOUT).number);
    at_usec = sooner(at_usec, f->frame_usec, (uint64_t) stream_setting(f, SETTING_FRAME_TIMEOUT).number);
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
        stream_end(w, f, STREAM_END_DONE, 0);
    else if (f->active_usec + FINISH_USEC <= w->loop.now_usec)
        stream_end(w, f, STREAM_END_CLOSED, 0);
    else
        wheel_arm(&w->loop.wheel, &f->timer, f->active_usec + FINISH_USEC);
}

static void expire_frame(struct worker *w, struct flow *f) {
    const struct stream_fault fault = { EVENT_FRAME_FAILED, STAT_FRAME_ERRORS,
                                        "a frame was not complete within frame_timeout" };

    fail_input(w, f, &fault);
    stream_finish(w, f);
}

static void on_expire(struct timer *timer) {
    struct flow *f = CONTAINER_OF(timer, struct flow, timer);
    struct worker *w = f->worker;

    if (is_ending(f)) {
        expire_ending(w, f);
    } else if (is_due(w, f->active_usec, (uint64_t) stream_setting(f, SETTING_IDLE_TIMEOUT).number)) {
        stream_end(w, f, STREAM_END_IDLE, 0);
    } else if (is_due(w, f->frame_usec, (uint64_t) stream_setting(f, SETTING_FRAME_TIMEOUT).number)) {
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

void stream_settings_changed(struct worker *w, struct flow *f) {
    stream_arm_timer(w, f);
}

/* Keys that are inherited now, but had another value on the listening socket when the handshake was made, perhaps. */
static uint64_t outdated_keys(const struct flow *f) {
    const struct settings *set = &f->client.set->settings;
    uint64_t inherited = set->inherit_mask;

    if (!settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT)
        inherited |= SETTING_BIT(SETTING_DSCP);
    return inherited & atomic_load(&f->endpoint->touched);
}

/* What the accepted socket did not inherit from the listening one, and the mark that the handshake brought. */
static int prepare_socket(struct worker *w, struct flow *f) {
    struct qos_socket s = flow_qos_socket(f, f->endpoint->socket.domain);
    const struct settings *set = &f->client.set->settings;
    uint64_t outdated = outdated_keys(f);
    int r = qos_apply_accepted(&s, set, &f->endpoint->baseline), q;

    if (outdated) {
        q = qos_apply(&s, set, outdated, &f->endpoint->baseline, NULL, NULL);
        r = r < 0 ? r : q;
    }
    f->received_label = qos_received_tos(&s, &f->received_tos);
    if (f->received_label == QOS_MARK_NONE)
        return r;
    stats_mark(worker_stats(w, f->view), f->received_tos);
    if (!settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT)
        (void) qos_set_tos(&s, f->received_tos & 0xfc, set, &f->endpoint->baseline);
    return r;
}

static void log_opened(const struct flow *f) {
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    if (event_enabled(EVENT_FLOW_OPENED))
        event_log(EVENT_FLOW_OPENED,
                  EVENT_FIELDS({ FIELD_LISTENER, f->view->listener->name }, { FIELD_FLOW, flow_id_format(f->id, id) },
                               { FIELD_PEER, address_format(&f->peer, peer) }),
                  "%s: flow %s from %s opened", f->view->listener->name, id, peer);
}

int stream_open(struct endpoint_source *from, int fd, const struct address *peer) {
    struct worker *w = from->worker;
    struct flow *f = flow_table_take(&w->flows);
    int r;

    if (!f)
        return -ENOMEM;
    f->worker = w;
    f->view = from->view;
    f->endpoint = from->endpoint;
    f->peer = *peer;
    f->v4_mapped = address_is_v4_mapped(peer);
    f->opened_usec = f->active_usec = w->loop.now_usec;
    f->timer.on_expire = on_expire;
    f->client.set = from->view->set;
    f->client.source = (struct loop_source){ .fd = fd, .on_event = on_event };
    f->encode_id = stream_setting(f, SETTING_COMPRESSION).coding.id;
    f->decode_id = stream_setting(f, SETTING_DECOMPRESSION).coding.id;
    f->unit_payload = stream_setting(f, SETTING_COMPRESSION_UNIT).number == COMPRESSION_UNIT_PAYLOAD;
    r = loop_add(&w->loop, &f->client.source, EPOLLIN);
    if (r < 0) {
        flow_table_give(&w->flows, f);
        return r;
    }
    listener_view_ref(f->view);
    endpoint_ref(f->endpoint);
    effective_ref(f->client.set);
    f->state = FLOW_OPEN;
    r = prepare_socket(w, f);
    if (r < 0 && !(r == -EPERM && f->endpoint->lacks_capability))
        event_log(EVENT_SETTING_LIMITED, EVENT_FIELDS({ FIELD_LISTENER, f->view->listener->name }),
                  "%s: an accepted connection did not take every setting: %s", f->view->listener->name, strerror(-r));
    log_opened(f);
    stream_arm_timer(w, f);
    return 0;
}
