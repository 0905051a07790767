/* SPDX-License-Identifier: MIT */
#include "mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>

int mailbox_init(struct mailbox *m) {
    m->head = NULL;
    m->tail = &m->head;
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->event_fd < 0)
        return -errno;
    pthread_mutex_init(&m->lock, NULL);
    return 0;
}

void mailbox_done(struct mailbox *m) {
    m->event_fd = close_fd(m->event_fd);
    pthread_mutex_destroy(&m->lock);
}

void mailbox_post(struct mailbox *m, struct message *message) {
    bool was_empty;

    message->next = NULL;
    pthread_mutex_lock(&m->lock);
    was_empty = m->head == NULL;
    *m->tail = message;
    m->tail = &message->next;
    pthread_mutex_unlock(&m->lock);

    /* Only the first message needs to wake the receiver: it takes all of them at once. */
    if (was_empty)
        (void) eventfd_write(m->event_fd, 1);
}

unsigned mailbox_take(struct mailbox *m, void *owner) {
    struct message *list, *next;
    eventfd_t ignored;
    unsigned n = 0;

    (void) eventfd_read(m->event_fd, &ignored);
    pthread_mutex_lock(&m->lock);
    list = m->head;
    m->head = NULL;
    m->tail = &m->head;
    pthread_mutex_unlock(&m->lock);

    for (; list; list = next, n++) {
        next = list->next;
        list->handle(list, owner);
    }
    return n;
}

void mailbox_wait(struct mailbox *m, void *owner) {
    struct pollfd pfd = { .fd = m->event_fd, .events = POLLIN };

    (void) poll(&pfd, 1, -1);
    mailbox_take(m, owner);
}
