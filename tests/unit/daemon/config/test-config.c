/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>

#include <cmocka.h>

#include "scratch.h"

static const char golden[] =
        "# everything in one file\n"
        "daemon = { workers = 2; drain_timeout = \"30s\"; stats_interval = \"off\"; log_level = \"debug\"; };\n"
        "profiles = {\n"
        "  voice = { dscp = \"EF\"; priority = 6; nodelay = true; receive_buffer = \"128K\"; };\n"
        "  bulk = { tos = 0x20; allow = [ \"10.0.0.0/8\", \"2001:db8::/32\" ]; ttl = \"inherit\"; };\n"
        "};\n"
        "listeners = {\n"
        "  orders = { profile = \"voice\"; target = \"ack\"; reply = \"OK\\n\"; send_buffer = \"128K\";\n"
        "             listen = [ \"tcp:127.0.0.1:8000\", \"udp:[::1]:8000\" ]; };\n"
        "  log = { target = \"journal\"; journal_rate = 7; journal_size = \"1K\"; compression = \"zlib:6\"; };\n"
        "  sink = { target = \"discard\"; profile = \"bulk\"; };\n"
        "  plain = { target = \"ack\"; listen = ( \"tcp:[::]:9\" ); };\n"
        "}; /* the end */\n"
        "// of it";

/* `expected` NULL: the settings say nothing about it. */
static void assert_setting(const struct settings *s, const char *name, const char *expected) {
    _cleanup_free_ char *text = settings_get_text(s, setting_find(name));

    if (expected)
        assert_string_equal(text, expected);
    else
        assert_null(text);
}

static void test_golden_daemon(void **state) {
    const struct config *c = scratch_good(*state, golden);

    assert_int_equal(c->daemon.workers, 2);
    assert_int_equal(c->daemon.drain_timeout_usec, 30 * USEC_PER_SEC);
    assert_int_equal(c->daemon.stats_interval_usec, 0);
    assert_int_equal(c->daemon.log_level, LOG_DEBUG);
    assert_string_equal(c->files[0], scratch_path(*state, "a.conf"));
    assert_null(c->files[1]);
}

static void test_golden_profiles(void **state) {
    const struct config *c = scratch_good(*state, golden);

    assert_int_equal(c->n_profiles, 2);
    const struct config_profile *voice = config_profile(c, "voice"), *bulk = config_profile(c, "bulk");
    assert_non_null(voice);
    assert_non_null(bulk);
    assert_null(config_profile(c, "Voice"));
    assert_setting(&voice->settings, "dscp", "EF");
    assert_setting(&voice->settings, "priority", "6");
    assert_setting(&voice->settings, "nodelay", "true");
    assert_setting(&voice->settings, "receive_buffer", "128K");
    assert_setting(&voice->settings, "ttl", NULL);
    assert_int_equal(voice->where.line, 4);
    assert_string_equal(voice->where.file, c->files[0]);
    assert_setting(&bulk->settings, "dscp", "CS1");
    assert_setting(&bulk->settings, "allow", "10.0.0.0/8,2001:db8::/32");
    assert_setting(&bulk->settings, "ttl", "inherit");
}

