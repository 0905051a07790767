/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "macro.h"

#define EVENTS_PER_TURN 128

uint64_t loop_clock_usec(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

static void on_mailbox(struct loop_source *source, uint32_t events) {
    struct loop *loop = CONTAINER_OF(source, struct loop, mailbox_source);

    mailbox_take(&loop->mailbox, loop->owner);
}

int loop_init(struct loop *loop, void *owner) {
    int r;

    *loop = (struct loop){ .owner = owner, .now_usec = loop_clock_usec() };
    wheel_init(&loop->wheel, loop->now_usec);
    r = mailbox_init(&loop->mailbox);
    if (r < 0)
        return r;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        r = -errno;
        mailbox_done(&loop->mailbox);
        return r;
    }
    loop->mailbox_source = (struct loop_source){ .fd = loop->mailbox.event_fd, .on_event = on_mailbox };
    r = loop_add(loop, &loop->mailbox_source, EPOLLIN);
    if (r < 0)
        loop_done(loop);
    return r;
}

void loop_done(struct loop *loop) {
    loop->epoll_fd = close_fd(loop->epoll_fd);
    mailbox_done(&loop->mailbox);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events) {
    struct epoll_event event = { .events = events, .data.ptr = source };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
        return -errno;
    source->events = events;
    source->watched = true;
    return 0;
}

void loop_modify(struct loop *loop, struct loop_source *source, uint32_t events) {
    struct epoll_event event = { .events = events, .data.ptr = source };

    if (!source->watched || source->events == events)
        return;
    (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
    source->events = events;
}

void loop_remove(struct loop *loop, struct loop_source *source) {
    if (!source->watched)
        return;
    (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->watched = false;
}

void loop_forget(struct loop_source *source) {
    source->watched = false;
}

void loop_add_job(struct loop *loop, struct loop_job *job) {
    job->next = loop->jobs;
    loop->jobs = job;
}

/* One step of each job; what a step adds waits for the next turn. */
static void run_jobs(struct loop *loop) {
    struct loop_job *list = loop->jobs, *next;

    loop->jobs = NULL;
    for (; list; list = next) {
        next = list->next;
        if (!list->step(list))
            loop_add_job(loop, list);
    }
}

static int wait_msec(const struct loop *loop) {
    uint64_t usec;

    if (loop->jobs)
        return 0;
    usec = wheel_wait_usec(&loop->wheel, loop->now_usec);
    if (usec == UINT64_MAX)
        return -1;
    return (int) MIN((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (uint64_t) 60000);
}

void loop_run(struct loop *loop) {
    struct epoll_event events[EVENTS_PER_TURN];

    while (!loop->stop) {
        int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, wait_msec(loop));

        loop->now_usec = loop_clock_usec();
        for (int i = 0; i < n; i++) {
            struct loop_source *source = events[i].data.ptr;

            /* Removed by an earlier event of this turn: what epoll said of it is stale. */
            if (source->watched)
                source->on_event(source, events[i].events);
        }
        wheel_run(&loop->wheel, loop->now_usec);
        run_jobs(loop);
        if (loop->on_turn)
            loop->on_turn(loop);
    }
}

void loop_drain(struct loop *loop) {
    do {
        mailbox_take(&loop->mailbox, loop->owner);
        run_jobs(loop);
    } while (loop->jobs);
}
