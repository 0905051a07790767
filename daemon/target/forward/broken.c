/* SPDX-License-Identifier: MIT */
/* Flows of which one leg's socket failed: the other one gets what the failed one had sent before, then a reset. */
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "rate.h"
#include "recode.h"
#include "relay.h"

/* So long may it take nothing of it. */
#define DELIVER_USEC (10 * USEC_PER_SEC)
/* How often we look whether the peer has acknowledged everything. */
#define LOOK_USEC (10 * USEC_PER_MSEC)

static void end(struct worker *w, struct flow *f) {
    if (f->relay.client_failed)
        life_end_by_error(w, f, f->relay.error);
    else
        life_end(w, f, LIFE_END_UPSTREAM, f->relay.error);
}

/* A reset makes TCP forget what the peer has not acknowledged. */
static bool is_unacknowledged(const struct flow *f, const struct leg *leg) {
    int n;

    if (leg == &f->relay.upstream && f->relay.to->conf.path)
        return false;
    return ioctl(leg->source.fd, SIOCOUTQ, &n) >= 0 && n > 0;
}

void relay_deliver(struct worker *w, struct flow *f) {
    struct relay_way *way = f->relay.client_failed ? &f->relay.to_upstream : &f->relay.to_client;
    struct leg *to = f->relay.client_failed ? &f->relay.upstream : &f->client;
    int ignored;
    enum way_result result = way_run(w, f, way, true, &ignored);
    bool over = result == WAY_RECEIVER_GONE || f->active_usec + DELIVER_USEC <= w->loop.now_usec;

    way->ended |= result == WAY_SENDER_GONE;
    if (!over && way_blocked(way)) {
        loop_modify(&w->loop, &to->source, EPOLLOUT);
        wheel_arm(&w->loop.wheel, &f->timer, f->active_usec + DELIVER_USEC);
    } else if (!over && (!way->ended || recode_has_kept(recode_of_way(f, way)))) {
        worker_ready(w, f);
    } else if (!over && is_unacknowledged(f, to)) {
        loop_modify(&w->loop, &to->source, 0);
        wheel_arm(&w->loop.wheel, &f->timer, w->loop.now_usec + LOOK_USEC);
    } else {
        end(w, f);
    }
}

void relay_leg_gone(struct worker *w, struct flow *f, bool client, int error) {
    struct relay *r = &f->relay;
    struct relay_way *from = client ? &r->to_upstream : &r->to_client;
    struct relay_way *to = client ? &r->to_client : &r->to_upstream;
    struct way_coding *c = recode_of_way(f, from);

    if (r->error) { /* so did the other one */
        end(w, f);
        return;
    }
    rate_lift(f); /* what is left is read without a limit */
    r->error = error;
    r->client_failed = client;
    f->state = FLOW_FINISHING;
    f->active_usec = w->loop.now_usec;
    loop_remove(&w->loop, client ? &f->client.source : &r->upstream.source);
    stats_add(worker_stats(w, f->view), STAT_LOST_BYTES, way_drop(w, to));
    to->ended = to->shut = true;
    from->shut = true; /* a reset takes the place of the end */
    if (c)
        c->finished = true;
    relay_deliver(w, f);
}

void relay_broken_event(struct worker *w, struct flow *f, uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP))
        end(w, f);
    else
        relay_deliver(w, f);
}