static void test_golden_listeners(void **state) {
    const struct config *c = scratch_good(*state, golden);

    assert_int_equal(c->n_listeners, 4);
    const struct config_listener *orders = config_listener(c, "orders");
    assert_non_null(orders);
    assert_null(config_listener(c, "order"));
    assert_ptr_equal(orders->profile, config_profile(c, "voice"));
    assert_string_equal(orders->target, "ack");
    assert_string_equal(orders->reply, "OK\n");
    assert_setting(&orders->settings, "send_buffer", "128K");
    assert_setting(&orders->settings, "dscp", NULL);
    assert_int_equal(orders->n_listen, 2);
    assert_string_equal(orders->listen[0].text, "tcp:127.0.0.1:8000");
    assert_int_equal(orders->listen[0].type, SOCK_STREAM);
    assert_string_equal(orders->listen[1].text, "udp:[::1]:8000");
    assert_int_equal(orders->listen[1].type, SOCK_DGRAM);
    assert_int_equal(orders->listen[1].address.sa.sa_family, AF_INET6);
    assert_int_equal(orders->where.line, 8);
    assert_int_equal(orders->where_listen.line, 9);

    const struct config_listener *log = config_listener(c, "log"), *sink = config_listener(c, "sink");
    assert_int_equal(log->journal_rate, 7);
    assert_int_equal(log->journal_size, 1024);
    assert_setting(&log->settings, "compression", "zlib:6");
    assert_int_equal(log->n_listen, 0);
    assert_null(log->profile);
    assert_null(log->reply);
    assert_string_equal(sink->profile->name, "bulk");

    const struct config_listener *plain = config_listener(c, "plain");
    assert_string_equal(plain->reply, "Received");
    assert_string_equal(plain->listen[0].text, "tcp:[::]:9");
    assert_int_equal(plain->journal_rate, 100);
    assert_int_equal(plain->journal_size, 4096);
}

static void test_defaults_of_an_empty_file(void **state) {
    const struct config *c = scratch_good(*state, "");

    assert_int_equal(c->daemon.workers, 0);
    assert_int_equal(c->daemon.drain_timeout_usec, 10 * USEC_PER_SEC);
    assert_int_equal(c->daemon.stats_interval_usec, 60 * USEC_PER_SEC);
    assert_int_equal(c->daemon.log_level, LOG_INFO);
    assert_int_equal(c->n_profiles, 0);
    assert_int_equal(c->n_listeners, 0);
}

static void test_references(void **state) {
    struct scratch *s = *state;

    scratch_good(s, golden);
    struct config *second = config_ref(s->config);
    assert_ptr_equal(second, s->config);
    s->config = config_unref(s->config);
    assert_non_null(config_listener(second, "orders"));
    assert_null(config_unref(second));
    assert_null(config_unref(NULL));
}

static void test_names(void **state) {
    char name[CONFIG_NAME_MAX + 2];

    assert_true(config_name_valid("a"));
    assert_true(config_name_valid("Orders-2_b"));
    assert_false(config_name_valid(""));
    assert_false(config_name_valid("2a"));
    assert_false(config_name_valid("-a"));
    assert_false(config_name_valid("_a"));
    assert_false(config_name_valid("a.b"));
    assert_false(config_name_valid("a b"));
    assert_false(config_name_valid("\xc3\xa4"));
    memset(name, 'a', sizeof(name));
    name[CONFIG_NAME_MAX + 1] = '\0';
    assert_false(config_name_valid(name));
    name[CONFIG_NAME_MAX] = '\0';
    assert_true(config_name_valid(name));
}

static void test_all_faults_at_once_in_order(void **state) {
    scratch_bad(*state,
                "daemn = { };\n"
                "daemon = { workers = 0; };\n"
                "profiles = { bulk = { dscp = \"EFF\";\n"
                "  nodelay = 1; }; };\n"
                "listeners = { a = { profile = \"bluk\"; target = \"ack\"; };\n"
                "  b = { }; };\n",
                "a.conf:1: daemn: unknown key, did you mean 'daemon'?\n"
                "a.conf:2: daemon.workers: *\n"
                "a.conf:3: profiles.bulk.dscp: unknown DSCP name 'EFF', did you mean 'EF'?\n"
                "a.conf:4: profiles.bulk.nodelay: write true or false\n"
                "a.conf:5: listeners.a.profile: there is no profile 'bluk', did you mean 'bulk'?\n"
                "a.conf:6: listeners.b: the target is missing, choose one of ack, discard, echo, forward, journal\n");
}

static unsigned n_suggestions;

const char *__real_suggest_near(const char *word, const char *const *candidates);
const char *__wrap_suggest_near(const char *word, const char *const *candidates);

const char *__wrap_suggest_near(const char *word, const char *const *candidates) {
    n_suggestions++;
    return __real_suggest_near(word, candidates);
}

