/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "scratch.h"

/* `keys` of listener "l" stand from line 2 on. */
static char *listener(const char *keys) {
    char *text = NULL;

    assert_true(asprintf(&text, "listeners = { l = {\n%s\n}; };\n", keys) > 0);
    return text;
}

static void bad(void **state, const char *keys, const char *expected) {
    _cleanup_free_ char *text = listener(keys);

    scratch_bad(*state, text, expected);
}

static const struct config_listener *good(void **state, const char *keys) {
    _cleanup_free_ char *text = listener(keys);

    return config_listener(scratch_good(*state, text), "l");
}

static void test_target(void **state) {
    assert_string_equal(good(state, "target = \"discard\";")->target, "discard");
    bad(state, "",
        "a.conf:1: listeners.l: the target is missing, choose one of ack, discard, echo, forward, journal\n");
    bad(state, "target = \"ech\";", "a.conf:2: listeners.l.target: unknown target 'ech', did you mean 'echo'?\n");
    bad(state, "target = \"x\";",
        "a.conf:2: listeners.l.target: unknown target 'x', choose one of ack, discard, echo, forward, journal\n");
    bad(state, "target = 1;", "a.conf:2: listeners.l.target: write a target as a string, for example \"ack\"\n");
}

static void test_profile(void **state) {
    scratch_bad(*state,
                "profiles = { voice = { }; };\n"
                "listeners = { a = { target = \"ack\"; profile = \"vioce\"; };\n"
                "  b = { target = \"ack\"; profile = \"bulk\"; };\n"
                "  c = { target = \"ack\"; profile = { }; }; };\n",
                "a.conf:2: listeners.a.profile: there is no profile 'vioce', did you mean 'voice'?\n"
                "a.conf:3: listeners.b.profile: there is no profile 'bulk'\n"
                "a.conf:4: listeners.c.profile: write a profile's name as a string\n");
}

static void test_keys_of_other_targets(void **state) {
    bad(state, "target = \"echo\"; reply = \"x\";\njournal_rate = 5;\njournal_size = \"1K\";",
        "a.conf:2: listeners.l.reply: reply belongs to target 'ack', this listener has 'echo'\n"
        "a.conf:3: listeners.l.journal_rate: journal_rate belongs to target 'journal', this listener has 'echo'\n"
        "a.conf:4: listeners.l.journal_size: journal_size belongs to target 'journal', this listener has 'echo'\n");
    bad(state, "target = \"ack\"; upstream = [ ];\nupstream_profile = 1;\nbalance = 1;\nretry_after = 1;",
        "a.conf:2: listeners.l.upstream: upstream belongs to target 'forward', this listener has 'ack'\n"
        "a.conf:3: listeners.l.upstream_profile: upstream_profile belongs to target 'forward', *\n"
        "a.conf:4: listeners.l.balance: balance belongs to target 'forward', *\n"
        "a.conf:5: listeners.l.retry_after: retry_after belongs to target 'forward', *\n");
    bad(state, "target = \"ecko\"; reply = \"x\";",
        "a.conf:2: listeners.l.target: unknown target 'ecko', did you mean 'echo'?\n");
}

static void test_reply(void **state) {
    char longest[CONFIG_REPLY_MAX + 64], *end;

    assert_string_equal(good(state, "target = \"ack\"; reply = \"a\\tb\\x01\";")->reply, "a\tb\x01");
    bad(state, "target = \"ack\"; reply = \"\";",
        "a.conf:2: listeners.l.reply: the reply is empty, target \"discard\" answers nothing\n");
    bad(state, "target = \"ack\"; reply = 5;",
        "a.conf:2: listeners.l.reply: write a reply as a string, for example \"Received\"\n");
    bad(state, "target = \"ack\"; reply = \"a\\x00b\";", "a.conf:2: a string cannot hold a NUL byte\n");

    end = stpcpy(longest, "target = \"ack\"; reply = \"");
    memset(end, 'x', CONFIG_REPLY_MAX);
    strcpy(end + CONFIG_REPLY_MAX, "\";");
    assert_int_equal(strlen(good(state, longest)->reply), CONFIG_REPLY_MAX);
    strcpy(end + CONFIG_REPLY_MAX, "x\";");
    bad(state, longest, "a.conf:2: listeners.l.reply: the reply is longer than 4096 bytes\n");
}

static void test_journal_keys(void **state) {
    const struct config_listener *l =
            good(state, "target = \"journal\"; journal_rate = 100000; journal_size = \"64K\";");
    assert_int_equal(l->journal_rate, 100000);
    assert_int_equal(l->journal_size, 65536);
    bad(state, "target = \"journal\"; journal_rate = 0;\njournal_size = \"65K\";",
        "a.conf:2: listeners.l.journal_rate: *\n"
        "a.conf:3: listeners.l.journal_size: *\n");
    bad(state, "target = \"journal\"; journal_rate = 100001;\njournal_size = 4096;",
        "a.conf:2: listeners.l.journal_rate: *\n"
        "a.conf:3: listeners.l.journal_size: write it as a string with a unit, for example \"256K\"\n");
}

