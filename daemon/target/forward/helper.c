/* SPDX-License-Identifier: MIT */
#include "helper.h"

#include <ares.h>
#include <errno.h>

#include "ward.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for what follows */
static struct helper *running;

/* ---- who waits for names ---- */

static bool is_waited_for(const struct ward *w) {
    return w->upstream->conf.host && !w->rests && !w->resolving.asked;
}

static void end_settling(struct helper *h) {
    wheel_disarm(&h->loop.wheel, &h->patience);
    if (h->settled)
        mailbox_post(h->settle_to, TAKE_PTR(h->settled));
}

static void settle(struct helper *h) {
    for (const struct ward *w = h->wards; w; w = w->next)
        if (is_waited_for(w))
            return;
    end_settling(h);
}

static void on_patience(struct timer *timer) {
    end_settling(CONTAINER_OF(timer, struct helper, patience));
}

void ward_asked(struct ward *w) {
    w->resolving.asked = true;
    if (w->helper->settled)
        settle(w->helper);
}

/* ---- wards ---- */

static void ward_free(struct ward *w) {
    upstream_unref(w->upstream);
    free(w->listener);
    free(w);
}

/* epoll may have named its sockets in this turn already: it stays readable until the turn ends. */
static void ward_end(struct ward *w) {
    struct helper *h = w->helper;

    resolve_end(w);
    check_end(w);
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->upstream->ward = NULL;
    w->next = h->dead;
    h->dead = w;
    if (h->settled)
        settle(h);
}

static void on_turn(struct loop *loop) {
    struct helper *h = loop->owner;

    for (struct ward *w; (w = h->dead);) {
        h->dead = w->next;
        ward_free(w);
    }
}

/* ---- what others ask for ---- */

struct attend_message {
    struct message message;
    struct ward *ward; /* new; if there is one already, it takes over what this one says */
};

static void begin(struct ward *w) {
    if (w->rests) {
        resolve_end(w);
        check_end(w);
        return;
    }
    resolve_begin(w);
    check_begin(w);
}

static void take_over(struct ward *w, struct ward *from) {
    char *listener = w->listener;

    w->listener = from->listener;
    from->listener = listener;
    w->health = from->health;
    w->check_interval_usec = from->check_interval_usec;
    w->rests = from->rests;
}

static void on_attend(struct message *message, void *owner) {
    struct attend_message *m = CONTAINER_OF(message, struct attend_message, message);
    struct helper *h = owner;
    struct ward *w = m->ward, *known = w->upstream->ward;

    free(m);
    if (known) {
        take_over(known, w);
        ward_free(w);
        begin(known);
        return;
    }
    w->helper = h;
    w->next = h->wards;
    w->link = &h->wards;
    if (w->next)
        w->next->link = &w->next;
    h->wards = w;
    w->upstream->ward = w;
    begin(w);
}

static void on_leave(struct message *message, void *owner) {
    struct upstream *u = CONTAINER_OF(message, struct upstream, leaving);

    if (u->ward)
        ward_end(u->ward);
    upstream_unref(u);
}

struct settle_message {
    struct message message;
    struct mailbox *to;
    struct message *done;
};

static void on_settle(struct message *message, void *owner) {
    struct settle_message *m = CONTAINER_OF(message, struct settle_message, message);
    struct helper *h = owner;

    h->settle_to = m->to;
    h->settled = m->done;
    free(m);
    wheel_arm(&h->loop.wheel, &h->patience, h->loop.now_usec + HELPER_PATIENCE_USEC);
    settle(h);
}

static void on_stop(struct message *message, void *owner) {
    struct helper *h = owner;

    h->loop.stop = true;
}

/* ---- the thread ---- */

static void *run(void *userdata) {
    struct helper *h = userdata;

    loop_run(&h->loop);
    return NULL;
}

static int helper_new(struct helper **ret) {
    struct helper *h = calloc(1, sizeof(*h));
    int r;

    if (!h)
        return -ENOMEM;
    r = loop_init(&h->loop, h);
    if (r < 0) {
        free(h);
        return r;
    }
    h->loop.on_turn = on_turn;
    h->patience.on_expire = on_patience;
    r = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS ? -pthread_create(&h->thread, NULL, run, h) : -ENOMEM;
    if (r < 0) {
        loop_done(&h->loop);
        free(h);
        return r;
    }
    (void) pthread_setname_np(h->thread, "upstreams");
    *ret = h;
    return 0;
}

static int start(void) {
    struct helper *h;
    int r;

    if (running)
        return 0;
    r = helper_new(&h);
    if (r < 0)
        return r;
    pthread_mutex_lock(&lock);
    running = h;
    pthread_mutex_unlock(&lock);
    return 0;
}

void helper_stop(void) {
    struct message stop = { .handle = on_stop };
    struct helper *h;

    pthread_mutex_lock(&lock);
    h = TAKE_PTR(running);
    pthread_mutex_unlock(&lock);
    if (!h)
        return;
    mailbox_post(&h->loop.mailbox, &stop);
    pthread_join(h->thread, NULL);
    /* What came after that. */
    (void) mailbox_take(&h->loop.mailbox, h);
    while (h->wards)
        ward_end(h->wards);
    on_turn(&h->loop);
    end_settling(h);
    loop_done(&h->loop);
    ares_library_cleanup();
    free(h);
}

/* ---- asking ---- */

static struct ward *ward_new(struct upstream *u, const struct care *care) {
    struct ward *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->upstream = upstream_ref(u);
    w->listener = strdup(care->listener);
    w->health = care->health;
    w->check_interval_usec = care->check_interval_usec;
    w->rests = care->rests;
    w->checking.source.fd = -EBADF;
    if (w->listener)
        return w;
    ward_free(w);
    return NULL;
}

int helper_attend(struct upstream *u, const struct care *care) {
    struct attend_message *m;
    int r;

    if (!u->attended && (care->rests || (!u->conf.host && care->check_interval_usec == 0)))
        return 0;
    r = start();
    if (r < 0)
        return r;
    m = calloc(1, sizeof(*m));
    if (m)
        m->ward = ward_new(u, care);
    if (!m || !m->ward) {
        free(m);
        return -ENOMEM;
    }
    m->message.handle = on_attend;
    u->attended = true;
    mailbox_post(&running->loop.mailbox, &m->message);
    return 0;
}

void helper_leave(struct upstream *u) {
    pthread_mutex_lock(&lock);
    if (running) {
        u->leaving.handle = on_leave;
        upstream_ref(u);
        mailbox_post(&running->loop.mailbox, &u->leaving);
    }
    pthread_mutex_unlock(&lock);
}

void helper_settle(struct mailbox *to, struct message *done) {
    struct settle_message *m = running ? malloc(sizeof(*m)) : NULL;

    if (!m) {
        mailbox_post(to, done);
        return;
    }
    *m = (struct settle_message){ { .handle = on_settle }, to, done };
    mailbox_post(&running->loop.mailbox, &m->message);
}
