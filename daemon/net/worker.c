/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "accept.h"
#include "datagram.h"
#include "engine.h"
#include "life.h"
#include "net.h"
#include "rate.h"

/* When epoll does not take an endpoint back for want of memory. */
#define WATCH_RETRY_USEC USEC_PER_SEC

static void on_turn(struct loop *loop) {
    struct worker *w = loop->owner;

    for (struct endpoint_source *s; (s = w->dead);) {
        w->dead = s->next;
        s->endpoint = endpoint_unref(s->endpoint);
        free(s);
    }
}

static bool run_ready(struct loop_job *job) {
    struct worker *w = CONTAINER_OF(job, struct worker, ready_job);
    struct flow *list = w->ready, *next;

    /* What becomes ready meanwhile queues the job anew. */
    w->ready = NULL;
    w->ready_queued = false;
    for (struct flow *f = list; f; f = next) {
        next = f->next;
        f->next = NULL;
        f->ready = false;
        engine_of(f)->turn(w, f);
    }
    return true;
}

void worker_ready(struct worker *w, struct flow *f) {
    if (f->ready)
        return;
    f->ready = true;
    f->next = w->ready;
    w->ready = f;
    if (!w->ready_queued) {
        w->ready_queued = true;
        loop_add_job(&w->loop, &w->ready_job);
    }
}

void worker_forget_ready(struct worker *w, struct flow *f) {
    struct flow **at = &w->ready;

    while (*at && *at != f)
        at = &(*at)->next;
    if (*at)
        *at = f->next;
    f->ready = false;
}

int worker_init(struct worker *w, unsigned index, struct net *net) {
    int r;

    *w = (struct worker){
        .index = index,
        .net = net,
        .flows.worker = (uint16_t) index,
        .ready_job.step = run_ready,
    };
    r = loop_init(&w->loop, w);
    if (r < 0)
        return r;
    w->loop.on_turn = on_turn;
    return 0;
}

static void *run(void *userdata) {
    struct worker *w = userdata;

    loop_run(&w->loop);
    for (uint32_t slot = 0; slot < flow_table_slots(&w->flows); slot++) {
        struct flow *f = flow_table_at(&w->flows, slot);

        if (f)
            life_end(w, f, LIFE_END_CLOSED, 0);
    }
    while (w->endpoints)
        worker_remove_endpoint(w, w->endpoints->endpoint);
    on_turn(&w->loop);
    return NULL;
}

int worker_start(struct worker *w) {
    char name[16];
    int r = pthread_create(&w->thread, NULL, run, w);

    if (r > 0)
        return -r;
    w->started = true;
    snprintf(name, sizeof(name), "worker-%u", w->index % 1000);
    (void) pthread_setname_np(w->thread, name);
    return 0;
}

static void on_stop(struct message *message, void *owner) {
    struct worker *w = owner;

    w->loop.stop = true;
    free(message);
}

