/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "loop.h"

/* A source that counts, and removes others. */
struct watch {
    struct loop_source source;
    struct loop *loop;
    unsigned n_events;
    struct watch *removes;
};

static void on_event(struct loop_source *source, uint32_t events) {
    struct watch *w = CONTAINER_OF(source, struct watch, source);

    w->n_events++;
    if (w->removes)
        loop_remove(w->loop, &w->removes->source);
}

static void watch_begin(struct watch *w, struct loop *loop, unsigned initial) {
    *w = (struct watch){ .source = { .fd = eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK), .on_event = on_event },
                         .loop = loop };
    assert_true(w->source.fd >= 0);
    assert_int_equal(loop_add(loop, &w->source, EPOLLIN), 0);
    assert_true(w->source.watched);
}

static void watch_end(struct watch *w) {
    loop_remove(w->loop, &w->source);
    close_fd(w->source.fd);
}

/* Ends the loop after so many turns. */
static unsigned turns_left;

static void on_turn(struct loop *loop) {
    if (--turns_left == 0)
        loop->stop = true;
}

static void run_turns(struct loop *loop, unsigned n) {
    turns_left = n;
    loop->stop = false;
    loop->on_turn = on_turn;
    loop_run(loop);
}

static struct loop loop;

static int setup(void **state) {
    return loop_init(&loop, &loop);
}

static int teardown(void **state) {
    loop_done(&loop);
    return 0;
}

static void test_a_source_signals_until_it_is_modified_or_removed(void **state) {
    struct watch a;

    watch_begin(&a, &loop, 1);
    run_turns(&loop, 3); /* level-triggered */
    assert_int_equal(a.n_events, 3);

    struct watch wakes;
    watch_begin(&wakes, &loop, 1);
    loop_modify(&loop, &a.source, 0);
    run_turns(&loop, 2);
    assert_int_equal(a.n_events, 3);
    loop_modify(&loop, &a.source, EPOLLIN);
    run_turns(&loop, 2);
    assert_int_equal(a.n_events, 5);
    loop_remove(&loop, &a.source);
    assert_false(a.source.watched);
    loop_modify(&loop, &a.source, EPOLLOUT); /* not watched: nothing */
    loop_remove(&loop, &a.source);
    run_turns(&loop, 2);
    assert_int_equal(a.n_events, 5);
    watch_end(&a);
    watch_end(&wakes);
}

static void test_a_source_removed_in_the_same_turn_stays_silent(void **state) {
    struct watch a, b;

    watch_begin(&a, &loop, 1);
    watch_begin(&b, &loop, 1);
    a.removes = &b;
    b.removes = &a;
    run_turns(&loop, 1);
    assert_int_equal(a.n_events + b.n_events, 1);
    watch_end(&a);
    watch_end(&b);
}

static void test_a_source_removes_itself(void **state) {
    struct watch a, wakes;

    watch_begin(&a, &loop, 1);
    watch_begin(&wakes, &loop, 1);
    a.removes = &a;
    run_turns(&loop, 3);
    assert_int_equal(a.n_events, 1);
    watch_end(&a);
    watch_end(&wakes);
}

static void test_an_fd_that_cannot_be_watched(void **state) {
    struct loop_source source = { .fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .on_event = on_event };

    assert_true(source.fd >= 0);
    source.fd = close_fd(source.fd);
    assert_int_equal(loop_add(&loop, &source, EPOLLIN), -EBADF);
    assert_false(source.watched);
}

struct steps {
    struct loop_job job;
    struct loop *loop;
    unsigned left, n;
    struct steps *adds;
};

static bool step(struct loop_job *job) {
    struct steps *s = CONTAINER_OF(job, struct steps, job);

    s->n++;
    if (s->adds) {
        loop_add_job(s->loop, &s->adds->job);
        s->adds = NULL;
    }
    return --s->left == 0;
}

