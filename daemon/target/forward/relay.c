/* SPDX-License-Identifier: MIT */
#include "relay.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

static void arm_timer(struct worker *w, struct flow *f) {
    const struct relay *r = &f->relay;
    uint64_t at_usec = UINT64_MAX;

    if (f->state != FLOW_OPEN)
        return; /* armed by whoever ends it */
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
static void watch(struct worker *w, struct leg *leg, const struct relay_way *from, const struct relay_way *to) {
    uint32_t events = 0;

    if (from->ended && to->shut) {
        loop_remove(&w->loop, &leg->source);
        return;
    }
    /* A sender that has ended may stay watched: its other side ends in a moment, most likely. Should it signal meanwhile,
     * stop_reading() is for it. */
    if (from->ended ? leg->source.events & EPOLLIN : !way_blocked(from))
        events |= EPOLLIN;
    if (way_blocked(to))
        events |= EPOLLOUT;
    loop_modify(&w->loop, &leg->source, events);
}

static void stop_reading(struct worker *w, struct leg *leg) {
    loop_modify(&w->loop, &leg->source, leg->source.events & ~(uint32_t) EPOLLIN);
}

static void watch_both(struct worker *w, struct flow *f) {
    watch(w, &f->client, &f->relay.to_upstream, &f->relay.to_client);
    watch(w, &f->relay.upstream, &f->relay.to_client, &f->relay.to_upstream);
}

/* It is not watched any more, because it has ended, and there is more to read than the other side took at once. */
static bool is_left(const struct leg *leg, const struct relay_way *from) {
    return !leg->source.watched && !from->ended && !way_blocked(from);
}

/* ---- ends ---- */

static void half_closed(struct worker *w, struct flow *f) {
    if (f->relay.half_closed)
        return;
    f->relay.half_closed = true;
    arm_timer(w, f);
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
    if (is_left(&f->client, &r->to_upstream) || is_left(&r->upstream, &r->to_client))
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
    /* It would tell of its end again and again: it is read from without being asked (settle()). */
    if (failed && (from->ended || way_blocked(from)))
        loop_remove(&w->loop, &leg->source);
    (void) settle(w, f);
}

static void on_client(struct loop_source *source, uint32_t events) {
    on_leg(CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client), true, events);
}

static void on_upstream(struct loop_source *source, uint32_t events) {
    on_leg(CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, relay.upstream), false, events);
}

/* On the ready list: see settle(), and ways that code. */
static void turn(struct worker *w, struct flow *f) {
    if (f->state == FLOW_LINGERING || f->relay.connecting)
        return;
    if (f->relay.error)
        relay_deliver(w, f);
    else if (!run(w, f, &f->relay.to_upstream, true) && !run(w, f, &f->relay.to_client, true))
        (void) settle(w, f);
}

/* ---- the beginning ---- */

static void on_connecting(struct loop_source *source, uint32_t events);
static void on_waiting_client(struct loop_source *source, uint32_t events);

/* The upstream is there; what it must be told first may have to wait. */
static void mark_connected(struct worker *w, struct flow *f) {
    relay_connected(w, f);
    f->relay.setup->began_usec = 0;
}

static void end_setup(struct flow *f) {
    if (!f->relay.connecting)
        return;
    upstream_unref(f->relay.setup->crowded);
    free(f->relay.setup);
    f->relay.setup = NULL;
    f->relay.connecting = false;
}

/* Bytes flow from now on. */
static void begin(struct worker *w, struct flow *f) {
    struct relay *r = &f->relay;
    int error;

    end_setup(f);
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
    arm_timer(w, f);
    /* The client's first bytes are here, most likely. */
    if (!run(w, f, &r->to_upstream, true))
        (void) settle(w, f);
}

/* What the upstream must be told first. */
static void send_header(struct worker *w, struct flow *f) {
    struct relay_setup *setup = f->relay.setup;
    ssize_t n;

    if (setup->header_sent < setup->header_size) {
        n = send(f->relay.upstream.source.fd, setup->header + setup->header_sent,
                 setup->header_size - setup->header_sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            life_end(w, f, LIFE_END_UPSTREAM, -errno);
            return;
        }
        setup->header_sent += (size_t) MAX(n, 0);
    }
    if (setup->header_sent == setup->header_size)
        begin(w, f);
}

