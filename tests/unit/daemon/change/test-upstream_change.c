/* SPDX-License-Identifier: MIT */
/* Upstreams of a real target forward, drained, disabled, added and removed while workers run. */
#include "helper.h"
#include "running.h"
#include "upstream_change.h"

extern const struct target_ops target_forward;

static struct running running;
static int server = -EBADF; /* what the listener forwards to */
static char upstream[64], config[1024];

static int setup(void **state) {
    static const struct target_ops *targets[3] = { &target_forward };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(to);

    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *) &to, size), 0);
    assert_int_equal(listen(server, 100), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *) &to, &size), 0);
    snprintf(upstream, sizeof(upstream), "tcp:127.0.0.1:%u", ntohs(to.sin_port));
    snprintf(config, sizeof(config),
             "listeners = { web = { target = \"forward\"; balance = \"first\"; upstream = [ \"%s\", "
             "\"tcp:127.0.0.1:9\" ]; "
             "listen = [ \"tcp:127.0.0.1:0\" ]; }; e = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };",
             upstream);
    running = (struct running){ 0 };
    live_begin(&running.live, 2);
    targets[1] = live_targets[0];
    running.live.net->targets = targets;
    running_put_in_force(&running, config);
    return 0;
}

static int teardown(void **state) {
    helper_stop();
    running_end(&running);
    server = close_fd(server);
    return 0;
}

static struct forward *forward(void) {
    return forward_of_target(net_listener(running.live.net, "web")->view->target);
}

/* A copy of struct upstream_answer. */
struct got {
    bool come;
    enum change_status status;
    char text[256]; /* "enabled -> draining", or the reason */
    unsigned flows, closed;
};

static void on_done(const struct upstream_answer *a, void *userdata) {
    struct got *got = userdata;

    assert_false(got->come); /* exactly once */
    *got = (struct got){ .come = true, .status = a->status, .flows = a->flows, .closed = a->closed };
    if (a->status == CHANGE_DONE)
        snprintf(got->text, sizeof(got->text), "%s -> %s", a->old, a->new);
    else
        snprintf(got->text, sizeof(got->text), "%s", a->reason ? a->reason : "");
}

static void ask(enum upstream_action action, const char *listener, const char *name, struct got *ret) {
    const struct upstream_request request = {
        .who = { .uid = 1000, .pid = 4711 }, .action = action, .listener = listener, .upstream = name
    };

    *ret = (struct got){ 0 };
    upstream_change(running.change, &request, on_done, ret);
}

static struct got change(enum upstream_action action, const char *listener, const char *name) {
    struct got got;

    ask(action, listener, name, &got);
    while (!got.come)
        mailbox_wait(&running.live.net->mailbox, running.live.net);
    return got;
}

static void must(enum upstream_action action, const char *name, const char *text) {
    struct got got = change(action, "web", name);

    assert_int_equal(got.status, CHANGE_DONE);
    assert_string_equal(got.text, text);
}

static void expect_refusal(enum upstream_action action, const char *listener, const char *name,
                           enum change_status status, const char *reason) {
    struct got got = change(action, listener, name);

    assert_int_equal(got.status, status);
    if (strncmp(got.text, reason, strlen(reason)) != 0)
        fail_msg("'%s' instead of '%s'", got.text, reason);
}

static void test_orders(void **state) {
    struct upstream *u = forward_find(forward(), upstream);

    must(UPSTREAM_ACTION_DRAIN, upstream, "enabled -> draining");
    assert_int_equal(upstream_order(u), UPSTREAM_DRAINING);
    assert_int_equal(change_runtime_values(running.change), 1);
    must(UPSTREAM_ACTION_DISABLE, upstream, "draining -> disabled");
    must(UPSTREAM_ACTION_ENABLE, upstream, "disabled -> enabled");
    must(UPSTREAM_ACTION_ENABLE, upstream, "enabled -> enabled");
    assert_int_equal(change_runtime_values(running.change), 0);
}

static void test_disabling_closes_its_flows_alone(void **state) {
    int clients[3], beside = live_connect(&running.live, "e");
    struct got got;

    for (unsigned i = 0; i < ARRAY_SIZE(clients); i++)
        clients[i] = live_connect(&running.live, "web");
    LIVE_UNTIL(&running.live, atomic_load(&forward_find(forward(), upstream)->flows) == ARRAY_SIZE(clients));
    must(UPSTREAM_ACTION_DRAIN, upstream, "enabled -> draining");
    assert_int_equal(change(UPSTREAM_ACTION_DISABLE, "web", "tcp:127.0.0.1:9").closed, 0);
    got = change(UPSTREAM_ACTION_DISABLE, "web", upstream);
    assert_int_equal(got.flows, ARRAY_SIZE(clients));
    assert_int_equal(got.closed, ARRAY_SIZE(clients));
    for (unsigned i = 0; i < ARRAY_SIZE(clients); i++) {
        live_expect_end(clients[i]);
        close_fd(clients[i]);
    }
    live_send(beside, "hello", 5);
    live_expect_text(beside, "hello");
    close_fd(beside);
}