void worker_stop(struct worker *w) {
    struct message *message;

    if (!w->started)
        return;
    message = calloc(1, sizeof(*message));
    if (!message)
        abort(); /* 32 bytes at the very end: nothing sensible is left to do */
    message->handle = on_stop;
    mailbox_post(&w->loop.mailbox, message);
    pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_done(struct worker *w) {
    flow_table_done(&w->flows);
    pool_done(&w->pool);
    pipe_pool_done(&w->pipes);
    codec_pool_done(&w->codecs);
    w->batch = datagram_batch_free(w->batch);
    for (unsigned i = 0; i < SCRATCH_MAX; i++)
        free(w->scratch[i].data);
    loop_done(&w->loop);
}

void *worker_scratch(struct worker *w, enum scratch which, size_t size) {
    if (w->scratch[which].size < size) {
        void *data = malloc(size);

        if (!data)
            return NULL;
        free(w->scratch[which].data);
        w->scratch[which].data = data;
        w->scratch[which].size = size;
    }
    return w->scratch[which].data;
}

static bool is_listening(const struct endpoint_source *s) {
    return s->endpoint->socket.type == SOCK_STREAM;
}

static void on_event(struct loop_source *source, uint32_t events) {
    struct endpoint_source *s = CONTAINER_OF(source, struct endpoint_source, source);

    if (!is_listening(s))
        s->datagrams->turn(s, events);
    else if (s->view)
        accept_turn(s);
    else
        accept_refuse(s);
}

static int watch(struct endpoint_source *s) {
    if (s->source.watched)
        return 0;
    return loop_add(&s->worker->loop, &s->source, is_listening(s) ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN);
}

static void on_retry(struct timer *timer) {
    struct endpoint_source *s = CONTAINER_OF(timer, struct endpoint_source, retry);

    if (watch(s) < 0)
        wheel_arm(&s->worker->loop.wheel, timer, s->worker->loop.now_usec + WATCH_RETRY_USEC);
    else if (!is_listening(s))
        s->datagrams->turn(s, 0);
}

/* From now on like this; NULL: not at all. */
static void handle_datagrams(struct endpoint_source *s, const struct datagram_ops *ops) {
    bool removed = s->removed;

    if (s->datagrams == ops)
        return;
    if (s->datagrams) {
        s->removed = true;
        s->datagrams->stop(s);
        s->removed = removed;
        loop_modify(&s->worker->loop, &s->source, EPOLLIN);
    }
    s->datagrams = ops;
    if (ops)
        ops->start(s);
}

int worker_add_endpoint(struct worker *w, struct endpoint *e, struct listener_view *view) {
    struct endpoint_source *s;
    int r;

    for (s = w->endpoints; s; s = s->next)
        if (s->endpoint == e)
            break;
    if (s) { /* known as unclaimed: it is claimed now */
        listener_view_unref(s->view);
        s->view = view ? listener_view_ref(view) : NULL;
        return watch(s);
    }
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->worker = w;
    s->endpoint = endpoint_ref(e);
    s->view = view ? listener_view_ref(view) : NULL;
    s->source = (struct loop_source){ .fd = e->socket.fd, .on_event = on_event };
    s->retry.on_expire = on_retry;
    s->next = w->endpoints;
    w->endpoints = s;
    if (!is_listening(s))
        handle_datagrams(s, engine_datagrams(s->view->target->ops));
    r = watch(s);
    if (r < 0)
        worker_remove_endpoint(w, e);
    return r;
}

void worker_remove_endpoint(struct worker *w, const struct endpoint *e) {
    struct endpoint_source **at = &w->endpoints, *s;

    while (*at && (*at)->endpoint != e)
        at = &(*at)->next;
    s = *at;
    if (!s)
        return;
    *at = s->next;
    loop_remove(&w->loop, &s->source);
    wheel_disarm(&w->loop.wheel, &s->retry);
    s->removed = true;
    if (s->datagrams)
        handle_datagrams(s, NULL);
    s->view = listener_view_unref(s->view);
    /* epoll may have named it in this turn already: it stays readable until the turn ends. */
    s->next = w->dead;
    w->dead = s;
}

bool worker_pause(struct worker *w) {
    bool waits = false;

    for (struct endpoint_source *s = w->endpoints; s; s = s->next) {
        loop_remove(&w->loop, &s->source);
        waits = waits || s->kept || timer_armed(&s->retry);
    }
    return !waits;
}

void worker_resume(struct worker *w) {
    for (struct endpoint_source *s = w->endpoints; s; s = s->next)
        if (!s->source.watched && loop_add(&w->loop, &s->source, s->source.events) < 0)
            wheel_arm(&w->loop.wheel, &s->retry, w->loop.now_usec + WATCH_RETRY_USEC);
}

static void resume(struct worker *w, const struct listener *l) {
    for (struct endpoint_source *s = w->endpoints; s; s = s->next)
        if (s->view && s->view->listener == l && is_listening(s) && !s->source.watched)
            (void) watch(s);
}

void worker_set_view(struct worker *w, struct listener_view *view) {
    for (struct endpoint_source *s = w->endpoints; s; s = s->next)
        if (s->view && s->view->listener == view->listener) {
            if (s->datagrams)
                handle_datagrams(s, engine_datagrams(view->target->ops));
            rate_change_view(w, s->view, view);
            listener_view_unref(s->view);
            s->view = listener_view_ref(view);
        }
    /* max_connections may have been raised. */
    resume(w, view->listener);
}

struct resume_message {
    struct message message;
    struct listener *listener;
};

static void on_resume(struct message *message, void *owner) {
    struct resume_message *m = CONTAINER_OF(message, struct resume_message, message);

    resume(owner, m->listener);
    listener_unref(m->listener);
    free(m);
}

static void wake(struct worker *w, unsigned index, struct listener *l) {
    struct resume_message *m;

    if (index == w->index) {
        resume(w, l);
        return;
    }
    m = calloc(1, sizeof(*m));
    if (!m)
        return; /* its retry timer looks again */
    m->message.handle = on_resume;
    m->listener = listener_ref(l);
    mailbox_post(&w->net->workers[index].loop.mailbox, &m->message);
}

void worker_leave(struct worker *w, struct listener *l) {
    uint64_t paused[4];

    if (!admission_leave(&l->admission))
        return;
    admission_take_paused(&l->admission, paused);
    for (unsigned i = 0; i < w->net->n_workers; i++)
        if (paused[i / 64] & UINT64_C(1) << i % 64)
            wake(w, i, l);
}
