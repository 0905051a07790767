/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "scratch.h"

#define UPSTREAM "upstream = [ \"tcp:127.0.0.1:9000\" ];"

/* `keys` of a listener "l" with target forward stand from line 2 on. */
static char *listener(const char *keys) {
    char *text = NULL;

    assert_true(asprintf(&text, "profiles = { voice = { }; }; listeners = { l = { target = \"forward\";\n%s\n}; };\n",
                         keys) > 0);
    return text;
}

static void bad(void **state, const char *keys, const char *expected) {
    _cleanup_free_ char *text = listener(keys);

    scratch_bad(*state, text, expected);
}

static const struct config_forward *good(void **state, const char *keys) {
    _cleanup_free_ char *text = listener(keys);
    const struct config_listener *l = config_listener(scratch_good(*state, text), "l");

    assert_non_null(l->forward);
    assert_int_equal(config_listener_keys(l), SETTINGS_ALL);
    return l->forward;
}

static void expect_prefixes(const struct config_forward *f, const char *text) {
    _cleanup_free_ char *got = cidr_list_format(f->accept_proxy);

    assert_string_equal(got, text);
}

static void test_defaults(void **state) {
    const struct config_forward *f = good(state, UPSTREAM);

    assert_int_equal(f->n_upstreams, 1);
    assert_string_equal(f->upstreams[0].text, "tcp:127.0.0.1:9000");
    assert_null(f->profile);
    assert_int_equal(f->balance, BALANCE_ROUND_ROBIN);
    assert_int_equal(f->proxy_protocol, PROXY_OFF);
    expect_prefixes(f, "none");
    assert_int_equal(f->source, FORWARD_SOURCE_ANY);
    assert_int_equal(f->check_interval_usec, 0);
    assert_int_equal(f->max_failures, 3);
    assert_int_equal(f->failure_window_usec, 10 * USEC_PER_SEC);
    assert_int_equal(f->retry_after_usec, 10 * USEC_PER_SEC);
}

static void test_every_key(void **state) {
    const struct config_forward *f =
            good(state, "upstream = [ \"tcp:127.0.0.1:9000\", \"unix:/run/app.sock\",\n\"tcp:app.example:80\" ];\n"
                        "upstream_profile = \"voice\"; balance = \"source_hash\"; proxy_protocol = \"v2\";\n"
                        "accept_proxy = [ \"10.0.0.0/8\", \"::1\" ]; source = \"192.0.2.1\"; check_interval = \"5s\";\n"
                        "max_failures = 7; failure_window = \"1m\"; retry_after = \"30s\";\n"
                        "dscp = \"EF\"; upstream_leg = { dscp = \"CS1\"; };");
    char buf[ADDRESS_TEXT_MAX];

    assert_int_equal(f->n_upstreams, 3);
    assert_int_equal(f->upstreams[1].where.line, 2);
    assert_int_equal(f->upstreams[2].where.line, 3);
    assert_string_equal(f->upstreams[1].path, "/run/app.sock");
    assert_string_equal(f->upstreams[2].host, "app.example");
    assert_string_equal(f->profile->name, "voice");
    assert_int_equal(f->balance, BALANCE_SOURCE_HASH);
    assert_int_equal(f->proxy_protocol, PROXY_V2);
    expect_prefixes(f, "10.0.0.0/8,::1");
    assert_int_equal(f->source, FORWARD_SOURCE_ADDRESS);
    assert_string_equal(address_format_host(&f->source_address, buf), "192.0.2.1");
    assert_int_equal(f->check_interval_usec, 5 * USEC_PER_SEC);
    assert_int_equal(f->max_failures, 7);
    assert_int_equal(f->failure_window_usec, 60 * USEC_PER_SEC);
    assert_int_equal(f->retry_after_usec, 30 * USEC_PER_SEC);
}

