/* SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "engine.h"
#include "life.h"
#include "task.h"

bool flow_selector_matches(const struct flow_selector *s, const struct flow *f) {
    uint8_t key[16];

    if (s->listener && f->view->listener != s->listener)
        return false;
    if (s->has_flow &&
        (f->id.worker != s->flow.worker || f->id.slot != s->flow.slot || f->id.generation != s->flow.generation))
        return false;
    if (s->upstream && (!engine_of(f)->to || engine_of(f)->to(f) != s->upstream))
        return false;
    if (!s->has_source)
        return true;
    address_key(&f->peer, key);
    return cidr_contains(&s->source, key);
}

void flow_row_done(struct flow_row *row) {
    row->listener = listener_unref(row->listener);
    row->set = effective_unref(row->set);
    free(TAKE_PTR(row->to));
}

static void read_addresses(int fd, struct leg_row *leg) {
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *) &address, &size) >= 0)
        (void) !address_from_sockaddr((struct sockaddr *) &address, size, &leg->local);
    size = sizeof(address);
    if (getpeername(fd, (struct sockaddr *) &address, &size) >= 0)
        (void) !address_from_sockaddr((struct sockaddr *) &address, size, &leg->peer);
}

static void read_dscp(const struct qos_socket *s, struct leg_row *leg) {
    union setting_value dscp;

    leg->has_dscp = qos_read(s, SETTING_DSCP, &dscp) >= 0;
    if (leg->has_dscp)
        leg->dscp = (uint8_t) dscp.number;
}

/* What a socket of its own tells of a leg. */
static void read_socket(const struct qos_socket *s, struct leg_row *leg) {
    struct tcp_info info;
    socklen_t size = sizeof(info);
    int unread = 0, unsent = 0;

    read_addresses(s->fd, leg);
    read_dscp(s, leg);
    leg->has_tcp_info = getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &size) >= 0;
    if (leg->has_tcp_info) {
        leg->rtt_usec = info.tcpi_rtt;
        leg->retransmits = info.tcpi_total_retrans;
    }
    (void) ioctl(s->fd, SIOCINQ, &unread);
    (void) ioctl(s->fd, SIOCOUTQ, &unsent);
    leg->receive_queue = (uint64_t) unread;
    leg->send_queue = (uint64_t) unsent;
}

static void read_client(const struct flow *f, struct leg_row *leg) {
    struct qos_socket s = flow_qos_socket(f, f->endpoint->socket.domain);
    uint8_t tos;

    if (f->datagrams) { /* its endpoint's socket is that of all sessions */
        leg->local = f->endpoint->address;
        read_dscp(&f->endpoint->socket, leg);
    } else {
        read_socket(&s, leg);
        leg->received_label = qos_received_tos(&s, &tos);
        if (leg->received_label != QOS_MARK_NONE)
            leg->received_dscp = tos >> 2;
    }
    leg->peer = f->peer; /* as a PROXY header may have told it */
    leg->rx_bytes = f->client.rx_bytes;
    leg->tx_bytes = f->client.tx_bytes;
}

/* False: this kind of flow has none. */
static bool read_upstream(const struct flow *f, struct leg_row *leg) {
    const struct engine *engine = engine_of(f);
    struct qos_socket s;
    socklen_t size = sizeof(s.domain);

    if (!engine->upstream)
        return false;
    s = engine->upstream(f);
    if (s.fd >= 0 && getsockopt(s.fd, SOL_SOCKET, SO_DOMAIN, &s.domain, &size) >= 0)
        read_socket(&s, leg);
    return true;
}

static void fill_row(const struct worker *w, const struct flow *f, struct flow_row *row) {
    *row = (struct flow_row){
        .id = f->id,
        .state = f->state,
        .datagrams = f->datagrams,
        .listener = listener_ref(f->view->listener),
        .set = effective_ref(f->client.set),
        .age_usec = w->loop.now_usec - f->opened_usec,
        .idle_usec = w->loop.now_usec - f->active_usec,
    };
    read_client(f, &row->client);
    row->relayed = read_upstream(f, &row->upstream);
    engine_of(f)->describe(w, f, row);
}

