/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "accept.h"
#include "marks.h"
#include "rate.h"
#include "session.h"

/* What one turn sends to upstreams: the batch's groups, whose routes are pairs of session and mark. */
struct up {
    struct endpoint_source *s;
    struct datagram_batch *b;
    struct stats *stats;
    struct session *sessions[DATAGRAM_ROUTES]; /* by route */
};

/* ---- sending ---- */

/* One message: `n` datagrams of the group from `first` on. 0 or -errno. */
static int send_once(const struct up *up, const struct datagram_group *g, uint16_t first, unsigned n,
                     uint16_t *ret_next) {
    struct datagram_route *route = &up->b->routes.items[g->route];
    const struct datagram_reply *replies = up->b->groups.replies;
    union datagram_control control = route->control;
    struct msghdr msg = {
        .msg_iov = up->b->outbox.iov,
        .msg_control = route->control_size > 0 ? &control : NULL,
        .msg_controllen = route->control_size,
    };
    uint16_t at = first;
    ssize_t sent;

    for (unsigned i = 0; i < n; i++) {
        datagram_add_span(&msg, &replies[at]);
        if (i + 1 < n)
            at = replies[at].next;
    }
    *ret_next = replies[at].next;
    if (n > 1)
        datagram_control_add_segment(&msg, &control, (uint16_t) replies[first].size);
    do
        sent = sendmsg(up->sessions[g->route]->upstream.source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return -errno;
    upstream_count(&up->sessions[g->route]->to->counters[up->s->worker->index].tx_bytes, (uint64_t) sent);
    up->sessions[g->route]->upstream.tx_bytes += (uint64_t) sent;
    return 0;
}

/* An ICMP error of an earlier datagram is told instead of sending this one: it is sent again. */
static bool is_of_earlier(int error) {
    return error == -ECONNREFUSED || error == -EHOSTUNREACH || error == -ENETUNREACH || error == -EHOSTDOWN;
}

static int send_again(const struct up *up, const struct datagram_group *g, uint16_t first, unsigned n,
                      uint16_t *ret_next, int *ret_earlier) {
    int r = send_once(up, g, first, n, ret_next);

    if (!is_of_earlier(r))
        return r;
    *ret_earlier = r;
    return send_once(up, g, first, n, ret_next);
}

static void drop(const struct up *up, const struct datagram_group *g, unsigned n, int error) {
    stats_add(up->stats, error == -EMSGSIZE ? STAT_TX_TOO_LARGE : STAT_TX_DROPPED, n);
}

static void send_singly(const struct up *up, const struct datagram_group *g, int *ret_earlier) {
    uint16_t at = g->first;

    for (unsigned i = 0; i < g->n; i++) {
        int r = send_again(up, g, at, 1, &at, ret_earlier);

        if (r < 0)
            drop(up, g, 1, r);
    }
}

/* Returns what an earlier datagram met, or 0. */
static int send_group(const struct up *up, const struct datagram_group *g) {
    struct session *s = up->sessions[g->route];
    int earlier = 0, r;
    uint16_t next;

    if (g->n == 1 || s->never_whole) {
        send_singly(up, g, &earlier);
        return earlier;
    }
    r = send_again(up, g, g->first, g->n, &next, &earlier);
    if (r == -EIO)
        s->never_whole = true;
    if (r == -EIO || r == -EMSGSIZE || r == -EINVAL)
        send_singly(up, g, &earlier);
    else if (r < 0)
        drop(up, g, g->n, r);
    return earlier;
}

/* All that is grouped. Sessions may end by it: no route is valid afterwards. */
static void send_all(struct up *up) {
    struct datagram_groups *groups = &up->b->groups;
    int failed[DATAGRAM_ROUTES] = { 0 };

    for (unsigned i = 0; i < groups->n; i++) {
        int r = send_group(up, &groups->items[i]);

        if (r < 0)
            failed[groups->items[i].route] = r;
    }
    for (unsigned i = 0; i < up->b->routes.n; i++) {
        bool told = !failed[i];

        /* Another route of the same session has told it already, and the session may be gone. */
        for (unsigned j = 0; j < i && !told; j++)
            told = failed[j] && up->sessions[j] == up->sessions[i];
        if (!told)
            (void) session_failed(up->sessions[i], failed[i]);
    }
    datagram_groups_clear(groups);
    up->b->routes.n = 0;
}

/* ---- receiving ---- */

/* The route of the open message: there are as many as messages. */
static unsigned route_of(struct up *up, struct session *s) {
    const struct datagram_meta *meta = &up->b->intake.meta;
    const struct datagram_meta mark = { .has_tos = meta->has_tos,
                                        .tos = forward_map_tos(session_forward(s), meta->tos) };
    struct datagram_routes *routes = &up->b->routes;
    struct datagram_route *new = &routes->items[routes->n];
    struct sockaddr_storage to = { .ss_family = s->domain };
    struct msghdr msg = { .msg_name = &to };

    datagram_control_write(&msg, &new->control, &mark, marks_pass(&s->flow->client.set->upstream));
    new->control_size = msg.msg_controllen;
    new->destination = (uint8_t) routes->n;
    for (unsigned i = 0; i < routes->n; i++) {
        if (up->sessions[i] != s)
            continue;
        if (routes->items[i].control_size == new->control_size &&
            memcmp(&routes->items[i].control, &new->control, new->control_size) == 0)
            return i;
        new->destination = routes->items[i].destination;
    }
    up->sessions[routes->n] = s;
    return routes->n++;
}

static void refuse(const struct up *up, int error) {
    const char *name = up->s->view->listener->name;
    const struct datagram_intake *in = &up->b->intake;
    enum counter counter = error == -EDQUOT ? STAT_REFUSED_SOURCE : STAT_REFUSED_UNAVAILABLE;
    char peer[ADDRESS_TEXT_MAX];

    stats_add(up->stats, counter, in->n_parts);
    event_log(EVENT_FLOW_REFUSED,
              EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_PEER, address_format(datagram_intake_peer(in), peer) }),
              "%s: no session for %s: %s", name, peer,
              error == -EUSERS   ? "max_connections is reached"
              : error == -EDQUOT ? "max_connections_per_source is reached"
                                 : strerror(-error));
}