static void test_only_this_target_has_them(void **state) {
    const struct config *c = scratch_good(*state, "listeners = { l = { target = \"echo\"; }; };");

    assert_null(c->listeners[0].forward);
    assert_int_equal(config_listener_keys(&c->listeners[0]), SETTINGS_ALL & ~SETTINGS_UPSTREAM);
    bad(state, UPSTREAM "reply = \"x\";\njournal_rate = 5;",
        "a.conf:2: listeners.l.reply: reply belongs to target 'ack', this listener has 'forward'\n"
        "a.conf:3: listeners.l.journal_rate: journal_rate belongs to target 'journal', this listener has 'forward'\n");
    /* A fault about the target is enough. */
    scratch_bad(*state,
                "listeners = { l = { target = \"forwart\";\n upstream = 5; balance = 5; max_failures = \"x\"; }; };",
                "a.conf:1: listeners.l.target: unknown target 'forwart', did you mean 'forward'?\n");
    scratch_bad(*state, "listeners = { l = {\n upstream = 5; upstream_profile = \"nosuch\"; }; };",
                "a.conf:1: listeners.l: the target is missing, choose one of ack, discard, echo, forward, journal\n");
}

static void test_upstreams(void **state) {
    assert_int_equal(good(state, "upstream = ( \"udp:127.0.0.1:1\" );")->upstreams[0].type, SOCK_DGRAM);
    bad(state, "", "a.conf:1: listeners.l: the upstream is missing: upstream = [ \"tcp:ADDRESS:PORT\" ]\n");
    bad(state, "upstream = [ ];", "a.conf:2: listeners.l.upstream: the list of upstreams is empty\n");
    bad(state, "upstream = \"tcp:127.0.0.1:9000\";",
        "a.conf:2: listeners.l.upstream: write a list of strings, for example [ \"tcp:127.0.0.1:9000\" ]\n");
    bad(state, "upstream = { };",
        "a.conf:2: listeners.l.upstream: write a list of strings, for example [ \"tcp:127.0.0.1:9000\" ]\n");
    bad(state, "upstream = ( 9000,\n{ },\n\"tcp:1\",\n\"unix:app\",\n\"tcp:127.0.0.1:0\" );",
        "a.conf:2: listeners.l.upstream: write an upstream as a string, for example \"tcp:127.0.0.1:9000\"\n"
        "a.conf:3: listeners.l.upstream: write an upstream as a string, for example \"tcp:127.0.0.1:9000\"\n"
        "a.conf:4: listeners.l.upstream: 'tcp:1' is no upstream, *\n"
        "a.conf:5: listeners.l.upstream: 'unix:app' is no upstream: the path of a Unix socket begins with '/', *\n"
        "a.conf:6: listeners.l.upstream: 'tcp:127.0.0.1:0' is no upstream, *\n");
    bad(state, "upstream = [ \"tcp:a\\x1b\\n:80\" ];",
        "a.conf:2: listeners.l.upstream: 'tcp:a??:80' is no upstream, *\n");
}

static void test_upstreams_are_listed_once(void **state) {
    bad(state,
        "upstream = [ \"tcp:[::1]:1\",\n\"tcp:a.example:1\",\n\"tcp:[0::0:1]:1\",\n\"udp:[::1]:1\",\n"
        "\"unix:/a\",\n\"tcp:a.example:1\",\n\"unix:/a\" ];",
        "a.conf:4: listeners.l.upstream: tcp:[::1]:1 is listed twice\n"
        "a.conf:7: listeners.l.upstream: tcp:a.example:1 is listed twice\n"
        "a.conf:8: listeners.l.upstream: unix:/a is listed twice\n");
}

static void test_most_upstreams(void **state) {
    char keys[4096], *end = stpcpy(keys, "upstream = [ \"tcp:127.0.0.1:1\"");

    for (int i = 1; i < CONFIG_UPSTREAMS_MAX; i++)
        end += sprintf(end, ", \"tcp:127.0.0.1:%d\"", i + 1);
    strcpy(end, " ];");
    assert_int_equal(good(state, keys)->n_upstreams, CONFIG_UPSTREAMS_MAX);
    strcpy(end, ", \"udp:127.0.0.1:1\" ];");
    bad(state, keys, "a.conf:2: listeners.l.upstream: more than 64 upstreams\n");
}

