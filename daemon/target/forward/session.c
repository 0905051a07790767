/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "connect.h"
#include "health.h"

#define SILENCE_USEC USEC_PER_SEC

/* Keys that a new socket must be given: all that say something. */
static uint64_t explicit_keys(const struct settings *set) {
    return (SETTING_BIT(SETTING_LEG_MAX) - 1) & set->set_mask & ~set->inherit_mask;
}

/* A socket that is connected to an address of the upstream. */
static int dial(const struct flow *f, struct upstream *u, sa_family_t *ret_domain, int *ret_fd) {
    const struct settings *set = &f->client.set->upstream;
    struct qos_socket s = { .fd = -EBADF, .type = SOCK_DGRAM };
    _cleanup_close_ int fd = -EBADF;
    struct address to;
    int r;

    r = upstream_address(u, &to);
    if (r < 0)
        return r;
    fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    s.fd = fd;
    s.domain = to.sa.sa_family;
    r = qos_apply(&s, set, explicit_keys(set), NULL, NULL, NULL);
    if (r < 0 && r != -EPERM)
        return r;
    r = connect_bind_source(f->view->target->state, &f->peer, fd, to.sa.sa_family);
    if (r < 0)
        return r;
    if (connect(fd, &to.sa, to.size) < 0)
        return -errno;
    r = qos_observe_arm(&s);
    if (r < 0)
        return r;
    qos_serve_datagrams(&s, true);
    *ret_domain = to.sa.sa_family;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Finds an upstream that can be reached; that somebody is there shows only later. */
static int find_upstream(struct session *s) {
    struct flow *f = s->flow;
    struct worker *w = f->worker;
    struct forward_tried tried = { 0 };
    int r = -EHOSTUNREACH;
    uint8_t key[16];

    address_key(&f->peer, key);
    while (tried.n < ARRAY_SIZE(tried.list)) {
        struct upstream *u = forward_choose(session_forward(s), SOCK_DGRAM, key, &tried, w->loop.now_usec);
        int fd = -EBADF;

        if (!u)
            return r;
        tried.list[tried.n++] = u;
        r = dial(f, u, &s->domain, &fd);
        if (r >= 0) {
            s->to = u;
            s->upstream.source = (struct loop_source){ .fd = fd, .on_event = session_receive };
            atomic_fetch_add(&u->flows, 1);
            upstream_count(&u->counters[w->index].connected, 1);
            return 0;
        }
        forward_failed(session_forward(s), u, w->index, r, w->loop.now_usec);
        upstream_unref(u);
    }
    return r;
}

static int begin(struct endpoint_source *from, struct flow *f, const struct datagram_meta *meta, struct session **ret) {
    struct session *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    *s = (struct session){ .flow = f, .from = from, .local = *meta, .upstream.source.fd = -EBADF };
    r = sessions_add(sessions_of(from), s);
    if (r < 0) {
        free(s);
        return r;
    }
    f->session = s;
    r = find_upstream(s);
    if (r >= 0)
        r = loop_add(&from->worker->loop, &s->upstream.source, EPOLLIN);
    if (r >= 0)
        *ret = s;
    return r;
}

static void arm_timer(struct worker *w, struct flow *f) {
    wheel_arm(&w->loop.wheel, &f->timer, f->active_usec + (uint64_t) flow_setting(f, SETTING_SESSION_TIMEOUT).number);
}

int session_open(struct endpoint_source *from, const struct address *peer, const struct datagram_meta *meta,
                 struct session **ret) {
    struct flow *f;
    int r = life_open_session(from, peer, &f);

    if (r == -EUSERS && sessions_of(from)->oldest) {
        life_end(from->worker, sessions_of(from)->oldest->flow, LIFE_END_EVICTED, 0);
        r = life_open_session(from, peer, &f);
    }
    if (r < 0)
        return r;
    r = begin(from, f, meta, ret);
    if (r < 0)
        life_end(from->worker, f, LIFE_END_UPSTREAM, r);
    else
        arm_timer(from->worker, f);
    return r;
}

void session_proved(struct session *s) {
    if (s->proved)
        return;
    s->proved = true;
    health_passed(session_forward(s)->listener, s->to);
}

void session_asks(struct session *s) {
    uint64_t now_usec = s->flow->worker->loop.now_usec;

    if (s->asked_usec == 0)
        s->asked_usec = now_usec;
    else if (s->asked_usec + SILENCE_USEC <= now_usec)
        session_proved(s);
}

bool session_failed(struct session *s, int error) {
    struct flow *f = s->flow;
    struct worker *w = f->worker;

    s->proved = false;
    s->asked_usec = 0;
    forward_failed(session_forward(s), s->to, w->index, error, w->loop.now_usec);
    if (forward_n_upstreams(session_forward(s)) < 2)
        return false;
    life_end(w, f, LIFE_END_UPSTREAM, error);
    return true;
}

/* ---- engine ---- */

static void turn(struct worker *w, struct flow *f) {
}

static void expire(struct worker *w, struct flow *f) {
    if (f->active_usec + (uint64_t) flow_setting(f, SETTING_SESSION_TIMEOUT).number <= w->loop.now_usec)
        life_end(w, f, LIFE_END_IDLE, 0);
    else
        arm_timer(w, f);
}

static void finish(struct worker *w, struct flow *f) {
    life_end(w, f, LIFE_END_CLOSED, 0);
}

static uint64_t release(struct worker *w, struct flow *f, bool reset) {
    struct session *s = f->session;

    if (!s)
        return 0;
    sessions_remove(sessions_of(s->from), s);
    loop_forget(&s->upstream.source);
    s->upstream.source.fd = close_fd(s->upstream.source.fd);
    if (s->to)
        atomic_fetch_sub(&s->to->flows, 1);
    s->to = upstream_unref(s->to);
    free(s);
    f->session = NULL;
    return 0;
}

static void apply(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                  struct qos_result *ret) {
    *ret = (struct qos_result){ .outcome = QOS_APPLIED, .has_effective = true, .effective = set->v[id] };
}

static void describe(const struct worker *w, const struct flow *f, struct flow_row *row) {
    row->upstream.rx_bytes = f->session->upstream.rx_bytes;
    row->upstream.tx_bytes = f->session->upstream.tx_bytes;
    row->to = strdup(f->session->to->conf.text);
}

static struct qos_socket upstream_socket(const struct flow *f) {
    return (struct qos_socket){ .fd = f->session->upstream.source.fd, .type = SOCK_DGRAM };
}

static const struct upstream *upstream_of(const struct flow *f) {
    return f->session->to;
}

/* Datagrams pass as they are. */
#define CODING                                                                                                         \
    (SETTING_BIT(SETTING_COMPRESSION) | SETTING_BIT(SETTING_DECOMPRESSION) |                                           \
     SETTING_BIT(SETTING_DECOMPRESSION_MAX_RATIO) | SETTING_BIT(SETTING_DECOMPRESSION_MAX_OUTPUT))

const struct engine session_engine = {
    .turn = turn,
    .expire = expire,
    .finish = finish,
    .release = release,
    .apply = apply,
    .changed = arm_timer,
    .describe = describe,
    .upstream = upstream_socket,
    .to = upstream_of,
    .unused = CODING | CODING << SETTING_UPSTREAM | SETTING_BIT(SETTING_IO_BUFFER) | SETTING_BIT(SETTING_IDLE_TIMEOUT) |
              SETTING_BIT(SETTING_COMPRESSION_UNIT) | SETTING_BIT(SETTING_PAYLOAD_LIMIT) |
              SETTING_BIT(SETTING_FRAME_TIMEOUT) | SETTING_BIT(SETTING_CONNECT_TIMEOUT) |
              SETTING_BIT(SETTING_HALF_CLOSE_TIMEOUT),
};
