/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "datagram_batch.h"
#include "event.h"

/* A send may tell of an ICMP error for an earlier reply instead of its own: one that meets this many errors in a row is lost, unless
 * ICMP errors do come in. Anybody can forge them, one for each try: then it is tried longer, but not for ever. */
#define TRIES_MAX 16
#define FLOODED_TRIES_MAX (32 * TRIES_MAX)

/* How long a reply waits for room in the device's queue, about half a second. A filter that drops its packets, tc(8), looks the
 * same: where waiting does not help nobody waits for a while, since all other peers of the endpoint wait as well. */
#define RESTS_MAX 50
#define NO_REST_USEC (10 * USEC_PER_SEC)

/* For how many sends replies go singly after the device's queue was full: some, like tbf and cake, take groups apart, and tell
 * nobody when they drop a part. */
#define CROWDED_SENDS 64

/* What follows from a message that the kernel did not take. */
enum verdict {
    AGAIN,
    WAIT_ROOM,   /* the socket's buffer is full */
    REST,        /* the device's queue is */
    CROWDED,     /* it is for a whole group */
    SINGLY,      /* this group has no place in one send: over the path's MTU, say */
    NEVER_WHOLE, /* no group has: the device cannot complete checksums, or the route is encrypted */
    LOST,
};

static enum verdict judge(int error, bool whole) {
    switch (error) {
    case EINTR:
        return AGAIN;
    case EAGAIN:
        return WAIT_ROOM;
    case ENOBUFS:
    case ENOMEM:
        return whole ? CROWDED : REST;
    case EMSGSIZE:
    case EINVAL:
        return whole ? SINGLY : LOST;
    case EIO:
        return whole ? NEVER_WHOLE : LOST;
    default:
        return LOST;
    }
}

static void enter(struct datagram_batch *b, struct datagram_cursor *c, unsigned group) {
    *c = (struct datagram_cursor){ .group = group };
    if (group < b->groups.n)
        c->reply = b->groups.items[group].first;
}

static bool is_whole(const struct endpoint_source *s, const struct datagram_batch *b, const struct datagram_cursor *c) {
    return b->groups.items[c->group].n > 1 && !c->singly && !s->never_whole && s->crowded == 0;
}

/* Past one message. */
static void step(const struct endpoint_source *s, struct datagram_batch *b, struct datagram_cursor *c) {
    if (is_whole(s, b, c) || c->reply == b->groups.items[c->group].last)
        enter(b, c, c->group + 1);
    else
        *c = (struct datagram_cursor){ c->group, c->singly, b->groups.replies[c->reply].next };
}

static void add_message(struct datagram_batch *b, const struct datagram_cursor *c, bool whole) {
    const struct datagram_group *g = &b->groups.items[c->group];
    struct datagram_route *route = &b->routes.items[g->route];
    const struct datagram_reply *reply = &b->groups.replies[c->reply];
    struct datagram_outbox *o = &b->outbox;
    unsigned at = o->n++;
    struct msghdr *msg = &o->messages[at].msg_hdr;

    *msg = (struct msghdr){
        .msg_name = &route->peer.sa,
        .msg_namelen = route->peer.size,
        .msg_iov = &o->iov[o->n_iov],
        .msg_control = route->control_size > 0 ? &route->control : NULL,
        .msg_controllen = route->control_size,
    };
    datagram_add_span(msg, reply);
    o->n_replies[at] = 1;
    if (!whole) {
        o->n_iov++;
        return;
    }
    memcpy(&o->controls[at], &route->control, route->control_size);
    datagram_control_add_segment(msg, &o->controls[at], (uint16_t) reply->size);
    for (; o->n_replies[at] < g->n; o->n_replies[at]++) {
        reply = &b->groups.replies[reply->next];
        datagram_add_span(msg, reply);
    }
    o->n_iov += (unsigned) msg->msg_iovlen;
}

static void fill_outbox(const struct endpoint_source *s, struct datagram_batch *b) {
    struct datagram_cursor c = b->cursor;
    unsigned most = c.tries > 0 ? 1 : DATAGRAM_SENDS; /* another try should come before another error */

    b->outbox.n = b->outbox.n_iov = 0;
    for (; b->outbox.n < most && c.group < b->groups.n; step(s, b, &c))
        add_message(b, &c, is_whole(s, b, &c));
}

