/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>

#include "mailbox.h"

#define POSTERS 4
#define MESSAGES_EACH 20000

struct note {
    struct message message;
    unsigned from, number;
    struct note *reply; /* posted by the handler */
};

struct inbox {
    struct mailbox mailbox;
    unsigned n, expected[POSTERS];
};

static void on_note(struct message *message, void *owner) {
    struct note *note = CONTAINER_OF(message, struct note, message);
    struct inbox *in = owner;

    assert_int_equal(note->number, in->expected[note->from]++);
    in->n++;
    if (note->reply)
        mailbox_post(&in->mailbox, &note->reply->message);
}

static bool readable(const struct mailbox *m) {
    struct pollfd pfd = { .fd = m->event_fd, .events = POLLIN };

    return poll(&pfd, 1, 0) == 1;
}

static void test_messages_come_in_order(void **state) {
    struct inbox in = { 0 };
    struct note notes[5];

    assert_int_equal(mailbox_init(&in.mailbox), 0);
    assert_false(readable(&in.mailbox));
    assert_int_equal(mailbox_take(&in.mailbox, &in), 0);
    for (unsigned i = 0; i < 5; i++) {
        notes[i] = (struct note){ { .handle = on_note }, 0, i, NULL };
        mailbox_post(&in.mailbox, &notes[i].message);
        assert_true(readable(&in.mailbox));
    }
    assert_int_equal(mailbox_take(&in.mailbox, &in), 5);
    assert_int_equal(in.n, 5);
    assert_false(readable(&in.mailbox));
    assert_int_equal(mailbox_take(&in.mailbox, &in), 0);
    mailbox_done(&in.mailbox);
}

static void test_what_a_handler_posts_waits_for_the_next_call(void **state) {
    struct inbox in = { 0 };
    struct note second = { { .handle = on_note }, 0, 1, NULL };
    struct note first = { { .handle = on_note }, 0, 0, &second };

    assert_int_equal(mailbox_init(&in.mailbox), 0);
    mailbox_post(&in.mailbox, &first.message);
    assert_int_equal(mailbox_take(&in.mailbox, &in), 1);
    assert_true(readable(&in.mailbox));
    assert_int_equal(mailbox_take(&in.mailbox, &in), 1);
    assert_false(readable(&in.mailbox));
    mailbox_done(&in.mailbox);
}

static void on_free(struct message *message, void *owner) {
    ++*(unsigned *) owner;
    free(CONTAINER_OF(message, struct note, message));
}

static void test_a_handler_may_free_its_message(void **state) {
    struct mailbox m;
    unsigned n = 0;

    assert_int_equal(mailbox_init(&m), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct note *note = calloc(1, sizeof(*note));

        assert_non_null(note);
        note->message.handle = on_free;
        mailbox_post(&m, &note->message);
    }
    assert_int_equal(mailbox_take(&m, &n), 3);
    assert_int_equal(n, 3);
    mailbox_done(&m);
}

struct poster {
    struct mailbox *mailbox;
    struct note *notes;
    unsigned from;
    pthread_t thread;
};

static void *post(void *userdata) {
    struct poster *p = userdata;

    for (unsigned i = 0; i < MESSAGES_EACH; i++) {
        p->notes[i] = (struct note){ { .handle = on_note }, p->from, i, NULL };
        mailbox_post(p->mailbox, &p->notes[i].message);
    }
    return NULL;
}

/* Waits for each wake-up: one that is lost hangs the test. */
static void test_many_threads_post(void **state) {
    struct inbox in = { 0 };
    struct poster posters[POSTERS];

    assert_int_equal(mailbox_init(&in.mailbox), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ &in.mailbox, calloc(MESSAGES_EACH, sizeof(struct note)), i };
        assert_non_null(posters[i].notes);
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post, &posters[i]), 0);
    }
    while (in.n < POSTERS * MESSAGES_EACH)
        mailbox_wait(&in.mailbox, &in);
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(in.expected[i], MESSAGES_EACH);
        free(posters[i].notes);
    }
    assert_int_equal(mailbox_take(&in.mailbox, &in), 0);
    mailbox_done(&in.mailbox);
}

static void test_the_fd_does_not_leak_into_children(void **state) {
    struct mailbox m;

    assert_int_equal(mailbox_init(&m), 0);
    assert_true(fcntl(m.event_fd, F_GETFD) & FD_CLOEXEC);
    mailbox_done(&m);
    assert_true(m.event_fd < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_in_order),
        cmocka_unit_test(test_what_a_handler_posts_waits_for_the_next_call),
        cmocka_unit_test(test_a_handler_may_free_its_message),
        cmocka_unit_test(test_many_threads_post),
        cmocka_unit_test(test_the_fd_does_not_leak_into_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
