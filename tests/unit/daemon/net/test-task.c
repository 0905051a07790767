/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <stdatomic.h>

#include "life.h"
#include "task.h"

#define WORKERS 2

static struct live live;

/* ---- turns are counted, and time passes only when it is looked at ---- */

static _Atomic unsigned n_turns[WORKERS];
static _Atomic uint64_t look_usec; /* 0: the real clock */

void __real_wheel_run(struct wheel *w, uint64_t now_usec);
void __wrap_wheel_run(struct wheel *w, uint64_t now_usec);
uint64_t __real_loop_clock_usec(void);
uint64_t __wrap_loop_clock_usec(void);

void __wrap_wheel_run(struct wheel *w, uint64_t now_usec) {
    n_turns[((struct worker *) CONTAINER_OF(w, struct loop, wheel)->owner)->index]++;
    __real_wheel_run(w, now_usec);
}

uint64_t __wrap_loop_clock_usec(void) {
    static _Atomic uint64_t fake_usec = 1;

    return look_usec ? atomic_fetch_add(&fake_usec, look_usec) : __real_loop_clock_usec();
}

static int setup(void **state) {
    look_usec = 0;
    live_begin(&live, WORKERS);
    live_must_apply(&live, "listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };");
    return 0;
}

static int teardown(void **state) {
    look_usec = 0;
    live_end(&live);
    return 0;
}

/* ---- a task that writes down what it does ---- */

struct work {
    struct task task;
    pthread_t main_thread;
    _Atomic unsigned n_begun[WORKERS], n_visited, n_wrong, n_done;
    unsigned turn[WORKERS], n_in_turn[WORKERS], most_in_turn[WORKERS], n_worker_turns[WORKERS];
    bool closes;
};

static void on_begin(struct task *task, struct worker *w) {
    struct work *k = CONTAINER_OF(task, struct work, task);

    k->n_begun[w->index]++;
    k->n_wrong += pthread_equal(pthread_self(), k->main_thread) != 0;
}

static void on_visit(struct task *task, struct worker *w, struct flow *f) {
    struct work *k = CONTAINER_OF(task, struct work, task);
    unsigned i = w->index;

    k->n_visited++;
    k->n_wrong += f->worker != w || f->id.worker != i || k->n_begun[i] != 1;
    if (k->turn[i] != n_turns[i]) {
        k->turn[i] = n_turns[i];
        k->n_in_turn[i] = 0;
        k->n_worker_turns[i]++;
    }
    k->most_in_turn[i] = MAX(k->most_in_turn[i], ++k->n_in_turn[i]);
    if (k->closes)
        life_end(w, f, LIFE_END_CLOSED, 0);
}

static void on_done(struct task *task) {
    struct work *k = CONTAINER_OF(task, struct work, task);

    k->n_wrong += pthread_equal(pthread_self(), k->main_thread) == 0;
    k->n_done++;
    task_end(task);
}

static struct work work(bool visits) {
    return (struct work){ .task = { .begin = on_begin, .visit = visits ? on_visit : NULL, .done = on_done },
                          .main_thread = pthread_self() };
}

static void wait_done(struct work *k) {
    while (k->n_done == 0)
        mailbox_wait(&live.net->mailbox, live.net);
    assert_int_equal(k->n_done, 1);
    assert_int_equal(k->n_wrong, 0);
    assert_null(k->task.parts);
}

static void open_many(int *fds, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        fds[i] = live_connect(&live, "a");
    LIVE_UNTIL(&live, live_flows(&live) == n);
}

static void close_many(int *fds, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static void test_every_worker_begins_once(void **state) {
    struct work k = work(false);

    assert_int_equal(task_send_all(&k.task, live.net), 0);
    wait_done(&k);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(k.n_begun[i], 1);
}

static void test_one_worker_begins(void **state) {
    struct work k = work(false);

    assert_int_equal(task_send_one(&k.task, live.net, 1), 0);
    wait_done(&k);
    assert_int_equal(k.n_begun[0], 0);
    assert_int_equal(k.n_begun[1], 1);
}

static void test_nothing_is_sent_before_the_launch(void **state) {
    struct work k = work(false);

    assert_int_equal(task_prepare(&k.task, live.net), 0);
    live_turn(&live);
    assert_int_equal(k.n_begun[0], 0);
    task_launch(&k.task, live.net);
    wait_done(&k);
}

static void test_a_prepared_task_may_be_dropped(void **state) {
    struct work k = work(false);

    assert_int_equal(task_prepare(&k.task, live.net), 0);
    task_end(&k.task);
    assert_null(k.task.parts);
}

static void test_every_flow_is_visited_once_and_few_a_turn(void **state) {
    static int fds[300];
    struct work k = work(true);

    open_many(fds, ARRAY_SIZE(fds));
    assert_int_equal(task_send_all(&k.task, live.net), 0);
    wait_done(&k);
    assert_int_equal(k.n_visited, ARRAY_SIZE(fds));
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(k.most_in_turn[i] <= SWEEP_FLOWS);
    close_many(fds, ARRAY_SIZE(fds));
}

static void test_a_visit_may_close_the_flow(void **state) {
    static int fds[200];
    struct work k = work(true);

    open_many(fds, ARRAY_SIZE(fds));
    k.closes = true;
    assert_int_equal(task_send_all(&k.task, live.net), 0);
    wait_done(&k);
    assert_int_equal(k.n_visited, ARRAY_SIZE(fds));
    assert_int_equal(live_flows(&live), 0);
    close_many(fds, ARRAY_SIZE(fds));
}

static void test_a_turn_ends_when_its_time_is_over(void **state) {
    static int fds[64];
    struct work k = work(true);

    open_many(fds, ARRAY_SIZE(fds));
    look_usec = SWEEP_USEC; /* a slow machine */
    assert_int_equal(task_send_all(&k.task, live.net), 0);
    wait_done(&k);
    assert_int_equal(k.n_visited, ARRAY_SIZE(fds));
    assert_true(k.n_worker_turns[0] + k.n_worker_turns[1] >= ARRAY_SIZE(fds) / 2);
    close_many(fds, ARRAY_SIZE(fds));
}

/* A worker that once had very many flows. */
static void leave_free_slots(struct task *task, struct worker *w) {
    static const unsigned n = 20000;
    struct flow **all = calloc(n, sizeof(*all));
    struct work *k = CONTAINER_OF(task, struct work, task);

    if (!all) {
        k->n_wrong++;
        return;
    }
    for (unsigned i = 0; i < n; i++)
        k->n_wrong += !(all[i] = flow_table_take(&w->flows));
    for (unsigned i = 0; i < n; i++)
        flow_table_give(&w->flows, all[i]);
    free(all);
}

static void test_free_slots_are_passed_over_in_bounded_steps(void **state) {
    struct work grow = work(false), k = work(true);
    unsigned before;

    grow.task.begin = leave_free_slots;
    assert_int_equal(task_send_one(&grow.task, live.net, 0), 0);
    wait_done(&grow);
    look_usec = SWEEP_USEC;
    before = n_turns[0];
    assert_int_equal(task_send_one(&k.task, live.net, 0), 0);
    wait_done(&k);
    assert_int_equal(k.n_visited, 0);
    assert_true(n_turns[0] - before >= 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_worker_begins_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_worker_begins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_sent_before_the_launch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_prepared_task_may_be_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_flow_is_visited_once_and_few_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_visit_may_close_the_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_turn_ends_when_its_time_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_slots_are_passed_over_in_bounded_steps, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
