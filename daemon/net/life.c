/* SPDX-License-Identifier: MIT */
#include "life.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "engine.h"
#include "rate.h"

static const struct {
    const char *text;
    enum counter counter;
} ends[LIFE_END_MAX] = {
    [LIFE_END_DONE] = { "done", STAT_CLOSED },
    [LIFE_END_RESET] = { "reset by the peer", STAT_RESETS },
    [LIFE_END_UPSTREAM] = { "no upstream", STAT_UPSTREAM_ERRORS },
    [LIFE_END_ERROR] = { "error", STAT_ERRORS },
    [LIFE_END_IDLE] = { "idle timeout", STAT_TIMEOUTS },
    [LIFE_END_EVICTED] = { "made room for a new session", STAT_EVICTED },
    [LIFE_END_CLOSED] = { "closed on request", STAT_CLOSED },
};

static void log_end(const struct flow *f, enum life_end why, int error) {
    enum event_kind kind = why == LIFE_END_ERROR ? EVENT_FLOW_FAILED : EVENT_FLOW_CLOSED;
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

int life_reset(int fd) {
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    return close_fd(fd);
}

static size_t queued(const struct flow *f, unsigned long which) {
    int n;

    return ioctl(f->client.source.fd, which, &n) < 0 || n < 0 ? 0 : (size_t) n;
}

/* Bytes that the peer has not acknowledged when its connection is reset, by whatever side: what close() finds unread makes the
 * kernel do so. Otherwise it goes on to deliver. */
static size_t unacknowledged(const struct flow *f, enum life_end why, bool failed) {
    size_t n = why == LIFE_END_DONE ? 0 : queued(f, SIOCOUTQ);

    if (n == 0 || (!failed && queued(f, SIOCINQ) == 0))
        return 0;
    return n - (f->state == FLOW_LINGERING); /* a FIN of ours counts as a byte */
}

void life_end(struct worker *w, struct flow *f, enum life_end why, int error) {
    struct listener_view *view = f->view;
    struct stats *stats = worker_stats(w, view);
    bool failed = why == LIFE_END_RESET || why == LIFE_END_UPSTREAM || why == LIFE_END_ERROR;

    log_end(f, why, error);
    rate_release(f);
    /* Whoever sees that it is closed sees what it has lost. */
    stats_add(stats, STAT_LOST_BYTES, unacknowledged(f, why, failed) + engine_of(f)->release(w, f, failed));
    if (ends[why].counter != STAT_CLOSED)
        stats_add(stats, ends[why].counter, 1);
    stats_add(stats, STAT_CLOSED, 1);

    loop_forget(&f->client.source);
    wheel_disarm(&w->loop.wheel, &f->timer);
    /* What we fail to do must not look like an end in order. */
    if (why == LIFE_END_ERROR || why == LIFE_END_UPSTREAM)
        f->client.source.fd = life_reset(f->client.source.fd);
    else
        f->client.source.fd = close_fd(f->client.source.fd);
    f->client.set = effective_unref(f->client.set);
    f->endpoint = endpoint_unref(f->endpoint);
    if (f->datagrams)
        atomic_fetch_sub(&view->listener->sessions, 1);
    admission_source_leave(&view->listener->admission, f->source);
    worker_leave(w, view->listener);
    f->view = listener_view_unref(view);
    if (f->ready)
        worker_forget_ready(w, f);
    flow_table_give(&w->flows, f);
}

void life_end_by_error(struct worker *w, struct flow *f, int error) {
    /* ENOTCONN: the reset came before our shutdown(), and nothing had told of it yet. */
    bool reset = error == -ECONNRESET || error == -EPIPE || error == -ENOTCONN;

    life_end(w, f, reset ? LIFE_END_RESET : LIFE_END_ERROR, error);
}

static bool reflects(const struct settings *set) {
    return !settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT;
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

void life_on_received(struct flow *f) {
    const struct settings *set = &f->client.set->settings;

    if (reflects(set) && f->received_label == QOS_MARK_LATEST)
        follow_mark(f);
    if (!settings_inherits(set, SETTING_QUICKACK))
        qos_rearm_quickack(f->client.source.fd, set->v[SETTING_QUICKACK].number != 0);
}

/* ---- the beginning ---- */

/* Keys that are inherited now, but had another value on the listening socket when the handshake was made, perhaps. */
static uint64_t outdated_keys(const struct flow *f) {
    const struct settings *set = &f->client.set->settings;
    uint64_t inherited = set->inherit_mask;

    if (reflects(set))
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
    if (reflects(set))
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

static void on_expire(struct timer *timer) {
    struct flow *f = CONTAINER_OF(timer, struct flow, timer);

    engine_of(f)->expire(f->worker, f);
}

/* A slot for a flow that comes in at an endpoint; references are still to be taken. */
static struct flow *take(struct endpoint_source *from, const struct address *peer, struct admission_source *source) {
    struct worker *w = from->worker;
    struct flow *f = flow_table_take(&w->flows);

    if (!f)
        return NULL;
    f->worker = w;
    f->view = from->view;
    f->endpoint = from->endpoint;
    f->source = source;
    f->peer = *peer;
    f->v4_mapped = address_is_v4_mapped(peer);
    f->opened_usec = f->active_usec = w->loop.now_usec;
    f->timer.on_expire = on_expire;
    f->client.set = from->view->set;
    f->client.source.fd = -EBADF;
    return f;
}

static void take_references(struct flow *f) {
    f->state = FLOW_OPEN;
    listener_view_ref(f->view);
    endpoint_ref(f->endpoint);
    effective_ref(f->client.set);
}

int life_open(struct endpoint_source *from, int fd, const struct address *peer, struct admission_source *source) {
    struct worker *w = from->worker;
    struct flow *f = take(from, peer, source);
    int r, prepared;

    if (!f)
        return -ENOMEM;
    f->client.source.fd = fd;
    prepared = prepare_socket(w, f);
    take_references(f);
    log_opened(f);
    r = engine_of(f)->open(w, f);
    if (r < 0) {
        listener_view_unref(f->view);
        endpoint_unref(f->endpoint);
        effective_unref(f->client.set);
        flow_table_give(&w->flows, f);
        return r;
    }
    if (prepared < 0 && !(prepared == -EPERM && from->endpoint->lacks_capability))
        event_log(EVENT_SETTING_LIMITED, EVENT_FIELDS({ FIELD_LISTENER, from->view->listener->name }),
                  "%s: an accepted connection did not take every setting: %s", from->view->listener->name,
                  strerror(-prepared));
    return 0;
}

int life_open_session(struct endpoint_source *from, const struct address *peer, struct flow **ret) {
    const struct settings *set = &from->view->set->settings;
    struct listener *l = from->view->listener;
    struct admission_source *source;
    struct flow *f;
    uint8_t key[16];

    if (!admission_enter(&l->admission, (unsigned) set->v[SETTING_MAX_CONNECTIONS].number, from->worker->index))
        return -EUSERS;
    address_key(peer, key);
    source = admission_source_enter(&l->admission, key, (unsigned) set->v[SETTING_MAX_CONNECTIONS_PER_SOURCE].number);
    if (!source) {
        worker_leave(from->worker, l);
        return -EDQUOT;
    }
    f = take(from, peer, source);
    if (!f) {
        admission_source_leave(&l->admission, source);
        worker_leave(from->worker, l);
        return -ENOMEM;
    }
    f->datagrams = true;
    take_references(f);
    atomic_fetch_add(&l->sessions, 1);
    log_opened(f);
    *ret = f;
    return 0;
}