static void write_keys(struct scratch *s, const char *before, const char *after) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fprintf(f, "%s", before);
    for (int i = 0; i < 300; i++)
        fprintf(f, "k%d = 1;\n", i);
    fprintf(f, "%s", after);
    fclose(f);
    scratch_write(s, "a.conf", text);
    free(text);
}

static void test_faults_are_limited(void **state) {
    struct scratch *s = *state;

    write_keys(s, "", "");
    assert_int_equal(scratch_load(s), -EINVAL);
    assert_int_equal(s->faults.n, CONFIG_FAULTS_MAX);
    const struct config_fault *last = &s->faults.items[CONFIG_FAULTS_MAX - 1];
    assert_string_equal(last->text, "more than 199 faults, the others are left out");
    assert_null(last->key);
    assert_string_equal(s->faults.items[CONFIG_FAULTS_MAX - 2].key, "k198");
}

/* Each is compared with many names. */
static void test_no_suggestion_for_what_is_not_told(void **state) {
    struct scratch *s = *state;

    n_suggestions = 0;
    write_keys(s, "profiles = { p = {\n", "}; };\n");
    assert_int_equal(scratch_load(s), -EINVAL);
    assert_int_equal(n_suggestions, 2 * CONFIG_FAULTS_MAX); /* among no words, and among the settings */
}

static void test_faults_are_appended(void **state) {
    struct scratch *s = *state;
    struct config_faults faults = { 0 };
    const struct config_schema schema = { .targets = (const char *const[]){ "ack", NULL } };
    struct config *c = NULL;

    scratch_write(s, "a.conf", "x = 1;\n");
    config_faults_add(&faults, &(struct config_where){ "zzz", 9 }, NULL, "earlier");
    assert_int_equal(config_load(scratch_path(s, "a.conf"), &schema, &c, &faults), -EINVAL);
    assert_null(c);
    assert_int_equal(faults.n, 2);
    assert_string_equal(faults.items[0].text, "earlier");
    assert_string_equal(faults.items[1].key, "x");
    config_faults_done(&faults);
}

/* Each prefix of a good file is a good file or has faults, and nothing worse: scratch_load() asserts it. */
static void test_every_truncation(void **state) {
    for (size_t size = 0; size < strlen(golden); size++) {
        scratch_write_bytes(*state, "a.conf", golden, size);
        scratch_load(*state);
    }
}

static void test_every_byte_replaced(void **state) {
    static const char hostile[] = { '"', '{', ']', '\0', '\n', '\xff', '9', '/', '@' };

    for (size_t i = 0; i < strlen(golden); i++) {
        char text[sizeof(golden)];
        memcpy(text, golden, sizeof(golden));
        text[i] = hostile[i % sizeof(hostile)];
        scratch_write_bytes(*state, "a.conf", text, sizeof(text) - 1);
        scratch_load(*state);
    }
}

static void test_prints_nothing(void **state) {
    struct scratch *s = *state;
    struct stat st;
    int saved[2] = { dup(STDOUT_FILENO), dup(STDERR_FILENO) };
    int fd = open(scratch_path(s, "output"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    fflush(NULL);
    for (int i = 0; i < 2; i++)
        assert_true(dup2(fd, STDOUT_FILENO + i) >= 0);
    scratch_write(s, "a.conf", "daemon = { workers = 0; }; \x01 'x' \xff @ $");
    int first = scratch_load(s);
    scratch_write(s, "a.conf", "daemon = { workers = 0; };");
    int second = scratch_load(s);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], STDOUT_FILENO + i);
        close(saved[i]);
    }
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(first, -EINVAL);
    assert_int_equal(second, -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_golden_daemon),
        TEST(test_golden_profiles),
        TEST(test_golden_listeners),
        TEST(test_defaults_of_an_empty_file),
        TEST(test_references),
        cmocka_unit_test(test_names),
        TEST(test_all_faults_at_once_in_order),
        TEST(test_faults_are_limited),
        TEST(test_no_suggestion_for_what_is_not_told),
        TEST(test_faults_are_appended),
        TEST(test_every_truncation),
        TEST(test_every_byte_replaced),
        TEST(test_prints_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