static void on_sent(struct endpoint_source *s, struct datagram_batch *b, unsigned n) {
    struct stats *stats = worker_stats(s->worker, s->view);

    for (unsigned i = 0; i < n; i++) {
        stats_add(stats, STAT_TX_BYTES, b->outbox.messages[i].msg_len);
        stats_add(stats, STAT_TX_DATAGRAMS, b->outbox.n_replies[i]);
        step(s, b, &b->cursor);
    }
}

static void on_lost(struct endpoint_source *s, struct datagram_batch *b, int error) {
    const struct datagram_group *g = &b->groups.items[b->cursor.group];
    const char *name = s->view->listener->name;
    unsigned n = b->outbox.n_replies[0];
    char peer[ADDRESS_TEXT_MAX];

    stats_add(worker_stats(s->worker, s->view), error == EMSGSIZE ? STAT_TX_TOO_LARGE : STAT_TX_DROPPED, n);
    address_format(&b->routes.items[g->route].peer, peer);
    event_log(EVENT_DATAGRAM_FAILED, EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_PEER, peer }),
              "%s: %u repl%s of %u bytes to %s %s not sent: %s", name, n, n == 1 ? "y" : "ies",
              b->groups.replies[b->cursor.reply].size, peer, n == 1 ? "was" : "were", strerror(error));
    step(s, b, &b->cursor);
}

static void on_never_whole(struct endpoint_source *s) {
    const char *name = s->view->listener->name;

    s->never_whole = true;
    event_log(EVENT_SEGMENTATION_OFF, EVENT_FIELDS({ FIELD_LISTENER, name }),
              "%s: replies from %s go out one by one from now on: the way out has no segmentation offload for UDP",
              name, s->endpoint->text);
}

static bool may_rest(struct endpoint_source *s, struct datagram_cursor *c) {
    uint64_t now_usec = s->worker->loop.now_usec;

    if (s->removed || now_usec < s->no_rest_until_usec)
        return false;
    if (c->rests == RESTS_MAX) {
        s->no_rest_until_usec = now_usec + NO_REST_USEC;
        return false;
    }
    c->rests++;
    return true;
}

/* Counts one more error of the first message: should it be tried again? */
static bool may_try(struct endpoint_source *s, struct datagram_cursor *c) {
    if (++c->tries % TRIES_MAX > 0)
        return true;
    return datagram_take_errors(s) && c->tries < FLOODED_TRIES_MAX;
}

/* The first message of the outbox was refused. False: it must wait. */
static bool on_refused(struct endpoint_source *s, struct datagram_batch *b, int error) {
    switch (judge(error, is_whole(s, b, &b->cursor))) {
    case WAIT_ROOM:
        if (!s->removed) {
            datagram_wait_room(s);
            return false;
        }
        on_lost(s, b, error);
        break;
    case REST:
        if (may_rest(s, &b->cursor)) {
            datagram_rest(s);
            return false;
        }
        on_lost(s, b, error);
        break;
    case CROWDED:
        s->crowded = CROWDED_SENDS;
        break;
    case SINGLY:
        b->cursor.singly = true;
        break;
    case NEVER_WHOLE:
        on_never_whole(s);
        break;
    case LOST:
        if (!may_try(s, &b->cursor))
            on_lost(s, b, error);
        break;
    case AGAIN:
        break;
    }
    return true;
}

bool datagram_send(struct endpoint_source *s, struct datagram_batch *b) {
    /* A cursor of zeros is at the first reply of the first group. */
    while (b->cursor.group < b->groups.n) {
        int r;

        fill_outbox(s, b);
        r = sendmmsg(s->source.fd, b->outbox.messages, b->outbox.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r > 0)
            on_sent(s, b, (unsigned) r);
        else if (!on_refused(s, b, errno))
            return false;
    }
    if (b->groups.n > 0 && s->crowded > 0)
        s->crowded--;
    datagram_groups_clear(&b->groups);
    b->cursor = (struct datagram_cursor){ 0 };
    b->coded.used = 0;
    return true;
}
