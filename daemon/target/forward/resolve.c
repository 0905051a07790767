/* SPDX-License-Identifier: MIT */
#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "event.h"
#include "helper.h"
#include "ward.h"

#define WAIT_USEC_MIN USEC_PER_SEC
#define WAIT_USEC_MAX (3600 * USEC_PER_SEC)
#define BACK_OFF_DOUBLINGS 6 /* up to 64 s */

#define QUESTIONS_MAX 64 /* at a time */
#define TURNED_AWAY_USEC (100 * USEC_PER_MSEC)

static void ask_in(struct ward *w, uint64_t usec) {
    wheel_arm(&w->helper->loop.wheel, &w->resolving.timer, w->helper->loop.now_usec + usec);
}

/* ---- what an answer says ---- */

struct found {
    struct address addresses[UPSTREAM_ADDRESSES_MAX];
    unsigned n;
    uint64_t wait_usec; /* until it is no longer valid */
};

static int compare(const void *a, const void *b) {
    uint8_t x[16], y[16];

    address_key(a, x);
    address_key(b, y);
    return memcmp(x, y, sizeof(x));
}

/* Servers turn their answers round: in order, so that the same addresses look the same. */
static bool differs(struct upstream *u, const struct found *found) {
    struct address known[UPSTREAM_ADDRESSES_MAX];

    if (upstream_addresses(u, known) != found->n)
        return true;
    for (unsigned i = 0; i < found->n; i++)
        if (compare(&known[i], &found->addresses[i]) != 0)
            return true;
    return false;
}

/* Where IPv6 (or IPv4) leads nowhere, such addresses would only cost attempts. */
static bool has_route(const struct address *a) {
    _cleanup_close_ int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, &a->sa, a->size) >= 0;
}

static void collect(const struct ares_addrinfo *answer, uint16_t port, bool reachable_only, struct found *ret) {
    struct address a;

    ret->n = 0;
    for (const struct ares_addrinfo_node *n = answer->nodes; n && ret->n < UPSTREAM_ADDRESSES_MAX; n = n->ai_next) {
        if (address_from_sockaddr(n->ai_addr, n->ai_addrlen, &a) < 0)
            continue;
        a.in.sin_port = htons(port); /* at the same place in both families */
        if (!reachable_only || has_route(&a))
            ret->addresses[ret->n++] = a;
    }
    qsort(ret->addresses, ret->n, sizeof(a), compare);
}

static uint64_t validity_usec(const struct ares_addrinfo *answer) {
    uint64_t usec = WAIT_USEC_MAX;

    for (const struct ares_addrinfo_node *n = answer->nodes; n; n = n->ai_next)
        usec = MIN(usec, (uint64_t) MAX(n->ai_ttl, 0) * USEC_PER_SEC);
    for (const struct ares_addrinfo_cname *c = answer->cnames; c; c = c->next)
        usec = MIN(usec, (uint64_t) MAX(c->ttl, 0) * USEC_PER_SEC);
    return MAX(usec, WAIT_USEC_MIN);
}

static void tell_addresses(const struct ward *w, const struct found *found) {
    char text[UPSTREAM_ADDRESSES_MAX * ADDRESS_TEXT_MAX], one[ADDRESS_TEXT_MAX];
    const char *name = w->upstream->conf.text;
    size_t at = 0;

    for (unsigned i = 0; i < found->n; i++)
        at += (size_t) snprintf(text + at, sizeof(text) - at, "%s%s", i > 0 ? ", " : "",
                                address_format(&found->addresses[i], one));
    event_log(EVENT_UPSTREAM_RESOLVED, EVENT_FIELDS({ FIELD_LISTENER, w->listener }, { FIELD_UPSTREAM, name }),
              "%s: upstream %s is at %s", w->listener, name, text);
}

static void succeeded(struct ward *w, const struct found *found) {
    if (differs(w->upstream, found))
        tell_addresses(w, found);
    upstream_set_addresses(w->upstream, found->addresses, found->n);
    w->resolving.failures = 0;
    ask_in(w, found->wait_usec);
    ward_asked(w);
}

static void failed(struct ward *w, const char *why) {
    const char *name = w->upstream->conf.text;

    event_log(EVENT_UPSTREAM_UNRESOLVED, EVENT_FIELDS({ FIELD_LISTENER, w->listener }, { FIELD_UPSTREAM, name }),
              "%s: the name of upstream %s was not resolved: %s; %s", w->listener, name, why,
              upstream_places(w->upstream) > 0 ? "the addresses known so far stay in use" : "it cannot be used");
    upstream_set_unresolved(w->upstream, why);
    ask_in(w, USEC_PER_SEC << MIN(w->resolving.failures, (unsigned) BACK_OFF_DOUBLINGS));
    w->resolving.failures++;
    ward_asked(w);
}

/* ---- a question ---- */

static void close_question(struct ward *w) {
    struct resolving *r = &w->resolving;

    if (!r->channel)
        return;
    ares_destroy(TAKE_PTR(r->channel));
    w->helper->n_questions--;
}