/* The session of the open message, or NULL: it was refused and counted. */
static struct session *find_session(struct up *up) {
    const struct datagram_intake *in = &up->b->intake;
    const struct address *peer = datagram_intake_peer(in);
    struct session *s = sessions_find(sessions_of(up->s), peer, &in->meta);
    uint8_t key[16];
    int r;

    if (s)
        return s;
    address_key(peer, key);
    if (!accept_permits(&up->s->view->set->settings, key)) {
        stats_add(up->stats, STAT_REFUSED_DENIED, in->n_parts);
        return NULL;
    }
    /* It may evict one that this turn sends to. */
    send_all(up);
    r = session_open(up->s, peer, &in->meta, &s);
    if (r >= 0)
        return s;
    refuse(up, r);
    return NULL;
}

static void forward_message(struct up *up) {
    struct datagram_batch *b = up->b;
    struct session *s;
    struct span span;
    unsigned route;
    bool limited;

    datagram_count_received(up->s, &b->intake);
    s = find_session(up);
    if (!s) {
        datagram_intake_skip(&b->intake);
        return;
    }
    sessions_touch(sessions_of(up->s), s);
    s->flow->active_usec = up->s->worker->loop.now_usec;
    session_asks(s);
    s->flow->client.rx_bytes += b->intake.size;
    if (b->groups.n_replies + b->intake.n_parts > DATAGRAM_REPLIES)
        send_all(up);
    route = route_of(up, s);
    limited = rate_applies(s->flow);
    while (datagram_intake_take(&b->intake, &span))
        if (limited && !rate_permits_session(up->s->worker, s->flow, span.size))
            stats_add(up->stats, STAT_RATE_LIMITED, 1);
        else
            datagram_groups_add(&b->groups, &b->routes, route, span.data, span.size);
}

static void forward_batch(struct endpoint_source *s, struct datagram_batch *b) {
    struct up up = { .s = s, .b = b, .stats = worker_stats(s->worker, s->view) };

    b->routes.n = 0;
    datagram_intake_receive(&b->intake, s->source.fd, NULL);
    while (datagram_intake_open(&b->intake))
        forward_message(&up);
    send_all(&up);
}

static void forward_new(struct endpoint_source *s, struct datagram_batch *b) {
    unsigned i = 0;

    do
        forward_batch(s, b);
    while (++i < DATAGRAM_BATCHES && datagram_intake_is_full(&b->intake));
}

static void turn(struct endpoint_source *s, uint32_t events) {
    bool kept = s->kept;
    struct datagram_batch *b;

    if (!datagram_has_turn(s, events))
        return;
    if (!sessions_of(s))
        s->own = sessions_new();
    b = sessions_of(s) ? datagram_batch_take(s) : NULL;
    if (!b) {
        datagram_rest(s);
        return;
    }
    /* Replies that the socket had no room for. */
    if (kept && !datagram_send(s, b)) {
        datagram_batch_keep(s, b);
        return;
    }
    loop_modify(&s->worker->loop, &s->source, EPOLLIN);
    if (!kept)
        forward_new(s, b);
    datagram_batch_give_back(s, b);
    if (kept)
        sessions_resume(s);
}

static void start(struct endpoint_source *s) {
    datagram_begin(s);
    s->own = sessions_new();
    if (!s->own) /* nothing is read until there is some */
        event_log(EVENT_INTERNAL_ERROR, EVENT_NO_FIELDS, "no memory for the sessions of %s", s->endpoint->text);
}

static void stop(struct endpoint_source *s) {
    if (s->kept) {
        struct datagram_batch *b = datagram_batch_take(s);

        (void) !datagram_send(s, b);
        datagram_batch_give_back(s, b);
    }
    while (sessions_of(s) && sessions_of(s)->oldest)
        life_end(s->worker, sessions_of(s)->oldest->flow, LIFE_END_CLOSED, 0);
    s->own = sessions_free(s->own);
    datagram_end(s);
}

const struct datagram_ops forward_datagrams = {
    .start = start,
    .turn = turn,
    .stop = stop,
    .engine = &session_engine,
};
