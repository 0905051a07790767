/* SPDX-License-Identifier: MIT */
#include "running.h"

static struct running running;

#define TTL_11                                                                                                         \
    "profiles = { p = { ttl = 11; }; };"                                                                               \
    "listeners = {"                                                                                                    \
    "  a = { target = \"echo\"; profile = \"p\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"            \
    "  b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"
#define TTL_12                                                                                                         \
    "profiles = { p = { ttl = 12; }; };"                                                                               \
    "listeners = {"                                                                                                    \
    "  a = { target = \"echo\"; profile = \"p\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"            \
    "  b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"

static int setup(void **state) {
    running_begin(&running, TTL_11);
    return 0;
}

static int teardown(void **state) {
    running_end(&running);
    return 0;
}

/* ---- a main thread that runs out of memory ---- */

static _Thread_local unsigned fail_at; /* this allocation from now on, counted from 1; 0: none */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size) {
    if (fail_at > 0 && --fail_at == 0)
        return NULL;
    return __real_calloc(n, size);
}

/* ---- reloads ---- */

struct reloaded {
    bool come;
    enum change_status status;
    char *names, *faults; /* "+added -removed ~changed"; one fault a line without the directory */
};

static void add_names(FILE *f, char mark, const char *const *names) {
    for (; names && *names; names++)
        fprintf(f, "%s%c%s", ftell(f) ? " " : "", mark, *names);
}

static char *faults_text(const struct config_faults *faults) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    for (size_t i = 0; faults && i < faults->n; i++) {
        _cleanup_free_ char *line = config_fault_format(&faults->items[i]);

        fprintf(f, "%s\n", line + strlen(running.live.directory) + 1);
    }
    fclose(f);
    return text;
}

static void on_reloaded(const struct reload_answer *a, void *userdata) {
    struct reloaded *into = userdata;
    size_t size;
    FILE *f = open_memstream(&into->names, &size);

    assert_false(into->come);
    assert_non_null(f);
    add_names(f, '+', a->added);
    add_names(f, '-', a->removed);
    add_names(f, '~', a->changed);
    fclose(f);
    into->come = true;
    into->status = a->status;
    into->faults = faults_text(a->faults);
}

static void reloaded_done(struct reloaded *r) {
    free(r->names);
    free(r->faults);
    *r = (struct reloaded){ 0 };
}

static void wait_reloaded(struct reloaded *r) {
    while (!r->come)
        mailbox_wait(&running.live.net->mailbox, running.live.net);
}

static struct reloaded reload(const char *text) {
    const struct change_who who = { 0 };
    struct reloaded r = { 0 };

    live_write(&running.live, text);
    change_reload(running.change, &who, on_reloaded, &r);
    wait_reloaded(&r);
    return r;
}

/* It was taken, and these listeners came, went and changed. */
static void must_reload(const char *text, const char *names) {
    struct reloaded r = reload(text);

    if (r.status != CHANGE_DONE)
        fail_msg("%s", r.faults);
    assert_string_equal(r.names, names);
    assert_string_equal(r.faults, "");
    reloaded_done(&r);
}

/* It was refused, with a fault that has these words, and everything is as before. */
static void must_refuse(const char *text, const char *words) {
    const struct config *before = change_config(running.change);
    struct reloaded r = reload(text);

    assert_int_equal(r.status, CHANGE_FAILED);
    if (!strstr(r.faults, words))
        fail_msg("'%s' lacks '%s'", r.faults, words);
    reloaded_done(&r);
    assert_ptr_equal(change_config(running.change), before);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 11);
    assert_int_equal(net_listener(running.live.net, "a")->n_endpoints, 2);
}

static int connect_one(const char *listener) {
    unsigned before = live_flows(&running.live);
    int fd = live_connect(&running.live, listener);

    LIVE_UNTIL(&running.live, live_flows(&running.live) == before + 1);
    return fd;
}

/* ---- good ones ---- */

static void test_the_same_files_change_nothing(void **state) {
    int fd = connect_one("a");

    must_reload(TTL_11, "");
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    close(fd);
}

static void test_a_changed_value_reaches_endpoints_and_flows(void **state) {
    int fd = connect_one("a");

    must_reload(TTL_12, "~a");
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 12);
    assert_flow_settings(&running, "a", "ttl", "12", ORIGIN_PROFILE_FILE);
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    close(fd);
}

static void test_a_value_that_the_files_drop_goes_back_to_what_was_found(void **state) {
    int before;

    must_reload("listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; }; };",
                "-b ~a");
    before = endpoint_option(&running, "a", SOL_IP, IP_TTL);
    assert_int_not_equal(before, 11);
}

static void test_listeners_come_and_go(void **state) {
    int fd;

    must_reload("listeners = {"
                "  b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:0\" ]; };"
                "  c = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; };"
                "  d = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };",
                "+c +d -a");
    assert_null(net_listener(running.live.net, "a"));
    assert_non_null(config_listener(change_config(running.change), "d"));
    fd = connect_one("d");
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    close(fd);
}