static void test_listen(void **state) {
    assert_int_equal(good(state, "target = \"ack\"; listen = [ ];")->n_listen, 0);
    bad(state, "target = \"ack\"; listen = \"tcp:127.0.0.1:1\";",
        "a.conf:2: listeners.l.listen: write a list of strings, for example [ \"tcp:127.0.0.1:8000\" ]\n");
    bad(state, "target = \"ack\"; listen = ( 8000,\n{ }, \"tcp:1\",\n\"sctp:127.0.0.1:1\"\n);",
        "a.conf:2: listeners.l.listen: write an endpoint as a string, for example \"tcp:127.0.0.1:8000\"\n"
        "a.conf:3: listeners.l.listen: write an endpoint as a string, for example \"tcp:127.0.0.1:8000\"\n"
        "a.conf:3: listeners.l.listen: 'tcp:1' is not an endpoint, write for example tcp:127.0.0.1:8000 or "
        "udp:[::1]:8000\n"
        "a.conf:4: listeners.l.listen: 'sctp:127.0.0.1:1' is not an endpoint, *\n");
}

static void test_most_endpoints(void **state) {
    char keys[8192], *end = stpcpy(keys, "target = \"ack\"; listen = [ \"tcp:127.0.0.1:1\"");

    for (int i = 1; i < CONFIG_LISTEN_MAX; i++)
        end += sprintf(end, ", \"tcp:127.0.0.1:%d\"", i + 1);
    strcpy(end, " ];");
    assert_int_equal(good(state, keys)->n_listen, CONFIG_LISTEN_MAX);
    strcpy(end, ", \"udp:127.0.0.1:1\" ];");
    bad(state, keys, "a.conf:2: listeners.l.listen: more than 64 endpoints\n");
}

static void test_duplicate_endpoints(void **state) {
    scratch_bad(*state,
                "listeners = { b = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:1\",\n"
                "  \"udp:127.0.0.1:1\",\n"
                "  \"tcp:127.0.0.1:1\"\n"
                "]; };\n"
                "  a = { target = \"ack\"; listen = [ \"tcp:127.0.0.1:2\",\n"
                "    \"udp:127.0.0.1:1\" ]; }; };\n",
                "a.conf:3: listeners.b.listen: tcp:127.0.0.1:1 is listed twice\n"
                "a.conf:6: listeners.a.listen: udp:127.0.0.1:1 is already listed by listener 'b'\n");
    scratch_bad(*state,
                "listeners = { a = { target = \"ack\"; listen = [ \"tcp:[::1]:1\", \"tcp:[0::0:1]:1\" ]; }; };\n",
                "a.conf:1: listeners.a.listen: tcp:[::1]:1 is listed twice\n");
}

static void test_any_port_is_no_duplicate(void **state) {
    assert_int_equal(good(state, "target = \"ack\"; listen = [ \"tcp:[::1]:0\", \"tcp:[::1]:0\" ];")->n_listen, 2);
    assert_int_equal(good(state, "target = \"ack\"; listen = [ \"udp:[::1]:0\", \"tcp:127.0.0.1:0\" ];")->n_listen, 2);
}

static void test_unknown_keys(void **state) {
    bad(state, "target = \"ack\";\nlisten_ = [ ];\nkeep_alive = \"off\";\nxyz = 1;",
        "a.conf:3: listeners.l.listen_: unknown key, did you mean 'listen'?\n"
        "a.conf:4: listeners.l.keep_alive: unknown key, did you mean 'keepalive'?\n"
        "a.conf:5: listeners.l.xyz: unknown key\n");
    bad(state, "target = \"ack\";\nupstream_legs = { };\nclientleg = { };\nupsteam_profile = \"x\";\nclient_ttl = 5;",
        "a.conf:3: listeners.l.upstream_legs: unknown key, did you mean 'upstream_leg'?\n"
        "a.conf:4: listeners.l.clientleg: unknown key, did you mean 'client_leg'?\n"
        "a.conf:5: listeners.l.upsteam_profile: unknown key, did you mean 'upstream_profile'?\n"
        "a.conf:6: listeners.l.client_ttl: unknown key, did you mean 'client_leg'?\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_target),
        TEST(test_profile),
        TEST(test_keys_of_other_targets),
        TEST(test_reply),
        TEST(test_journal_keys),
        TEST(test_listen),
        TEST(test_most_endpoints),
        TEST(test_duplicate_endpoints),
        TEST(test_any_port_is_no_duplicate),
        TEST(test_unknown_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
