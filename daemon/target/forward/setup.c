/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "relay.h"

static void on_connecting(struct loop_source *source, uint32_t events);
static void on_waiting_client(struct loop_source *source, uint32_t events);

/* The upstream is there; what it must be told first may have to wait. */
static void mark_connected(struct worker *w, struct flow *f) {
    relay_connected(w, f);
    f->relay.setup->began_usec = 0;
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
        relay_begin(w, f);
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
        relay_arm_timer(w, f);
        return watch_waiting_client(w, f);
    }
    if (r < 0)
        return r;
    if (r == 1)
        mark_connected(w, f);
    if (r == 1 && f->relay.setup->header_size == 0) {
        relay_begin(w, f);
        return 0;
    }
    f->relay.upstream.source.on_event = on_connecting;
    added = loop_add(&w->loop, &f->relay.upstream.source, EPOLLOUT);
    if (added < 0)
        return added;
    relay_arm_timer(w, f);
    return watch_waiting_client(w, f);
}

void relay_connect_on(struct worker *w, struct flow *f) {
    int r = try_connect(w, f);

    if (r < 0)
        life_end(w, f, LIFE_END_UPSTREAM, r);
}

static void fail_over(struct worker *w, struct flow *f, int error) {
    relay_give_up(w, f, error);
    relay_connect_on(w, f);
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

/* The client reset the connection before its upstream was there. */
static void on_waiting_client(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client);

    life_end(f->worker, f, LIFE_END_RESET, -ECONNRESET);
}

static void on_proxy_header(struct loop_source *source, uint32_t events) {
    struct flow *f = CONTAINER_OF(CONTAINER_OF(source, struct leg, source), struct flow, client);
    struct worker *w = f->worker;
    int r = relay_read_proxy_header(f);

    if (r == 0)
        return;
    if (r == -EBADMSG) {
        relay_refuse_proxy_header(w, f);
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
    relay_connect_on(w, f);
}

/* A flow that no upstream takes has been accepted all the same, and ends. */
int relay_setup_open(struct worker *w, struct flow *f) {
    bool waits = relay_is_trusted(f);
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
        relay_arm_timer(w, f);
    } else {
        r = try_connect(w, f);
    }
    if (r < 0)
        life_end(w, f, LIFE_END_UPSTREAM, r);
    return 0;
}

void relay_setup_expired(struct worker *w, struct flow *f) {
    if (f->relay.setup->awaits_proxy)
        relay_refuse_proxy_header(w, f);
    else if (f->relay.setup->began_usec == 0)
        life_end(w, f, LIFE_END_UPSTREAM, -ETIMEDOUT);
    else
        fail_over(w, f, -ETIMEDOUT);
}

void relay_setup_done(struct flow *f) {
    if (!f->relay.connecting)
        return;
    upstream_unref(f->relay.setup->crowded);
    free(f->relay.setup);
    f->relay.setup = NULL;
    f->relay.connecting = false;
}