static void test_another_reply_is_a_change_too(void **state) {
    must_reload("profiles = { p = { ttl = 11; }; };"
                "listeners = {"
                "  a = { target = \"echo\"; profile = \"p\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"
                "  b = { target = \"ack\"; reply = \"Thanks\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };",
                "~b");
}

/* ---- legs ---- */

#define LISTEN " listen = [ \"tcp:127.0.0.1:0\" ]; "
#define RELAY(keys) "listeners = { a = { target = \"forward\"; upstream = [ \"tcp:127.0.0.1:9\" ];" LISTEN keys "}; };"
#define LEG(ttl) "upstream_leg = { ttl = " ttl "; }; "

static void expect_upstream_ttl(const char *text) {
    const struct effective *e = net_listener(running.live.net, "a")->view->set;
    _cleanup_free_ char *got = settings_get_text(&e->upstream, setting_find("ttl"));

    assert_string_equal(got, text);
}

static void test_the_upstream_leg_of_the_files(void **state) {
    must_reload(RELAY(LEG("5")), "-b ~a");
    expect_upstream_ttl("5");
    must_reload(RELAY(LEG("6")), "~a");
    expect_upstream_ttl("6");
    must_reload(RELAY(LEG("6")), "");
    must_reload(RELAY(LEG("6") "balance = \"first\"; "), "~a");
    must_reload("profiles = { p = { ttl = 7; }; };" RELAY("upstream_profile = \"p\"; "), "~a");
    expect_upstream_ttl("7");
    assert_int_not_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 7);
    must_reload("profiles = { p = { ttl = 8; }; };" RELAY("upstream_profile = \"p\"; "), "~a");
    expect_upstream_ttl("8");
}

static void test_an_upstream_leg_that_is_not_there_is_no_change(void **state) {
    const char *text = "listeners = { a = { target = \"echo\";" LISTEN "}; };";
    const char *leg = "listeners = { a = { target = \"echo\";" LISTEN LEG("5") "}; };";

    must_reload(text, "-b ~a");
    must_reload(leg, "");
    must_set(&running, "a", "upstream.ttl=9");
    must_reload(text, "");
    must_reload(RELAY(), "~a"); /* now it is there, with what was asked for at runtime */
    expect_upstream_ttl("9");
    must_unset(&running, "a", "");
    expect_upstream_ttl("inherit");
}

/* ---- runtime changes ---- */

static void test_runtime_changes_stay_on_top(void **state) {
    struct answer a;

    must_set(&running, "a", "ttl=33");
    must_reload(TTL_12, "");
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 33);
    a = request_unset(&running, "a", "ttl");
    assert_string_equal(key_of(&a, "ttl")->requested, "12"); /* of the new files */
    answer_done(&a);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 12);
}

static void test_runtime_changes_wait_for_a_listener_that_comes_back(void **state) {
    must_set(&running, "b", "dscp=EF");
    must_reload("listeners = { };", "-a -b");
    assert_int_equal(change_runtime_values(running.change), 1);
    must_reload(TTL_11, "+a +b");
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 46 << 2);
    must_unset(&running, "b", "dscp");
    assert_int_equal(endpoint_option(&running, "b", SOL_IP, IP_TOS), 0);
}

static void test_a_profile_as_it_is_now(void **state) {
    struct settings set;
    uint8_t origin[SETTING_MAX];
    _cleanup_free_ char *ttl = NULL, *dscp = NULL;

    must_set(&running, "profile:p", "dscp=EF");
    assert_int_equal(change_profile(running.change, "nosuch", &set, origin), -ENOENT);
    assert_int_equal(change_profile(running.change, "p", &set, origin), 0);
    assert_int_equal(set.set_mask, bits("ttl") | bits("dscp"));
    ttl = settings_get_text(&set, setting_find("ttl"));
    dscp = settings_get_text(&set, setting_find("dscp"));
    assert_string_equal(ttl, "11");
    assert_string_equal(dscp, "EF");
    assert_int_equal(origin[SETTING_TTL], ORIGIN_PROFILE_FILE);
    assert_int_equal(origin[SETTING_DSCP], ORIGIN_PROFILE_RUNTIME);
    settings_done(&set);
    assert_int_equal(change_profile(running.change, "p", &set, NULL), 0);
    settings_done(&set);
}

/* ---- bad ones ---- */

static void test_files_that_cannot_be_read(void **state) {
    must_refuse("listeners = { a = {", "syntax error");
    must_refuse("listeners = { a = { target = \"echo\"; dscp = \"EFF\"; }; };", "did you mean 'EF'?");
    unlink(running.live.path);
    struct change_who who = { 0 };
    struct reloaded r = { 0 };
    change_reload(running.change, &who, on_reloaded, &r);
    wait_reloaded(&r);
    assert_int_equal(r.status, CHANGE_FAILED);
    reloaded_done(&r);
    must_reload(TTL_11, "");
}

static void test_a_listener_without_sockets(void **state) {
    must_refuse("listeners = { a = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"
                "              new = { target = \"echo\"; }; };",
                "listeners.new: no socket");
}

