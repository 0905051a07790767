/* SPDX-License-Identifier: MIT */
#include "relay.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "rate.h"
#include "recode.h"

/* How long a flow that we end may take to deliver what it holds, and then its peers to close. */
#define FINISH_USEC (10 * USEC_PER_SEC)
#define LINGER_USEC (2 * USEC_PER_SEC)

/* An upstream whose queue is full. */
#define ASK_AGAIN_USEC (10 * USEC_PER_MSEC)

#define DISCARD_BYTES ((size_t) 64 * 1024)

static uint64_t setting_usec(const struct flow *f, enum setting_id id) {
    return (uint64_t) flow_setting(f, id).number;
}

/* ---- time ---- */

static uint64_t sooner(uint64_t at_usec, uint64_t since_usec, uint64_t after_usec) {
    return since_usec && after_usec ? MIN(at_usec, since_usec + after_usec) : at_usec;
}

static bool is_due(const struct worker *w, uint64_t since_usec, uint64_t after_usec) {
    return since_usec && after_usec && since_usec + after_usec <= w->loop.now_usec;
}

void relay_arm_timer(struct worker *w, struct flow *f) {
    const struct relay *r = &f->relay;
    uint64_t at_usec = UINT64_MAX;

    if (f->state != FLOW_OPEN || f->rests)
        return; /* armed by whoever ends it, or by the limit */
    if (r->connecting && r->setup->crowded)
        at_usec = w->loop.now_usec + ASK_AGAIN_USEC;
    else if (r->connecting)
        at_usec = sooner(at_usec, r->setup->began_usec, setting_usec(f, SETTING_CONNECT_TIMEOUT));
    at_usec = sooner(at_usec, f->active_usec, setting_usec(f, SETTING_IDLE_TIMEOUT));
    if (r->half_closed)
        at_usec = sooner(at_usec, f->active_usec, setting_usec(f, SETTING_HALF_CLOSE_TIMEOUT));
    if (at_usec == UINT64_MAX)
        wheel_disarm(&w->loop.wheel, &f->timer);
    else
        wheel_arm(&w->loop.wheel, &f->timer, at_usec);
}

/* ---- what is watched ---- */

/* A leg with nothing left to say either way is not watched: the kernel would go on telling of its end. */
static void watch(struct worker *w, const struct flow *f, struct leg *leg, const struct relay_way *from,
                  const struct relay_way *to) {
    uint32_t events = 0;

    if (from->ended && to->shut) {
        loop_remove(&w->loop, &leg->source);
        return;
    }
    /* A sender that has ended may stay watched: its other side ends in a moment, most likely. Should it signal meanwhile,
     * stop_reading() is for it. */
    if (from->ended ? leg->source.events & EPOLLIN : !way_blocked(from) && !f->rests)
        events |= EPOLLIN;
    if (way_blocked(to))
        events |= EPOLLOUT;
    loop_modify(&w->loop, &leg->source, events);
}

static void stop_reading(struct worker *w, struct leg *leg) {
    loop_modify(&w->loop, &leg->source, leg->source.events & ~(uint32_t) EPOLLIN);
}

static void watch_both(struct worker *w, struct flow *f) {
    watch(w, f, &f->client, &f->relay.to_upstream, &f->relay.to_client);
    watch(w, f, &f->relay.upstream, &f->relay.to_client, &f->relay.to_upstream);
}

/* It is not watched any more, because it has ended, and there is more to read than the other side took at once. */
static bool is_left(const struct flow *f, const struct leg *leg, const struct relay_way *from) {
    return !leg->source.watched && !from->ended && !way_blocked(from) && !f->rests;
}

/* ---- ends ---- */

static void half_closed(struct worker *w, struct flow *f) {
    if (f->relay.half_closed)
        return;
    f->relay.half_closed = true;
    relay_arm_timer(w, f);
}

/* After each run: true if the flow has ended. */
static bool settle(struct worker *w, struct flow *f) {
    struct relay *r = &f->relay;

    if (r->to_upstream.shut && r->to_client.shut) {
        if (f->state != FLOW_FINISHING) {
            life_end(w, f, LIFE_END_DONE, 0);
            return true;
        }
        f->state = FLOW_LINGERING;
        wheel_arm(&w->loop.wheel, &f->timer, w->loop.now_usec + LINGER_USEC);
        loop_modify(&w->loop, &f->client.source, EPOLLIN);
        loop_modify(&w->loop, &r->upstream.source, EPOLLIN);
        return false;
    }
    if (f->state == FLOW_OPEN && (r->to_upstream.shut || r->to_client.shut))
        half_closed(w, f);
    watch_both(w, f);
    if (is_left(f, &f->client, &r->to_upstream) || is_left(f, &r->upstream, &r->to_client))
        worker_ready(w, f);
    return false;
}