struct listing {
    struct task task;
    struct net *net;
    struct flow_selector selector;
    struct listing_cursor at;
    bool worker_ended;
    struct flow_row rows[LISTING_ROWS];
    size_t n;
    listing_fn done;
    void *userdata;
};

/* One bounded step: the cursor, not the worker, remembers where it was. */
static void list_some(struct task *task, struct worker *w) {
    struct listing *l = CONTAINER_OF(task, struct listing, task);
    uint64_t until_usec = loop_clock_usec() + SWEEP_USEC;

    if (l->selector.has_flow) {
        struct flow *f = flow_table_find(&w->flows, l->selector.flow);

        if (f && flow_selector_matches(&l->selector, f))
            fill_row(w, f, &l->rows[l->n++]);
        l->worker_ended = true;
        return;
    }
    while (l->at.slot < flow_table_slots(&w->flows) && l->n < LISTING_ROWS) {
        struct flow *f = flow_table_at(&w->flows, l->at.slot++);

        if (f && flow_selector_matches(&l->selector, f))
            fill_row(w, f, &l->rows[l->n++]);
        if (loop_clock_usec() > until_usec)
            break;
    }
    l->worker_ended = l->at.slot >= flow_table_slots(&w->flows);
}

static void list_done(struct task *task) {
    struct listing *l = CONTAINER_OF(task, struct listing, task);
    struct listing_cursor next = l->at;

    if (l->worker_ended)
        next = (struct listing_cursor){ l->at.worker + 1, 0 };
    l->done(l->rows, l->n, next, next.worker < l->net->n_workers && !l->selector.has_flow, l->userdata);
    task_end(&l->task);
    free(l);
}

int sweep_list(struct net *n, const struct flow_selector *selector, struct listing_cursor at, listing_fn done,
               void *userdata) {
    struct listing *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    l->task.begin = list_some;
    l->task.done = list_done;
    l->net = n;
    l->selector = *selector;
    if (selector->has_flow)
        at.worker = MIN((unsigned) selector->flow.worker, n->n_workers - 1);
    l->at = at;
    l->done = done;
    l->userdata = userdata;
    if (task_send_one(&l->task, n, at.worker) < 0) {
        free(l);
        return -ENOMEM;
    }
    return 0;
}

struct closing {
    struct task task;
    struct flow_selector selector;
    bool orderly;
    _Atomic unsigned n;
    sweep_done_fn done;
    void *userdata;
};

static void close_flow(struct task *task, struct worker *w, struct flow *f) {
    struct closing *c = CONTAINER_OF(task, struct closing, task);

    if (!flow_selector_matches(&c->selector, f) || (c->orderly && f->state != FLOW_OPEN))
        return;
    atomic_fetch_add(&c->n, 1);
    if (c->orderly)
        engine_of(f)->finish(w, f);
    else
        life_end(w, f, LIFE_END_CLOSED, 0);
}

static void closing_done(struct task *task) {
    struct closing *c = CONTAINER_OF(task, struct closing, task);

    c->done(atomic_load(&c->n), c->userdata);
    task_end(&c->task);
    free(c);
}

static int send_closing(struct net *n, struct closing template) {
    struct closing *c = malloc(sizeof(*c));

    if (!c)
        return -ENOMEM;
    *c = template;
    c->task.done = closing_done;
    if (task_send_all(&c->task, n) < 0) {
        free(c);
        return -ENOMEM;
    }
    return 0;
}

int sweep_close(struct net *n, const struct flow_selector *selector, bool orderly, sweep_done_fn done, void *userdata) {
    return send_closing(n, (struct closing){ .task.visit = close_flow,
                                             .selector = *selector,
                                             .orderly = orderly,
                                             .done = done,
                                             .userdata = userdata });
}

int sweep_ping(struct net *n, sweep_done_fn done, void *userdata) {
    return send_closing(n, (struct closing){ .done = done, .userdata = userdata });
}