static void test_profile(void **state) {
    bad(state, UPSTREAM "upstream_profile = \"vioce\";",
        "a.conf:2: listeners.l.upstream_profile: there is no profile 'vioce', did you mean 'voice'?\n");
    bad(state, UPSTREAM "upstream_profile = \"bulk\";",
        "a.conf:2: listeners.l.upstream_profile: there is no profile 'bulk'\n");
    bad(state, UPSTREAM "upstream_profile = { };",
        "a.conf:2: listeners.l.upstream_profile: write a profile's name as a string\n");
    assert_non_null(good(state, UPSTREAM "profile = \"voice\"; upstream_profile = \"voice\";")->profile);
}

static void test_words(void **state) {
    static const char *const balances[] = { "round_robin", "least_flows", "source_hash", "first" };
    static const char *const versions[] = { "off", "v1", "v2" };
    char keys[256];

    for (size_t i = 0; i < ARRAY_SIZE(balances); i++) {
        snprintf(keys, sizeof(keys), UPSTREAM "balance = \"%s\";", balances[i]);
        assert_int_equal(good(state, keys)->balance, i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        snprintf(keys, sizeof(keys), UPSTREAM "proxy_protocol = \"%s\";", versions[i]);
        assert_int_equal(good(state, keys)->proxy_protocol, i);
    }
    bad(state, UPSTREAM "balance = \"fist\";\nproxy_protocol = \"v3\";",
        "a.conf:2: listeners.l.balance: unknown balance 'fist', did you mean 'first'?\n"
        "a.conf:3: listeners.l.proxy_protocol: unknown proxy_protocol 'v3', *\n");
    bad(state, UPSTREAM "balance = \"random\";\nproxy_protocol = 2;",
        "a.conf:2: listeners.l.balance: unknown balance 'random', choose one of round_robin, least_flows, source_hash, "
        "first\n"
        "a.conf:3: listeners.l.proxy_protocol: write a proxy_protocol as a string, for example \"off\"\n");
    bad(state, UPSTREAM "balance = true;\nproxy_protocol = true;",
        "a.conf:2: listeners.l.balance: write a balance as a string, for example \"round_robin\"\n"
        "a.conf:3: listeners.l.proxy_protocol: write a proxy_protocol as a string, for example \"off\"\n");
}

static void test_accept_proxy(void **state) {
    expect_prefixes(good(state, UPSTREAM "accept_proxy = [ ];"), "none");
    expect_prefixes(good(state, UPSTREAM "accept_proxy = ( \"192.0.2.1\" );"), "192.0.2.1");
    bad(state, UPSTREAM "accept_proxy = \"10.0.0.0/8\";",
        "a.conf:2: listeners.l.accept_proxy: write a list of strings, for example [ \"10.0.0.0/8\" ]\n");
    bad(state, UPSTREAM "accept_proxy = true;",
        "a.conf:2: listeners.l.accept_proxy: write a list of strings, for example [ \"10.0.0.0/8\" ]\n");
    bad(state, UPSTREAM "accept_proxy = ( \"10.0.0.1/8\",\n5,\n\"none\",\n\"inherit\",\n\"::1,::2\" );",
        "a.conf:2: listeners.l.accept_proxy: '10.0.0.1/8' is not an address or a prefix *\n"
        "a.conf:3: listeners.l.accept_proxy: write a list of strings, for example [ \"10.0.0.0/8\" ]\n"
        "a.conf:4: listeners.l.accept_proxy: write one address prefix in each string of the list\n"
        "a.conf:5: listeners.l.accept_proxy: *\n"
        "a.conf:6: listeners.l.accept_proxy: write one address prefix in each string of the list\n");
}

static void test_source(void **state) {
    const struct config_forward *f = good(state, UPSTREAM "source = \"client\";");
    char buf[ADDRESS_TEXT_MAX];

    assert_int_equal(f->source, FORWARD_SOURCE_CLIENT);
    f = good(state, UPSTREAM "source = \"2001:db8::1\";");
    assert_int_equal(f->source, FORWARD_SOURCE_ADDRESS);
    assert_string_equal(address_format_host(&f->source_address, buf), "2001:db8::1");
    bad(state, UPSTREAM "source = \"clients\";",
        "a.conf:2: listeners.l.source: 'clients' is no address, write \"client\" or for example \"192.0.2.1\"\n");
    bad(state, UPSTREAM "source = \"192.0.2.1:80\";",
        "a.conf:2: listeners.l.source: '192.0.2.1:80' is no address, *\n");
    bad(state, UPSTREAM "source = \"[::1]\";", "a.conf:2: listeners.l.source: '[::1]' is no address, *\n");
    bad(state, UPSTREAM "source = \"\";", "a.conf:2: listeners.l.source: '' is no address, *\n");
    bad(state, UPSTREAM "source = \"a\\x1b\";", "a.conf:2: listeners.l.source: 'a?' is no address, *\n");
    bad(state, UPSTREAM "source = 3221225985;", "a.conf:2: listeners.l.source: this is no address, *\n");
    bad(state, UPSTREAM "source = [ \"192.0.2.1\" ];", "a.conf:2: listeners.l.source: this is no address, *\n");
}

static void test_numbers(void **state) {
    const struct config_forward *f =
            good(state, UPSTREAM
                 "check_interval = \"100ms\"; max_failures = 1; failure_window = \"100ms\"; retry_after = \"1h\";");

    assert_int_equal(f->check_interval_usec, USEC_PER_SEC / 10);
    assert_int_equal(f->max_failures, 1);
    assert_int_equal(f->failure_window_usec, USEC_PER_SEC / 10);
    assert_int_equal(f->retry_after_usec, 3600 * USEC_PER_SEC);
    f = good(state, UPSTREAM "check_interval = \"off\"; max_failures = \"1000\"; failure_window = \"1h\";");
    assert_int_equal(f->check_interval_usec, 0);
    assert_int_equal(f->max_failures, 1000);

    bad(state,
        UPSTREAM "check_interval = \"99ms\";\nmax_failures = 0;\nfailure_window = \"off\";\nretry_after = \"61m\";",
        "a.conf:2: listeners.l.check_interval: check_interval '99ms' is out of range 100ms-1h or off\n"
        "a.conf:3: listeners.l.max_failures: max_failures '0' is out of range 1-1000\n"
        "a.conf:4: listeners.l.failure_window: 'off' *\n"
        "a.conf:5: listeners.l.retry_after: retry_after '61m' is out of range 100ms-1h\n");
    bad(state, UPSTREAM "check_interval = 5;\nmax_failures = \"3s\";\nfailure_window = 0;\nretry_after = true;",
        "a.conf:2: listeners.l.check_interval: write it as a string with a unit, for example \"10s\"\n"
        "a.conf:3: listeners.l.max_failures: '3s' *\n"
        "a.conf:4: listeners.l.failure_window: write it as a string with a unit, for example \"10s\"\n"
        "a.conf:5: listeners.l.retry_after: write it as a string with a unit, for example \"10s\"\n");
    bad(state,
        UPSTREAM "check_interval = \"inherit\";\nmax_failures = 1001;\nfailure_window = \"\";\nretry_after = \"0\";",
        "a.conf:2: listeners.l.check_interval: check_interval needs a value here\n"
        "a.conf:3: listeners.l.max_failures: max_failures '1001' is out of range 1-1000\n"
        "a.conf:4: listeners.l.failure_window: '' *\n"
        "a.conf:5: listeners.l.retry_after: retry_after '0' is out of range 100ms-1h\n");
}

static void test_no_framing(void **state) {
    good(state, UPSTREAM "framing = \"chunk\";");
    bad(state, UPSTREAM "\nframing = \"line\";",
        "a.conf:3: listeners.l.framing: target 'forward' passes bytes on as they come, without framing\n");
}

static void test_several_files(void **state) {
    const struct config_forward *f;

    scratch_write(*state, "a.conf", "listeners = { l = { target = \"echo\"; }; };");
    scratch_write(*state, "a.conf.d/1.conf",
                  "listeners = { l = { target = \"forward\"; balance = \"first\";\n" UPSTREAM "}; };");
    scratch_write(*state, "a.conf.d/2.conf", "listeners = { l = { upstream = [ \"tcp:[::1]:2\" ]; }; };");
    scratch_expect(*state, "");
    f = ((struct scratch *) *state)->config->listeners[0].forward;
    assert_int_equal(f->balance, BALANCE_FIRST);
    assert_int_equal(f->n_upstreams, 1); /* lists replace */
    assert_string_equal(f->upstreams[0].text, "tcp:[::1]:2");
    assert_non_null(strstr(f->upstreams[0].where.file, "2.conf"));

    /* What a file that cannot be read may say is not missed. */
    scratch_write(*state, "a.conf.d/1.conf", "listeners = {");
    scratch_write(*state, "a.conf.d/2.conf",
                  "listeners = { l = { target = \"forward\"; upstream_profile = \"p\"; }; };");
    scratch_expect(*state, "a.conf.d/1.conf:*\n");
}

static void expect_other(void **state, const char *keys) {
    _cleanup_free_ char *one = listener(UPSTREAM), *other = listener(keys);
    const struct config_forward *a, *b;
    struct scratch *s = *state;
    struct config *first;

    scratch_good(s, one);
    first = config_ref(s->config);
    a = first->listeners[0].forward;
    b = scratch_good(s, one)->listeners[0].forward;
    assert_ptr_not_equal(a, b);
    assert_true(config_forward_equal(a, b));
    b = scratch_good(s, other)->listeners[0].forward;
    assert_false(config_forward_equal(a, b));
    assert_false(config_forward_equal(b, a));
    assert_false(config_forward_equal(NULL, b));
    assert_true(config_forward_equal(b, b));
    assert_true(config_forward_equal(NULL, NULL));
    config_unref(first);
}

static void test_equal(void **state) {
    expect_other(state, "upstream = [ \"tcp:127.0.0.1:9001\" ];");
    expect_other(state, "upstream = [ \"udp:127.0.0.1:9000\" ];");
    expect_other(state, "upstream = [ \"tcp:127.0.0.1:9000\", \"tcp:127.0.0.1:9001\" ];");
    expect_other(state, UPSTREAM "upstream_profile = \"voice\";");
    expect_other(state, UPSTREAM "balance = \"first\";");
    expect_other(state, UPSTREAM "proxy_protocol = \"v1\";");
    expect_other(state, UPSTREAM "accept_proxy = [ \"::1\" ];");
    expect_other(state, UPSTREAM "source = \"client\";");
    expect_other(state, UPSTREAM "source = \"127.0.0.1\";");
    expect_other(state, UPSTREAM "check_interval = \"1s\";");
    expect_other(state, UPSTREAM "max_failures = 4;");
    expect_other(state, UPSTREAM "failure_window = \"11s\";");
    expect_other(state, UPSTREAM "retry_after = \"11s\";");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_every_key),
        TEST(test_only_this_target_has_them),
        TEST(test_upstreams),
        TEST(test_upstreams_are_listed_once),
        TEST(test_most_upstreams),
        TEST(test_profile),
        TEST(test_words),
        TEST(test_accept_proxy),
        TEST(test_source),
        TEST(test_numbers),
        TEST(test_no_framing),
        TEST(test_several_files),
        TEST(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