/* Runs one way; true if the flow has ended. */
static bool run(struct worker *w, struct flow *f, struct relay_way *way, bool readable) {
    int error = 0;
    enum way_result result = way_run(w, f, way, readable, &error);

    if (result == WAY_ON)
        return false;
    relay_leg_gone(w, f, (way == &f->relay.to_upstream) == (result == WAY_SENDER_GONE), error);
    return true;
}

/* ---- events ---- */

/* We have shut both ways down: what still comes is thrown away until the peers close as well. */
static void discard(struct worker *w, struct flow *f, struct leg *leg) {
    void *data = worker_scratch(w, SCRATCH_IN, DISCARD_BYTES);
    ssize_t n = data ? recv(leg->source.fd, data, DISCARD_BYTES, 0) : -1;

    if (n > 0 || (n < 0 && data && (errno == EAGAIN || errno == EINTR)))
        return;
    loop_remove(&w->loop, &leg->source);
    if (!f->client.source.watched && !f->relay.upstream.source.watched)
        life_end(w, f, LIFE_END_CLOSED, 0);
}

static int socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error == 0 ? -ECONNRESET : -error;
}

static void on_leg(struct flow *f, bool client, uint32_t events) {
    struct worker *w = f->worker;
    struct leg *leg = client ? &f->client : &f->relay.upstream;
    struct relay_way *from = client ? &f->relay.to_upstream : &f->relay.to_client;
    struct relay_way *to = client ? &f->relay.to_client : &f->relay.to_upstream;
    bool failed = events & (EPOLLERR | EPOLLHUP);

    if (f->state == FLOW_LINGERING) {
        discard(w, f, leg);
        return;
    }
    if (f->relay.error) {
        relay_broken_event(w, f, events);
        return;
    }
    if (events & EPOLLIN && from->ended)
        stop_reading(w, leg);
    if (events & EPOLLOUT && run(w, f, to, !(events & EPOLLIN)))
        return;
    if ((events & EPOLLIN || failed) && !way_blocked(from) && run(w, f, from, true))
        return;
    if (events & EPOLLERR && (from->ended || way_blocked(from))) {
        relay_leg_gone(w, f, client, socket_error(leg->source.fd));
        return;
    }
    /* It would tell of its end again and again: it is read from without being asked (settle(), or after its rest). */
    if (failed && (from->ended || way_blocked(from) || f->rests))
        loop_remove(&w->loop, &leg->source);
    (void) settle(w, f);
}

static void on_client(struct loop_source *source, uint32_t events) {
    on_leg(CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client), true, events);
}

static void on_upstream(struct loop_source *source, uint32_t events) {
    on_leg(CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, relay.upstream), false, events);
}

/* On the ready list, or after a rest: see settle(), and ways that code. */
static void turn(struct worker *w, struct flow *f) {
    struct relay *r = &f->relay;
    struct relay_way *first = r->down_first ? &r->to_client : &r->to_upstream;

    if (f->state == FLOW_LINGERING || r->connecting || f->rests)
        return;
    if (r->error)
        relay_deliver(w, f);
    else if (!run(w, f, first, true) && !run(w, f, first == &r->to_client ? &r->to_upstream : &r->to_client, true))
        (void) settle(w, f);
}

/* ---- the beginning and the end ---- */

void relay_begin(struct worker *w, struct flow *f) {
    struct relay *r = &f->relay;
    int error;

    relay_setup_done(f);
    error = recode_new(f->client.set, &r->coding);
    r->upstream.source.on_event = on_upstream;
    f->client.source.on_event = on_client;
    if (error >= 0 && !r->upstream.source.watched)
        error = loop_add(&w->loop, &r->upstream.source, EPOLLIN);
    if (error >= 0 && !f->client.source.watched)
        error = loop_add(&w->loop, &f->client.source, EPOLLIN);
    if (error < 0) {
        life_end(w, f, LIFE_END_ERROR, error);
        return;
    }
    relay_arm_timer(w, f);
    /* The client's first bytes are here, most likely. */
    if (!run(w, f, &r->to_upstream, true))
        (void) settle(w, f);
}

/* It may read again. */
static void expire_rest(struct worker *w, struct flow *f) {
    rate_due(f);
    turn(w, f);
    relay_arm_timer(w, f);
}

