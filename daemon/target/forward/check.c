/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "health.h"
#include "ward.h"

/* The longest that a connection which checks may take. */
#define CHECK_USEC (5 * USEC_PER_SEC)

static void arm(struct ward *w, uint64_t at_usec) {
    wheel_arm(&w->helper->loop.wheel, &w->checking.timer, at_usec);
}

static void hang_up(struct ward *w) {
    struct loop_source *source = &w->checking.source;

    loop_remove(&w->helper->loop, source);
    source->fd = close_fd(source->fd);
}

/* The connection is there, or failed: `error` is a negative errno or 0. */
static void judge(struct ward *w, int error) {
    hang_up(w);
    if (error < 0)
        health_failed(w->listener, w->upstream, &w->health, error, w->helper->loop.now_usec);
    else
        health_passed(w->listener, w->upstream);
    arm(w, w->checking.began_usec + w->check_interval_usec);
}

static void on_connected(struct loop_source *source, uint32_t events) {
    struct ward *w = CONTAINER_OF(source, struct ward, checking.source);
    socklen_t size = sizeof(int);
    int error;

    if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    judge(w, -error);
}

/* 0: the name is not resolved. */
static socklen_t destination(struct ward *w, struct sockaddr_storage *ret) {
    const char *path = w->upstream->conf.path;
    struct sockaddr_un *un = (struct sockaddr_un *) ret;
    struct address addresses[UPSTREAM_ADDRESSES_MAX], *a;
    unsigned n;

    if (path) {
        *un = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(un->sun_path, path, strlen(path));
        return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
    }
    n = upstream_addresses(w->upstream, addresses);
    if (n == 0)
        return 0;
    /* Not in the turn of the flows, which are spread over the addresses by it. */
    a = &addresses[w->checking.turn++ % n];
    memcpy(ret, &a->sa, a->size);
    return a->size;
}

static void begin(struct ward *w) {
    struct checking *c = &w->checking;
    struct sockaddr_storage to;
    socklen_t size = destination(w, &to);
    int r;

    c->began_usec = w->helper->loop.now_usec;
    if (size == 0 || upstream_order(w->upstream) == UPSTREAM_DISABLED) {
        arm(w, c->began_usec + w->check_interval_usec);
        return;
    }
    c->source = (struct loop_source){ .on_event = on_connected };
    c->source.fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->source.fd < 0) {
        arm(w, c->began_usec + w->check_interval_usec); /* our own want says nothing about the upstream */
        return;
    }
    r = connect(c->source.fd, (struct sockaddr *) &to, size) < 0 ? -errno : 0;
    if (r == -EINPROGRESS)
        r = loop_add(&w->helper->loop, &c->source, EPOLLOUT);
    if (!c->source.watched)
        judge(w, r);
    else
        arm(w, c->began_usec + CHECK_USEC);
}

static void on_timer(struct timer *timer) {
    struct ward *w = CONTAINER_OF(timer, struct ward, checking.timer);

    if (w->checking.source.fd >= 0)
        judge(w, -ETIMEDOUT);
    else
        begin(w);
}

void check_begin(struct ward *w) {
    struct checking *c = &w->checking;

    c->timer.on_expire = on_timer;
    if (w->check_interval_usec == 0 || w->upstream->conf.type != SOCK_STREAM)
        check_end(w);
    else if (c->source.fd < 0)
        arm(w, MIN(c->began_usec + w->check_interval_usec, w->helper->loop.now_usec + w->check_interval_usec));
}

void check_end(struct ward *w) {
    wheel_disarm(&w->helper->loop.wheel, &w->checking.timer);
    hang_up(w);
}