static void test_each_job_makes_one_step_a_turn(void **state) {
    struct steps a = { { .step = step }, &loop, 3 }, b = { { .step = step }, &loop, 5 };

    loop_add_job(&loop, &a.job);
    loop_add_job(&loop, &b.job);
    run_turns(&loop, 2); /* does not wait while there is work */
    assert_int_equal(a.n, 2);
    assert_int_equal(b.n, 2);
    run_turns(&loop, 2);
    assert_int_equal(a.n, 3);
    assert_int_equal(b.n, 4);
    run_turns(&loop, 1);
    assert_int_equal(b.n, 5);
    assert_null(loop.jobs);
}

static void test_a_job_added_by_a_step_waits_for_the_next_turn(void **state) {
    struct steps b = { { .step = step }, &loop, 1 }, a = { { .step = step }, &loop, 1, .adds = &b };

    loop_add_job(&loop, &a.job);
    run_turns(&loop, 1);
    assert_int_equal(a.n, 1);
    assert_int_equal(b.n, 0);
    run_turns(&loop, 1);
    assert_int_equal(b.n, 1);
}

static bool step_and_free(struct loop_job *job) {
    free(job);
    return true;
}

static void test_a_finished_job_may_free_itself(void **state) {
    for (unsigned i = 0; i < 3; i++) {
        struct loop_job *job = calloc(1, sizeof(*job));

        assert_non_null(job);
        job->step = step_and_free;
        loop_add_job(&loop, job);
    }
    run_turns(&loop, 1);
    assert_null(loop.jobs);
}

struct alarm {
    struct timer timer;
    uint64_t fired_usec;
};

static void on_expire(struct timer *timer) {
    struct alarm *a = CONTAINER_OF(timer, struct alarm, timer);

    a->fired_usec = loop.now_usec;
    loop.stop = true;
}

static void test_a_timer_wakes_an_idle_loop_not_before_its_time(void **state) {
    struct alarm a = { .timer.on_expire = on_expire };
    uint64_t deadline_usec = loop_clock_usec() + 20 * USEC_PER_MSEC;

    wheel_arm(&loop.wheel, &a.timer, deadline_usec);
    loop_run(&loop); /* hangs if nothing wakes it */
    assert_true(a.fired_usec >= deadline_usec);
    assert_true(loop.now_usec <= loop_clock_usec());
}

struct stop_message {
    struct message message;
    unsigned n;
};

static void on_stop(struct message *message, void *owner) {
    assert_ptr_equal(owner, &loop);
    CONTAINER_OF(message, struct stop_message, message)->n++;
    loop.stop = true;
}

static void *post_stop(void *userdata) {
    mailbox_post(&loop.mailbox, &((struct stop_message *) userdata)->message);
    return NULL;
}

static void test_a_message_of_another_thread_wakes_an_idle_loop(void **state) {
    struct stop_message stop = { { .handle = on_stop }, 0 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post_stop, &stop), 0);
    loop_run(&loop);
    assert_int_equal(stop.n, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_draining_handles_messages_and_their_jobs(void **state) {
    struct steps a = { { .step = step }, &loop, 4 };
    struct stop_message m = { { .handle = on_stop }, 0 };

    loop_add_job(&loop, &a.job);
    mailbox_post(&loop.mailbox, &m.message);
    loop_drain(&loop);
    assert_int_equal(a.n, 4);
    assert_int_equal(m.n, 1);
    assert_null(loop.jobs);
}

static void test_many_sources_all_get_their_turn(void **state) {
    static struct watch many[300]; /* more than epoll hands out at once */

    for (unsigned i = 0; i < 300; i++)
        watch_begin(&many[i], &loop, 1);
    run_turns(&loop, 3);
    for (unsigned i = 0; i < 300; i++) {
        assert_true(many[i].n_events > 0);
        watch_end(&many[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_source_signals_until_it_is_modified_or_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_source_removed_in_the_same_turn_stays_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_source_removes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_fd_that_cannot_be_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_job_makes_one_step_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_job_added_by_a_step_waits_for_the_next_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_finished_job_may_free_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_timer_wakes_an_idle_loop_not_before_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_message_of_another_thread_wakes_an_idle_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_draining_handles_messages_and_their_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_sources_all_get_their_turn, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