static void test_a_value_that_a_serving_socket_refuses(void **state) {
    int fd = connect_one("a");

    must_refuse("profiles = { p = { ttl = 12; congestion = \"nosuch\"; }; };"
                "listeners = {"
                "  a = { target = \"echo\"; profile = \"p\"; listen = [ \"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\" ]; };"
                "  new = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };",
                "a.conf:1: listeners.a.congestion: 1 socket refused it: ");
    assert_null(net_listener(running.live.net, "new"));
    assert_non_null(net_listener(running.live.net, "b"));
    assert_flow_settings(&running, "a", "ttl", "11", ORIGIN_PROFILE_FILE);
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    must_reload(TTL_12, "~a");
    close(fd);
}

/* ---- beside other changes ---- */

static char steps[64];

static void on_reload(bool begins, void *userdata) {
    assert_ptr_equal(userdata, &running);
    strcat(steps, begins ? "(" : ")");
}

static void test_who_watches_hears_of_beginning_and_end(void **state) {
    struct reloaded r;

    steps[0] = '\0';
    change_observe_reload(running.change, on_reload, &running);
    must_reload(TTL_12, "~a");
    assert_string_equal(steps, "()");
    r = reload("nonsense");
    reloaded_done(&r);
    assert_string_equal(steps, "()()");
}

static void test_reloads_and_changes_take_their_turns(void **state) {
    struct change_request request = { .target.name = "a" };
    const struct change_who who = { 0 };
    struct answer first, second, third;
    struct reloaded one = { 0 }, two = { 0 };

    live_write(&running.live,
               "listeners = { a = { target = \"echo\"; ttl = 60; listen = [ \"tcp:127.0.0.1:0\" ]; }; };");
    submit(&running, request, "dscp=EF", &first);
    change_reload(running.change, &who, on_reloaded, &one);
    submit(&running, request, "ttl=61", &second);
    change_reload(running.change, &who, on_reloaded, &two);
    request.target.name = "b"; /* has gone by then */
    submit(&running, request, "ttl=62", &third);
    wait_answer(&running, &third);
    assert_int_equal(first.status, CHANGE_DONE);
    assert_string_equal(key_of(&first, "dscp")->old, "inherit");
    assert_int_equal(one.status, CHANGE_DONE);
    assert_string_equal(one.names, "-b ~a");
    assert_string_equal(key_of(&second, "ttl")->old, "60");
    assert_int_equal(two.status, CHANGE_DONE);
    assert_string_equal(two.names, "");
    assert_int_equal(third.status, CHANGE_NO_SUCH_LISTENER);
    assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), 61);
    answer_done(&first);
    answer_done(&second);
    answer_done(&third);
    reloaded_done(&one);
    reloaded_done(&two);
}

static void test_stopping_refuses_a_reload(void **state) {
    const struct change_who who = { 0 };
    struct reloaded r = { 0 };

    change_stop(running.change);
    change_reload(running.change, &who, on_reloaded, &r);
    assert_true(r.come);
    assert_int_equal(r.status, CHANGE_BUSY);
    reloaded_done(&r);
}

static void test_a_start_with_faults(void **state) {
    struct config_faults faults = { 0 };
    struct config *config;
    struct change *change;

    live_write(&running.live, "listeners = { x = { target = \"echo\"; }; };");
    assert_int_equal(config_load(running.live.path, &live_schema, &config, &faults), 0);
    assert_int_equal(change_new(running.live.net, running.live.path, &live_schema, &change), 0);
    assert_int_equal(change_begin(change, config, &faults), -EINVAL);
    assert_int_equal(faults.n, 1);
    assert_null(change_config(change));
    config_faults_done(&faults);
    config_unref(config);
    change_free(change);
}

/* Whatever it is that finds no memory: the reload is as a whole, or not at all. */
static void test_out_of_memory(void **state) {
    unsigned at = 0;
    bool failed;
    int fd = live_connect(&running.live, "a");

    LIVE_UNTIL(&running.live, live_flows(&running.live) == 1);
    do {
        struct reloaded r;

        fail_at = ++at;
        r = reload(TTL_12);
        failed = r.status != CHANGE_DONE;
        assert_int_equal(fail_at == 0, failed); /* every allocation has had its turn */
        fail_at = 0;
        assert_int_equal(endpoint_option(&running, "a", SOL_IP, IP_TTL), failed ? 11 : 12);
        assert_flow_settings(&running, "a", "ttl", failed ? "11" : "12", ORIGIN_PROFILE_FILE);
        reloaded_done(&r);
    } while (failed);
    assert_true(at > 10);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_files_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_changed_value_reaches_endpoints_and_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_value_that_the_files_drop_goes_back_to_what_was_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listeners_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_reply_is_a_change_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_upstream_leg_of_the_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_upstream_leg_that_is_not_there_is_no_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runtime_changes_stay_on_top, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runtime_changes_wait_for_a_listener_that_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_profile_as_it_is_now, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_listener_without_sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_value_that_a_serving_socket_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_watches_hears_of_beginning_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reloads_and_changes_take_their_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopping_refuses_a_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_start_with_faults, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
