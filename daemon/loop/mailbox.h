/* SPDX-License-Identifier: MIT */
/*
 * Messages between threads: intrusive, in order, never blocking for long, woken through an eventfd. Any thread posts, one
 * thread takes.
 */
#pragma once

#include <pthread.h>

#include "macro.h"

/* Embedded in what is sent; `handle` runs on the receiving thread and owns the message from then on. */
struct message {
    struct message *next;
    void (*handle)(struct message *message, void *owner);
};

struct mailbox {
    pthread_mutex_t lock;
    struct message *head, **tail;
    int event_fd; /* readable while messages wait */
};

int mailbox_init(struct mailbox *m) _must_check_;
/* Messages that still wait are handled by nobody: take them first. */
void mailbox_done(struct mailbox *m);
void mailbox_post(struct mailbox *m, struct message *message);
/* Handles what waits now; what is posted meanwhile waits for the next call. Returns how many. */
unsigned mailbox_take(struct mailbox *m, void *owner);
/* Waits until something comes, and handles it. */
void mailbox_wait(struct mailbox *m, void *owner);