static void expire(struct worker *w, struct flow *f) {
    if (f->relay.error)
        relay_deliver(w, f);
    else if (f->state != FLOW_OPEN)
        life_end(w, f, LIFE_END_CLOSED, 0);
    else if (f->rests)
        expire_rest(w, f);
    else if (f->relay.connecting && is_due(w, f->relay.setup->began_usec, setting_usec(f, SETTING_CONNECT_TIMEOUT)))
        relay_setup_expired(w, f);
    else if (f->relay.connecting && f->relay.setup->crowded)
        relay_connect_on(w, f);
    else if (is_due(w, f->active_usec, setting_usec(f, SETTING_IDLE_TIMEOUT)) ||
             (f->relay.half_closed && is_due(w, f->active_usec, setting_usec(f, SETTING_HALF_CLOSE_TIMEOUT))))
        life_end(w, f, LIFE_END_IDLE, 0);
    else
        relay_arm_timer(w, f);
}

static void finish(struct worker *w, struct flow *f) {
    if (f->state != FLOW_OPEN)
        return;
    if (f->relay.connecting) {
        life_end(w, f, LIFE_END_CLOSED, 0);
        return;
    }
    f->state = FLOW_FINISHING;
    rate_release(f);
    wheel_arm(&w->loop.wheel, &f->timer, w->loop.now_usec + FINISH_USEC);
    f->relay.to_upstream.ended = f->relay.to_client.ended = true;
    if (f->relay.coding)
        f->relay.coding->to_upstream.cut = f->relay.coding->to_client.cut = true;
    if (!run(w, f, &f->relay.to_upstream, false) && !run(w, f, &f->relay.to_client, false))
        (void) settle(w, f);
}

static uint64_t release(struct worker *w, struct flow *f, bool reset) {
    struct relay *r = &f->relay;
    uint64_t lost = way_drop(w, &r->to_upstream) + way_drop(w, &r->to_client), kept = 0;

    loop_forget(&r->upstream.source);
    r->upstream.source.fd = reset ? life_reset(r->upstream.source.fd) : close_fd(r->upstream.source.fd);
    if (r->to)
        atomic_fetch_sub(&r->to->flows, 1);
    r->to = upstream_unref(r->to);
    if (!r->connecting)
        r->coding = recode_free(w, r->coding, &kept);
    relay_setup_done(f);
    return lost + kept;
}

static void apply(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                  struct qos_result *ret) {
    enum setting_id plain = id >= SETTING_UPSTREAM ? id - SETTING_UPSTREAM : id;
    struct relay_way *way = id >= SETTING_UPSTREAM ? &f->relay.to_upstream : &f->relay.to_client;

    *ret = (struct qos_result){ .outcome = QOS_APPLIED };
    if (plain == SETTING_COMPRESSION && !f->relay.connecting)
        way_set_compression(w, f, way, &set->v[id], ret);
    else if (plain == SETTING_DECOMPRESSION && !f->relay.connecting)
        *ret = (struct qos_result){ .outcome = QOS_DEFERRED,
                                    .reason = "the format of a relayed flow is fixed when it begins" };
    if (ret->outcome == QOS_APPLIED) {
        ret->has_effective = true;
        ret->effective = set->v[id];
    }
}

static struct qos_socket upstream_socket(const struct flow *f) {
    return (struct qos_socket){ .fd = f->relay.upstream.source.fd, .type = SOCK_STREAM };
}

static const struct upstream *upstream_of(const struct flow *f) {
    return f->relay.to;
}

static void describe(const struct worker *w, const struct flow *f, struct flow_row *row) {
    uint64_t up = way_held(&f->relay.to_upstream), down = way_held(&f->relay.to_client);

    row->client.receive_queue += up;
    row->client.send_queue += down;
    row->upstream.receive_queue += down;
    row->upstream.send_queue += up;
    row->upstream.rx_bytes = f->relay.upstream.rx_bytes;
    row->upstream.tx_bytes = f->relay.upstream.tx_bytes;
    if (f->relay.has_received) {
        row->upstream.received_label = QOS_MARK_LATEST;
        row->upstream.received_dscp = f->relay.received_tos >> 2;
    }
    row->to_upstream = (struct way_row){ way_splices(&f->relay.to_upstream), f->relay.to_upstream.switches };
    row->to_client = (struct way_row){ way_splices(&f->relay.to_client), f->relay.to_client.switches };
    row->to = f->relay.to ? strdup(f->relay.to->conf.text) : NULL;
}

const struct engine relay_engine = {
    .open = relay_setup_open,
    .turn = turn,
    .expire = expire,
    .finish = finish,
    .release = release,
    .apply = apply,
    .changed = relay_arm_timer,
    .describe = describe,
    .upstream = upstream_socket,
    .to = upstream_of,
    .unused = SETTING_BIT(SETTING_COMPRESSION_UNIT) | SETTING_BIT(SETTING_PAYLOAD_LIMIT) |
              SETTING_BIT(SETTING_FRAME_TIMEOUT) | SETTING_BIT(SETTING_SESSION_TIMEOUT),
};