static void test_adding_and_removing(void **state) {
    must(UPSTREAM_ACTION_ADD, "tcp:127.0.0.1:10", "absent -> enabled");
    assert_true(forward_is_added(forward(), forward_find(forward(), "tcp:127.0.0.1:10")));
    must(UPSTREAM_ACTION_REMOVE, upstream, "enabled -> absent");
    must(UPSTREAM_ACTION_REMOVE, "tcp:127.0.0.1:9", "enabled -> absent");
    expect_refusal(UPSTREAM_ACTION_REMOVE, "web", "tcp:127.0.0.1:10", CHANGE_CONFLICT, "it is the only one");
    must(UPSTREAM_ACTION_ADD, upstream, "absent -> enabled");
    assert_false(forward_is_added(forward(), forward_find(forward(), upstream)));
}

static void test_refusals(void **state) {
    expect_refusal(UPSTREAM_ACTION_DRAIN, "wed", upstream, CHANGE_NO_SUCH_LISTENER, "");
    expect_refusal(UPSTREAM_ACTION_DRAIN, "web", "tcp:127.0.0.1:11", CHANGE_NO_SUCH_UPSTREAM, "");
    expect_refusal(UPSTREAM_ACTION_REMOVE, "web", "rubbish", CHANGE_NO_SUCH_UPSTREAM, "");
    expect_refusal(UPSTREAM_ACTION_ADD, "web", "rubbish", CHANGE_CONFLICT, "'rubbish' is no upstream");
    expect_refusal(UPSTREAM_ACTION_ADD, "web", upstream, CHANGE_CONFLICT, "it is there already");
    expect_refusal(UPSTREAM_ACTION_ADD, "e", upstream, CHANGE_CONFLICT, "the listener's target is not forward");
    expect_refusal(UPSTREAM_ACTION_ENABLE, "e", upstream, CHANGE_CONFLICT, "the listener's target is not forward");
    change_stop(running.change);
    expect_refusal(UPSTREAM_ACTION_ENABLE, "web", upstream, CHANGE_BUSY, "the daemon is stopping");
}

static void on_reloaded(const struct reload_answer *a, void *userdata) {
    assert_int_equal(a->status, CHANGE_DONE);
    *(bool *) userdata = true;
}

/* It is made to what the reload puts in force, not to what that replaces. */
static void test_waits_for_a_reload_that_is_under_way(void **state) {
    const struct change_who who = { 0 };
    struct forward *before = forward();
    struct got drained, added;
    bool reloaded = false;

    change_reload(running.change, &who, on_reloaded, &reloaded);
    ask(UPSTREAM_ACTION_DRAIN, "web", upstream, &drained);
    ask(UPSTREAM_ACTION_ADD, "web", "tcp:127.0.0.1:10", &added);
    assert_false(drained.come || added.come);
    while (!added.come)
        mailbox_wait(&running.live.net->mailbox, running.live.net);
    assert_true(reloaded && drained.come);
    assert_ptr_not_equal(forward(), before);
    assert_non_null(forward_find(forward(), "tcp:127.0.0.1:10"));
    assert_int_equal(upstream_order(forward_find(forward(), upstream)), UPSTREAM_DRAINING);
}

static void test_survives_a_reload(void **state) {
    const struct change_who who = { 0 };
    bool reloaded = false;

    must(UPSTREAM_ACTION_ADD, "tcp:localhost:10", "absent -> enabled");
    must(UPSTREAM_ACTION_REMOVE, "tcp:127.0.0.1:9", "enabled -> absent");
    change_reload(running.change, &who, on_reloaded, &reloaded);
    while (!reloaded)
        mailbox_wait(&running.live.net->mailbox, running.live.net);
    assert_non_null(forward_find(forward(), "tcp:localhost:10"));
    assert_null(forward_find(forward(), "tcp:127.0.0.1:9"));
    assert_int_equal(change_runtime_values(running.change), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disabling_closes_its_flows_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_adding_and_removing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_a_reload_that_is_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_survives_a_reload, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
