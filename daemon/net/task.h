/* SPDX-License-Identifier: MIT */
/*
 * Work that the main thread asks of workers: each runs `begin`, then visits its flows by slot in bounded steps (a sweep: at most 64
 * flows or 200 us a turn), then reports back; when all have, `done` runs on the main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

struct task;

struct task_part {
    struct message message;
    struct loop_job job;
    struct task *task;
    struct worker *worker;
    uint32_t slot;
};

struct task {
    /* Worker thread, may be NULL. */
    void (*begin)(struct task *task, struct worker *worker);
    /* Worker thread, for each flow; NULL: no sweep. May close the flow. */
    void (*visit)(struct task *task, struct worker *worker, struct flow *flow);
    /* Main thread, once. Frees the task. */
    void (*done)(struct task *task);
    unsigned left;
    struct task_part *parts;
};

#define SWEEP_FLOWS 64
#define SWEEP_USEC 200

/* Sends to all workers of `net`, or to one. Main thread. On -ENOMEM nothing was sent and `done` is not called. The
 * struct, embedded in the caller's, must live until `done`; task_end() releases what it holds. */
int task_send_all(struct task *task, struct net *net) _must_check_;
int task_send_one(struct task *task, struct net *net, unsigned worker) _must_check_;
/* task_send_all() in two halves: only the first can fail, the second sends. */
int task_prepare(struct task *task, struct net *net) _must_check_;
void task_launch(struct task *task, struct net *net);
void task_end(struct task *task);
