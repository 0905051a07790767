/* SPDX-License-Identifier: MIT */
#include "quiet.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

#include "task.h"

struct quiet {
    struct task pause, resume; /* both are prepared before the first is sent: the way back cannot fail */
    struct net *net;
    quiet_fn answer;
    void *userdata;
    atomic_bool busy;
};

static void pause_worker(struct task *task, struct worker *w) {
    struct quiet *q = CONTAINER_OF(task, struct quiet, pause);

    if (!worker_pause(w))
        atomic_store(&q->busy, true);
}

static void resume_worker(struct task *task, struct worker *w) {
    worker_resume(w);
}

static bool has_unread(struct endpoint *const *endpoints, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct pollfd p = { .fd = endpoints[i]->socket.fd, .events = POLLIN };

        if (poll(&p, 1, 0) != 0)
            return true;
    }
    return false;
}

static bool is_quiet(struct quiet *q) {
    const struct net *n = q->net;

    if (atomic_load(&q->busy) || net_flows(n) > 0 || has_unread(n->unclaimed, n->n_unclaimed))
        return false;
    for (size_t i = 0; i < n->n_listeners; i++)
        if (has_unread(n->listeners[i]->endpoints, n->listeners[i]->n_endpoints))
            return false;
    return true;
}

static void end(struct quiet *q) {
    task_end(&q->pause);
    task_end(&q->resume);
    free(q);
}

static void on_resumed(struct task *task) {
    end(CONTAINER_OF(task, struct quiet, resume));
}

static void on_paused(struct task *task) {
    struct quiet *q = CONTAINER_OF(task, struct quiet, pause);
    bool quiet = is_quiet(q), stays = q->answer(quiet, q->userdata);

    if (quiet && stays)
        end(q);
    else
        task_launch(&q->resume, q->net);
}

int quiet_ask(struct net *n, quiet_fn answer, void *userdata) {
    struct quiet *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    *q = (struct quiet){
        .pause = { .begin = pause_worker, .done = on_paused },
        .resume = { .begin = resume_worker, .done = on_resumed },
        .net = n,
        .answer = answer,
        .userdata = userdata,
    };
    if (task_prepare(&q->pause, n) < 0 || task_prepare(&q->resume, n) < 0) {
        end(q);
        return -ENOMEM;
    }
    task_launch(&q->pause, n);
    return 0;
}
