/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/epoll.h>

#include "marks.h"
#include "session.h"

/* The endpoint waits for room: this session is not read from meanwhile. */
static void pause_session(struct session *s) {
    struct sessions *t = sessions_of(s->from);

    if (s->paused)
        return;
    s->paused = true;
    s->next_paused = t->paused;
    t->paused = s;
    loop_modify(&s->from->worker->loop, &s->upstream.source, 0);
}

void sessions_resume(struct endpoint_source *from) {
    struct sessions *t = sessions_of(from);

    for (struct session *s = t->paused, *next; s; s = next) {
        next = s->next_paused;
        s->paused = false;
        loop_modify(&from->worker->loop, &s->upstream.source, EPOLLIN);
    }
    t->paused = NULL;
}

/* Groups all that was received, as replies to the client. */
static void collect(struct session *s, struct datagram_batch *b) {
    struct worker *w = s->from->worker;
    bool passes = marks_pass(&s->flow->client.set->settings);
    struct span span;

    b->routes.n = 0;
    while (datagram_intake_open(&b->intake)) {
        struct datagram_meta meta = s->local;
        unsigned route;

        meta.has_tos = b->intake.meta.has_tos;
        meta.tos = forward_map_tos(session_forward(s), b->intake.meta.tos);
        route = datagram_routes_find(&b->routes, &s->flow->peer, &meta, passes);
        s->upstream.rx_bytes += b->intake.size;
        s->flow->client.tx_bytes += b->intake.size;
        upstream_count(&s->to->counters[w->index].rx_bytes, b->intake.size);
        while (b->groups.n_replies < DATAGRAM_REPLIES && datagram_intake_take(&b->intake, &span))
            datagram_groups_add(&b->groups, &b->routes, route, span.data, span.size);
        if (b->intake.part < b->intake.n_parts)
            stats_add(worker_stats(w, s->from->view), STAT_TX_DROPPED, b->intake.n_parts - b->intake.part);
    }
}

static void relay_down(struct session *s, struct datagram_batch *b, int *ret_error) {
    struct endpoint_source *from = s->from;

    if (datagram_intake_receive(&b->intake, s->upstream.source.fd, ret_error) == 0) {
        datagram_batch_give_back(from, b);
        return;
    }
    sessions_touch(sessions_of(from), s);
    s->flow->active_usec = from->worker->loop.now_usec;
    session_proved(s);
    collect(s, b);
    if (datagram_send(from, b))
        datagram_batch_give_back(from, b);
    else
        datagram_batch_keep(from, b);
}

void session_receive(struct loop_source *source, uint32_t events) {
    struct session *s = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct session, upstream);
    struct datagram_batch *b;
    int error = 0, pending;

    if (events & EPOLLERR && datagram_drain_errors(source->fd, &pending) > 0) {
        stats_add(worker_stats(s->from->worker, s->from->view), STAT_ICMP_ERRORS, 1);
        if (session_failed(s, pending ? -pending : -ECONNREFUSED))
            return;
    }
    if (!(events & EPOLLIN))
        return;
    if (s->from->kept) {
        pause_session(s);
        return;
    }
    b = datagram_batch_take(s->from);
    if (!b)
        return; /* level-triggered: it comes again */
    relay_down(s, b, &error);
    if (error < 0)
        (void) session_failed(s, error);
}