/* Should the client go meanwhile. */
static int watch_waiting_client(struct worker *w, struct flow *f) {
    if (f->client.source.watched)
        return 0;
    f->client.source.on_event = on_waiting_client;
    return loop_add(&w->loop, &f->client.source, 0);
}

/* Waits for the upstream, or goes on at once (and may end the flow). Negative: no upstream is left. */
static int try_connect(struct worker *w, struct flow *f) {
    int r = relay_connect(w, f), added;

    if (r == -EAGAIN) {
        arm_timer(w, f);
        return watch_waiting_client(w, f);
    }
    if (r < 0)
        return r;
    if (r == 1)
        mark_connected(w, f);
    if (r == 1 && f->relay.setup->header_size == 0) {
        begin(w, f);
        return 0;
    }
    f->relay.upstream.source.on_event = on_connecting;
    added = loop_add(&w->loop, &f->relay.upstream.source, EPOLLOUT);
    if (added < 0)
        return added;
    arm_timer(w, f);
    return watch_waiting_client(w, f);
}

static void connect_on(struct worker *w, struct flow *f) {
    int r = try_connect(w, f);

    if (r < 0)
        life_end(w, f, LIFE_END_UPSTREAM, r);
}

static void fail_over(struct worker *w, struct flow *f, int error) {
    relay_give_up(w, f, error);
    connect_on(w, f);
}

static void on_connecting(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, relay.upstream);
    int error = 0;
    socklen_t size = sizeof(error);

    if (f->relay.setup->began_usec != 0) {
        if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
        if (error != 0) {
            fail_over(f->worker, f, -error);
            return;
        }
        mark_connected(f->worker, f);
    }
    send_header(f->worker, f);
}

/* ---- the PROXY header of a client that may send one ---- */

static bool is_trusted(const struct flow *f) {
    uint8_t key[16];

    if (forward_of(f)->accept_proxy->n == 0)
        return false;
    address_key(&f->peer, key);
    return cidr_list_match(forward_of(f)->accept_proxy, key) >= 0;
}

/* From here on the flow is the client's that the header names, and counts as such. */
static int take_peer(struct flow *f, const struct address *peer) {
    struct admission *a = &f->view->listener->admission;
    uint8_t before[16], key[16];

    address_key(&f->peer, before);
    address_key(peer, key);
    if (!admission_source_enter(a, key, (unsigned) flow_setting(f, SETTING_MAX_CONNECTIONS_PER_SOURCE).number))
        return -EDQUOT;
    admission_source_leave(a, before);
    f->peer = *peer;
    return 0;
}

/* A header that is not whole stays in the socket, which is to be silent until there is more of it. */
static int await_more(struct flow *f, size_t size) {
    int more = (int) size + 1;

    if (size == f->relay.setup->n_peeked)
        return -ECONNRESET; /* nothing has come but the end */
    f->relay.setup->n_peeked = size;
    return setsockopt(f->client.source.fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof(more)) < 0 ? -errno : 0;
}

/* Takes exactly the header out of the socket. 1: it is here, 0: not whole yet. */
static int read_proxy_header(struct flow *f) {
    struct relay_setup *setup = f->relay.setup;
    struct address from, to;
    uint8_t data[PROXY_READ_MAX];
    ssize_t n = recv(f->client.source.fd, data, sizeof(data), MSG_PEEK);
    bool known;
    int r, any = 1;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    r = proxy_read(data, (size_t) n, &known, &from, &to);
    if (r == -EAGAIN)
        return await_more(f, (size_t) n);
    if (r < 0)
        return r;
    if (recv(f->client.source.fd, data, (size_t) r, 0) != r ||
        setsockopt(f->client.source.fd, SOL_SOCKET, SO_RCVLOWAT, &any, sizeof(any)) < 0)
        return -EBADMSG;
    if (!known)
        return 1;
    setup->destination = to;
    setup->has_destination = true;
    r = take_peer(f, &from);
    return r < 0 ? r : 1;
}

