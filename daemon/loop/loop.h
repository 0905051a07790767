/* SPDX-License-Identifier: MIT */
/*
 * A worker's event loop: level-triggered epoll, a timer wheel, jobs that run a bounded step a turn, and a mailbox that
 * other threads post to. Everything but mailbox_post() belongs to the thread that runs the loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mailbox.h"
#include "wheel.h"

/* A watched fd, embedded in what owns it. `on_event` may remove any source, itself included. A source's memory must
 * stay valid until the turn ends (slots of the flow table always do). */
struct loop_source {
    int fd;
    uint32_t events : 31; /* EPOLL* asked for, all but EPOLLET; a flow has one, so every byte counts */
    bool watched : 1;
    void (*on_event)(struct loop_source *source, uint32_t events);
};

/* Work spread over turns: `step` does a little and returns true when it is finished (then it may free itself). */
struct loop_job {
    struct loop_job *next;
    bool (*step)(struct loop_job *job);
};

struct loop {
    int epoll_fd;
    bool stop;
    uint64_t now_usec; /* CLOCK_MONOTONIC, taken once a turn */
    struct wheel wheel;
    struct loop_job *jobs;
    struct mailbox mailbox;
    struct loop_source mailbox_source;
    void *owner;                        /* handed to messages */
    void (*on_turn)(struct loop *loop); /* at the end of each turn, may be NULL */
};

int loop_init(struct loop *loop, void *owner) _must_check_;
void loop_done(struct loop *loop);

/* Runs until loop->stop. */
void loop_run(struct loop *loop);

/* After loop_run() has returned: handles messages and jobs until none is left, so that whoever waits for them gets an answer. */
void loop_drain(struct loop *loop);

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events) _must_check_;
/* No system call when nothing changes. Cannot fail for a watched fd. */
void loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);
/* The same for a fd that is closed next, and that nobody else holds: the kernel forgets it by itself, without a call. */
void loop_forget(struct loop_source *source);
void loop_add_job(struct loop *loop, struct loop_job *job);

uint64_t loop_clock_usec(void); /* CLOCK_MONOTONIC now */
