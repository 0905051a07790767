/* SPDX-License-Identifier: MIT */
#include "task.h"

#include <errno.h>

#include "net.h"

static void on_reported(struct message *message, void *owner) {
    struct task_part *part = CONTAINER_OF(message, struct task_part, message);
    struct task *task = part->task;

    if (--task->left == 0)
        task->done(task);
}

static void report(struct task_part *part) {
    part->message.handle = on_reported;
    mailbox_post(&part->worker->net->mailbox, &part->message);
}

static bool sweep(struct loop_job *job) {
    struct task_part *part = CONTAINER_OF(job, struct task_part, job);
    struct worker *w = part->worker;
    uint64_t until_usec = loop_clock_usec() + SWEEP_USEC;

    for (unsigned visited = 0; part->slot < flow_table_slots(&w->flows);) {
        struct flow *f = flow_table_at(&w->flows, part->slot++);

        if (f) {
            part->task->visit(part->task, w, f);
            visited++;
        } else if (part->slot % SWEEP_FLOWS != 0) {
            continue; /* passing over a free slot costs less than the clock */
        }
        if (visited == SWEEP_FLOWS || loop_clock_usec() > until_usec)
            return false;
    }
    report(part);
    return true;
}

static void on_part(struct message *message, void *owner) {
    struct task_part *part = CONTAINER_OF(message, struct task_part, message);

    part->worker = owner;
    if (part->task->begin)
        part->task->begin(part->task, part->worker);
    if (!part->task->visit) {
        report(part);
        return;
    }
    part->job.step = sweep;
    loop_add_job(&part->worker->loop, &part->job);
}

static int prepare(struct task *task, unsigned n) {
    task->parts = calloc(n, sizeof(*task->parts));
    if (!task->parts)
        return -ENOMEM;
    task->left = n;
    for (unsigned i = 0; i < n; i++) {
        task->parts[i].task = task;
        task->parts[i].message.handle = on_part;
    }
    return 0;
}

int task_prepare(struct task *task, struct net *net) {
    return prepare(task, net->n_workers);
}

void task_launch(struct task *task, struct net *net) {
    unsigned n = task->left;

    for (unsigned i = 0; i < n; i++)
        mailbox_post(&net->workers[i].loop.mailbox, &task->parts[i].message);
}

int task_send_all(struct task *task, struct net *net) {
    int r = task_prepare(task, net);

    if (r >= 0)
        task_launch(task, net);
    return r;
}

int task_send_one(struct task *task, struct net *net, unsigned worker) {
    int r = prepare(task, 1);

    if (r >= 0)
        mailbox_post(&net->workers[worker].loop.mailbox, &task->parts[0].message);
    return r;
}

void task_end(struct task *task) {
    free(task->parts);
    task->parts = NULL;
}