static void refuse_proxy_header(struct worker *w, struct flow *f) {
    const char *name = f->view->listener->name;
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    stats_add(worker_stats(w, f->view), STAT_FRAME_ERRORS, 1);
    event_log(EVENT_FRAME_FAILED,
              EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_FLOW, flow_id_format(f->id, id) },
                           { FIELD_PEER, address_format(&f->peer, peer) }),
              "%s: flow %s from %s does not begin with a PROXY header, as connections from accept_proxy must; the flow "
              "is "
              "closed",
              name, id, peer);
    life_end(w, f, LIFE_END_ERROR, -EBADMSG);
}

/* The client reset the connection before its upstream was there. */
static void on_waiting_client(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client);

    life_end(f->worker, f, LIFE_END_RESET, -ECONNRESET);
}

static void on_proxy_header(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client);
    struct worker *w = f->worker;
    int r = read_proxy_header(f);

    if (r == 0)
        return;
    if (r == -EBADMSG) {
        refuse_proxy_header(w, f);
        return;
    }
    if (r == -EDQUOT)
        stats_add(worker_stats(w, f->view), STAT_REFUSED_SOURCE, 1);
    if (r < 0) {
        life_end_by_error(w, f, r);
        return;
    }
    f->relay.setup->awaits_proxy = false;
    f->client.source.on_event = on_waiting_client;
    loop_modify(&w->loop, source, 0);
    connect_on(w, f);
}

/* A flow that no upstream takes has been accepted all the same, and ends. */
static int open_relay(struct worker *w, struct flow *f) {
    bool waits = is_trusted(f);
    int r;

    f->relay.upstream.source.fd = -EBADF;
    f->relay.setup = calloc(1, sizeof(*f->relay.setup));
    if (!f->relay.setup)
        return -ENOMEM;
    f->relay.connecting = true;
    f->relay.setup->began_usec = w->loop.now_usec;
    f->relay.setup->awaits_proxy = waits;
    if (waits) {
        f->client.source.on_event = on_proxy_header;
        r = loop_add(&w->loop, &f->client.source, EPOLLIN);
        arm_timer(w, f);
    } else {
        r = try_connect(w, f);
    }
    if (r < 0)
        life_end(w, f, LIFE_END_UPSTREAM, r);
    return 0;
}

/* ---- the rest of the engine ---- */

static void expire_setup(struct worker *w, struct flow *f) {
    if (f->relay.setup->awaits_proxy)
        refuse_proxy_header(w, f);
    else if (f->relay.setup->began_usec == 0)
        life_end(w, f, LIFE_END_UPSTREAM, -ETIMEDOUT);
    else
        fail_over(w, f, -ETIMEDOUT);
}

static void expire(struct worker *w, struct flow *f) {
    if (f->relay.error)
        relay_deliver(w, f);
    else if (f->state != FLOW_OPEN)
        life_end(w, f, LIFE_END_CLOSED, 0);
    else if (f->relay.connecting && is_due(w, f->relay.setup->began_usec, setting_usec(f, SETTING_CONNECT_TIMEOUT)))
        expire_setup(w, f);
    else if (f->relay.connecting && f->relay.setup->crowded)
        connect_on(w, f);
    else if (is_due(w, f->active_usec, setting_usec(f, SETTING_IDLE_TIMEOUT)) ||
             (f->relay.half_closed && is_due(w, f->active_usec, setting_usec(f, SETTING_HALF_CLOSE_TIMEOUT))))
        life_end(w, f, LIFE_END_IDLE, 0);
    else
        arm_timer(w, f);
}

static void finish(struct worker *w, struct flow *f) {
    if (f->state != FLOW_OPEN)
        return;
    if (f->relay.connecting) {
        life_end(w, f, LIFE_END_CLOSED, 0);
        return;
    }
    f->state = FLOW_FINISHING;
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
    end_setup(f);
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
    .open = open_relay,
    .turn = turn,
    .expire = expire,
    .finish = finish,
    .release = release,
    .apply = apply,
    .changed = arm_timer,
    .describe = describe,
    .upstream = upstream_socket,
    .to = upstream_of,
};