static void take_answer(struct ward *w) {
    struct resolving *r = &w->resolving;
    struct ares_addrinfo *answer = TAKE_PTR(r->answer);
    struct found found = { 0 };

    close_question(w);
    if (answer) {
        found.wait_usec = validity_usec(answer);
        collect(answer, w->upstream->conf.port, true, &found);
        if (found.n == 0)
            collect(answer, w->upstream->conf.port, false, &found);
        ares_freeaddrinfo(answer);
    }
    if (found.n > 0)
        succeeded(w, &found);
    else
        failed(w, r->status == ARES_SUCCESS ? "the name has no address" : ares_strerror(r->status));
}

/* c-ares has done what it could for now. */
static void go_on(struct ward *w) {
    struct resolving *r = &w->resolving;
    uint64_t now_usec = w->helper->loop.now_usec;
    struct timeval most = { 0 }, tv;

    if (r->answered) {
        take_answer(w);
        return;
    }
    if (now_usec >= r->deadline_usec) {
        close_question(w);
        failed(w, "no answer came in time");
        return;
    }
    most.tv_sec = (time_t) ((r->deadline_usec - now_usec) / USEC_PER_SEC + 1);
    (void) ares_timeout(r->channel, &most, &tv);
    ask_in(w, MIN((uint64_t) tv.tv_sec * USEC_PER_SEC + (uint64_t) tv.tv_usec, r->deadline_usec - now_usec));
}

static void on_socket(struct loop_source *source, uint32_t events) {
    struct ward *w = CONTAINER_OF(source, struct resolving_socket, source)->ward;
    int fd = source->fd;

    ares_process_fd(w->resolving.channel, events & ~(uint32_t) EPOLLOUT ? fd : ARES_SOCKET_BAD,
                    events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
    go_on(w);
}

static struct resolving_socket *find_socket(struct ward *w, int fd) {
    for (unsigned i = 0; i < RESOLVE_SOCKETS_MAX; i++)
        if (w->resolving.sockets[i].source.watched && w->resolving.sockets[i].source.fd == fd)
            return &w->resolving.sockets[i];
    return NULL;
}

static struct resolving_socket *free_socket(struct ward *w) {
    for (unsigned i = 0; i < RESOLVE_SOCKETS_MAX; i++)
        if (!w->resolving.sockets[i].source.watched)
            return &w->resolving.sockets[i];
    return NULL;
}

/* What c-ares wants to know of a socket; nothing any more when it is about to be closed. */
static void on_socket_state(void *userdata, ares_socket_t fd, int readable, int writable) {
    uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
    struct ward *w = userdata;
    struct loop *loop = &w->helper->loop;
    struct resolving_socket *s = find_socket(w, fd);

    if (s && events) {
        loop_modify(loop, &s->source, events);
    } else if (s) {
        loop_remove(loop, &s->source);
    } else if (events && (s = free_socket(w))) {
        *s = (struct resolving_socket){ { .fd = fd, .on_event = on_socket }, w };
        (void) !loop_add(loop, &s->source, events); /* unwatched it is given up in time */
    }
}

static void on_answer(void *userdata, int status, int timeouts, struct ares_addrinfo *answer) {
    struct resolving *r = &((struct ward *) userdata)->resolving;

    r->answered = true;
    r->status = status;
    r->answer = answer;
}

static void ask(struct ward *w) {
    struct ares_options options = { .sock_state_cb = on_socket_state, .sock_state_cb_data = w };
    const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT, .ai_socktype = w->upstream->conf.type };
    struct resolving *r = &w->resolving;
    int status;

    if (w->helper->n_questions >= QUESTIONS_MAX) {
        ask_in(w, TURNED_AWAY_USEC);
        return;
    }
    /* A channel for each question: what /etc/resolv.conf says now counts. */
    status = ares_init_options(&r->channel, &options, ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        r->channel = NULL;
        failed(w, ares_strerror(status));
        return;
    }
    w->helper->n_questions++;
    r->answered = false;
    r->deadline_usec = w->helper->loop.now_usec + HELPER_PATIENCE_USEC;
    ares_getaddrinfo(r->channel, w->upstream->conf.host, NULL, &hints, on_answer, w);
    go_on(w);
}

static void on_timer(struct timer *timer) {
    struct ward *w = CONTAINER_OF(timer, struct ward, resolving.timer);

    if (!w->resolving.channel) {
        ask(w);
        return;
    }
    ares_process_fd(w->resolving.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    go_on(w);
}

void resolve_begin(struct ward *w) {
    if (!w->upstream->conf.host || timer_armed(&w->resolving.timer))
        return;
    w->resolving.timer.on_expire = on_timer;
    ask(w);
}

void resolve_end(struct ward *w) {
    struct resolving *r = &w->resolving;

    wheel_disarm(&w->helper->loop.wheel, &r->timer);
    close_question(w);
    if (r->answer)
        ares_freeaddrinfo(TAKE_PTR(r->answer));
}
