/* SPDX-License-Identifier: MIT */
#include "accept.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "life.h"

/* Connections taken a turn: the flows that exist want their turn as well, and the other workers their share. */
#define ACCEPTS_PER_TURN 16

/* How long accepting rests when descriptors or memory are short. */
#define RETRY_USEC (100 * USEC_PER_MSEC)

/* A full listener is woken by the flow that makes room; this is for a wake-up lost for want of memory. */
#define FULL_RETRY_USEC USEC_PER_SEC

static void rest(struct endpoint_source *from, int error) {
    struct worker *w = from->worker;

    event_log(EVENT_ACCEPT_FAILED, EVENT_FIELDS({ FIELD_LISTENER, from->view ? from->view->listener->name : NULL }),
              "%s: cannot accept on %s: %s; trying again in 100 ms, clients wait in the queue",
              from->view ? from->view->listener->name : "unclaimed socket", from->endpoint->text, strerror(-error));
    loop_remove(&w->loop, &from->source);
    wheel_arm(&w->loop.wheel, &from->retry, w->loop.now_usec + RETRY_USEC);
}

static void pause_full(struct endpoint_source *from, int64_t limit) {
    const char *name = from->view->listener->name;

    stats_add(worker_stats(from->worker, from->view), STAT_PAUSED_FULL, 1);
    event_log(EVENT_LISTENER_FULL, EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_SETTING, "max_connections" }),
              "%s: max_connections (%lld) is reached; new clients wait in the queue", name, (long long) limit);
    loop_remove(&from->worker->loop, &from->source);
    wheel_arm(&from->worker->loop.wheel, &from->retry, from->worker->loop.now_usec + FULL_RETRY_USEC);
}

/* 1: took one, 0: nothing waits, -ECONNABORTED: that one is gone, other errors: the daemon is short of something. */
static int take(int listen_fd, int *ret_fd, struct address *ret_peer) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof(sa);
    int fd = accept4(listen_fd, (struct sockaddr *) &sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        switch (errno) {
        case EAGAIN:
            return 0;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return -errno;
        default: /* network errors of the connection itself, see accept(2) */
            return -ECONNABORTED;
        }
    }
    if (address_from_sockaddr((struct sockaddr *) &sa, size, ret_peer) < 0) {
        life_reset(fd);
        return -ECONNABORTED;
    }
    *ret_fd = fd;
    return 1;
}

bool accept_permits(const struct settings *set, const uint8_t key[static 16]) {
    const struct cidr_list *allow = set->v[SETTING_ALLOW].cidrs, *deny = set->v[SETTING_DENY].cidrs;
    int allowed = cidr_list_match(allow, key), denied = cidr_list_match(deny, key);

    /* The most specific entry wins, a tie denies; who is on no list may come in when nobody in particular is allowed. */
    if (allowed < 0 && denied < 0)
        return allow->n == 0;
    return allowed > denied;
}

static void refuse(struct endpoint_source *from, int fd, const struct address *peer, enum counter counter,
                   const char *why) {
    const char *name = from->view->listener->name;
    char text[ADDRESS_TEXT_MAX];

    life_reset(fd);
    stats_add(worker_stats(from->worker, from->view), counter, 1);
    event_log(EVENT_FLOW_REFUSED, EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_PEER, address_format(peer, text) }),
              "%s: connection from %s refused: %s", name, text, why);
}

/* False: refused, and the socket is closed. */
static bool admit(struct endpoint_source *from, int fd, const struct address *peer) {
    const struct settings *set = &from->view->set->settings;
    struct admission *a = &from->view->listener->admission;
    unsigned limit = (unsigned) set->v[SETTING_MAX_CONNECTIONS_PER_SOURCE].number;
    uint8_t key[16];
    int r;

    address_key(peer, key);
    if (!accept_permits(set, key)) {
        refuse(from, fd, peer, STAT_REFUSED_DENIED, "not permitted by allow and deny");
        return false;
    }
    if (!admission_source_enter(a, key, limit)) {
        refuse(from, fd, peer, STAT_REFUSED_SOURCE, "max_connections_per_source is reached");
        return false;
    }
    r = life_open(from, fd, peer);
    if (r < 0) {
        admission_source_leave(a, key);
        refuse(from, fd, peer, STAT_REFUSED_UNAVAILABLE, strerror(-r));
        return false;
    }
    stats_add(worker_stats(from->worker, from->view), STAT_ACCEPTED, 1);
    return true;
}

void accept_turn(struct endpoint_source *from) {
    struct worker *w = from->worker;
    struct listener *l = from->view->listener;
    int64_t limit = from->view->set->settings.v[SETTING_MAX_CONNECTIONS].number;
    struct address peer;
    int fd = -EBADF, r;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (!admission_enter(&l->admission, (unsigned) limit, w->index)) {
            pause_full(from, limit);
            return;
        }
        r = take(from->source.fd, &fd, &peer);
        if (r == 1 && admit(from, fd, &peer))
            continue;
        worker_leave(w, l);
        if (r == 0)
            return;
        if (r < 0 && r != -ECONNABORTED) {
            rest(from, r);
            return;
        }
    }
}

void accept_refuse(struct endpoint_source *from) {
    struct address peer;
    int fd = -EBADF, r;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        r = take(from->source.fd, &fd, &peer);
        if (r == 1) {
            life_reset(fd);
        } else if (r == 0) {
            return;
        } else if (r != -ECONNABORTED) {
            rest(from, r);
            return;
        }
    }
}
