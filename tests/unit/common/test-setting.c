/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "setting.h"

/* tos; each setting of a leg, and tos, as that of the client leg; tos of the upstream leg */
#define N_ALIASES (1 + SETTING_LEG_MAX + 2)
#define N_ROWS (SETTING_MAX + N_ALIASES)

/* What is parsed is written in its canonical spelling, and that spelling gives the same value. */
static void check(const struct setting *s, const char *text, const char *canonical) {
    union setting_value v, back;
    char *reason = NULL;

    if (setting_parse(s, text, &v, &reason) != 0)
        fail_msg("%s '%s': %s", s->name, text, reason);
    _cleanup_free_ char *formatted = setting_format(s, &v);
    assert_string_equal(formatted, canonical);
    assert_int_equal(setting_parse(s, formatted, &back, &reason), 0);
    assert_true(setting_value_equal(s, &v, &back));
    setting_value_done(s, &v);
    setting_value_done(s, &back);
    assert_null(reason);
}

static void canonical_spellings(void **state) {
    static const char *const examples[][3] = {
        { "dscp", "ef", "EF" },
        { "dscp", "46", "EF" },
        { "dscp", "BE", "CS0" },
        { "dscp", "63", "63" },
        { "dscp", "reflect", "reflect" },
        { "tos", "0xb8", "0xb8" },
        { "tos", "184", "0xb8" },
        { "tos", "0", "0x00" },
        { "tos", "252", "0xfc" },
        { "tos", "reflect", "reflect" },
        { "priority", "0", "0" },
        { "priority", "7", "7" },
        { "mark", "0", "0x0" },
        { "mark", "42", "0x2a" },
        { "mark", "0xFFFFFFFF", "0xffffffff" },
        { "mark", "4294967295", "0xffffffff" },
        { "ttl", "1", "1" },
        { "ttl", "255", "255" },
        { "receive_buffer", "auto", "auto" },
        { "receive_buffer", "2K", "2K" },
        { "receive_buffer", "2048B", "2K" },
        { "send_buffer", "1G", "1G" },
        { "send_buffer", "1.5M", "1536K" },
        { "io_buffer", "4096B", "4K" },
        { "io_buffer", "1M", "1M" },
        { "nodelay", "on", "true" },
        { "nodelay", "no", "false" },
        { "quickack", "yes", "true" },
        { "quickack", "off", "false" },
        { "keepalive", "60s,10s,5", "60s,10s,5" },
        { "keepalive", "2m,1000ms,127", "120s,1s,127" },
        { "keepalive", "32767s,32767s,1", "32767s,32767s,1" },
        { "keepalive", "off", "off" },
        { "user_timeout", "1ms", "1ms" },
        { "user_timeout", "24h", "24h" },
        { "user_timeout", "off", "off" },
        { "idle_timeout", "168h", "168h" },
        { "idle_timeout", "90s", "90s" },
        { "congestion", "bbr", "bbr" },
        { "congestion", "abcdefghij_-123", "abcdefghij_-123" },
        { "pacing_rate", "50Mbit", "50Mbit" },
        { "pacing_rate", "6250KBps", "50Mbit" },
        { "pacing_rate", "1Kbit", "1Kbit" },
        { "pacing_rate", "1000Gbit", "1000Gbit" },
        { "pacing_rate", "unlimited", "unlimited" },
        { "notsent_lowat", "1B", "1B" },
        { "notsent_lowat", "128K", "128K" },
        { "busy_poll", "50us", "50us" },
        { "busy_poll", "1s", "1s" },
        { "busy_poll", "off", "off" },
        { "compression", "off", "off" },
        { "compression", "zlib", "zlib:6" },
        { "compression", "gzip:9", "gzip:9" },
        { "decompression", "zlib", "zlib" },
        { "decompression", "gzip:9", "gzip" },
        { "client.compression", "zlib", "zlib:6" },
        { "upstream.compression", "zlib:3", "zlib:3" },
        { "upstream.compression", "gzip", "gzip:6" },
        { "upstream.decompression", "auto", "auto" },
        { "upstream.decompression", "gzip:9", "gzip" },
        { "upstream.dscp", "ef", "EF" },
        { "upstream.tos", "184", "0xb8" },
        { "client.keepalive", "2m,1000ms,127", "120s,1s,127" },
        { "max_connections", "1", "1" },
        { "max_connections", "1000000", "1000000" },
        { "max_connections_per_source", "unlimited", "unlimited" },
        { "allow", "none", "none" },
        { "allow", "10.0.0.0/8 ::1", "10.0.0.0/8,::1" },
        { "deny", "192.0.2.1/32", "192.0.2.1" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        const struct setting *s = setting_find(examples[i][0]);
        assert_non_null(s);
        check(s, examples[i][1], examples[i][2]);
    }
}

static bool is_number(const struct setting *s) {
    return s->type <= SETTING_TYPE_BOOL;
}

static void check_number(const struct setting *s, int64_t number) {
    union setting_value v = { .number = number }, back;
    _cleanup_free_ char *text = setting_format(s, &v);

    if (setting_parse(s, text, &back, NULL) != 0)
        fail_msg("%s does not read its own '%s'", s->name, text);
    assert_int_equal(back.number, number);
    assert_true(setting_value_equal(s, &v, &back));
}

static void every_number_in_range_survives(void **state) {
    srandom(1);
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct setting *s = setting_row(i);
        int64_t step = s->step ?: 1;

        if (!is_number(s))
            continue;
        check_number(s, s->min);
        check_number(s, s->max);
        if (s->zero_word)
            check_number(s, 0);
        if (setting_client_id(s->id) == SETTING_DSCP)
            check_number(s, DSCP_REFLECT);
        for (int k = 0; k < 2000; k++) {
            uint64_t bits = ((uint64_t) random() << 31) ^ (uint64_t) random();
            int64_t below = (int64_t) (bits >> (random() % 62)) % (s->max - s->min + 1);
            check_number(s, s->min + below / step * step);
        }
    }
}

static void random_keepalives_survive(void **state) {
    const struct setting *s = setting_by_id(SETTING_KEEPALIVE);

    srandom(1);
    for (int i = 0; i < 2000; i++) {
        union setting_value v = { .keepalive = { .idle_sec = 1 + (uint32_t) random() % 32767,
                                                 .interval_sec = 1 + (uint32_t) random() % 32767,
                                                 .count = 1 + (uint32_t) random() % 127 } };
        union setting_value back, other = v;
        _cleanup_free_ char *text = setting_format(s, &v);

        assert_int_equal(setting_parse(s, text, &back, NULL), 0);
        assert_true(setting_value_equal(s, &v, &back));
        other.keepalive.count++;
        assert_false(setting_value_equal(s, &v, &other));
    }
}

/* Hostile text: whatever happens, an accepted value has a canonical text, and a refusal has a reason. */
static void random_text_is_judged(void **state) {
    static const char alphabet[] = "0123456789.,:/-x KMGBbitpsmuhoffautnlEFzgre\n%[]\xff";

    srandom(1);
    for (int i = 0; i < 40000; i++) {
        const struct setting *s = setting_row((size_t) random() % N_ROWS);
        _cleanup_free_ char *reason = NULL;
        union setting_value v;
        char text[24];
        size_t n = (size_t) random() % sizeof(text);

        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[(size_t) random() % (sizeof(alphabet) - 1)];
        text[n] = '\0';
        int r = setting_parse(s, text, &v, &reason);
        if (r == 0) {
            _cleanup_free_ char *canonical = setting_format(s, &v);
            check(s, canonical, canonical);
            setting_value_done(s, &v);
            continue;
        }
        assert_true(r == -EINVAL || r == -ERANGE);
        assert_non_null(reason);
        for (const char *c = reason; *c; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
}

static void values_own_their_lists(void **state) {
    const struct setting *s = setting_by_id(SETTING_ALLOW);
    union setting_value a, b, c;

    assert_int_equal(setting_parse(s, "10.0.0.0/8", &a, NULL), 0);
    assert_int_equal(setting_parse(s, "10.0.0.0/9", &c, NULL), 0);
    setting_value_copy(s, &b, &a);
    assert_false(setting_value_equal(s, &a, &c));
    setting_value_done(s, &a);
    _cleanup_free_ char *text = setting_format(s, &b);
    assert_string_equal(text, "10.0.0.0/8");
    setting_value_done(s, &b);
    setting_value_done(s, &c);
}

static void names_differ(void **state) {
    static const char *const pairs[][3] = { { "congestion", "cubic", "reno" },
                                            { "compression", "zlib:1", "zlib:2" },
                                            { "compression", "zlib:1", "gzip:1" },
                                            { "dscp", "EF", "reflect" } };

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        const struct setting *s = setting_find(pairs[i][0]);
        union setting_value a, b;
        assert_int_equal(setting_parse(s, pairs[i][1], &a, NULL), 0);
        assert_int_equal(setting_parse(s, pairs[i][2], &b, NULL), 0);
        assert_false(setting_value_equal(s, &a, &b));
    }
}

static void table_is_consistent(void **state) {
    assert_null(setting_row(N_ROWS));
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct setting *s = setting_row(i);

        assert_true(setting_find(s->name) == s);
        assert_int_equal(s->alias, i >= SETTING_MAX);
        if (!s->alias) {
            assert_int_equal(s->id, i);
            assert_true(setting_by_id(s->id) == s);
        }
        assert_true(s->help[0] && s->help[strlen(s->help) - 1] != '.');
        assert_true(s->syntax && s->carriers != 0);
        /* What the daemon itself does has no kernel value underneath. */
        assert_int_equal(s->may_inherit, s->carriers != CARRIER_DAEMON);
        assert_true(!s->capability_when || s->capability);
        if (is_number(s)) {
            assert_true(s->min < s->max);
            assert_true(!s->zero_word || s->min > 0);
            assert_true(!s->step || (s->min % s->step == 0 && s->max % s->step == 0));
        }
        if (s->zero_word)
            assert_non_null(strstr(s->syntax, s->zero_word));
        if (streq(s->dflt, "inherit"))
            assert_true(s->may_inherit);
        else
            check(s, s->dflt, s->dflt);
    }
}

static void the_alias_is_the_same_setting(void **state) {
    const struct setting *tos = setting_find("tos"), *dscp = setting_find("dscp");
    union setting_value a, b;

    assert_int_equal(tos->id, dscp->id);
    assert_int_equal(tos->carriers, dscp->carriers);
    assert_int_equal(setting_parse(tos, "0xb8", &a, NULL), 0);
    assert_int_equal(setting_parse(dscp, "EF", &b, NULL), 0);
    assert_true(setting_value_equal(dscp, &a, &b));
}

static void check_leg_row(const struct setting *plain, enum setting_leg leg, const char *prefix) {
    const struct setting *s = setting_find_on_leg(plain->name, leg);
    char name[64];

    assert_non_null(s);
    snprintf(name, sizeof(name), "%s.%s", prefix, plain->name);
    assert_string_equal(s->name, name);
    assert_true(setting_find(name) == s);
    assert_int_equal(s->leg, leg);
    assert_int_equal(s->id, plain->id + (leg == SETTING_LEG_UPSTREAM ? SETTING_UPSTREAM : 0));
    assert_int_equal(setting_client_id(s->id), plain->id);
    assert_int_equal(s->type, plain->type);
    assert_int_equal(s->carriers, plain->carriers);
    assert_string_equal(s->syntax, plain->syntax);
    assert_string_equal(s->dflt, plain->dflt);
    assert_int_equal(setting_keys(s), SETTING_BIT(s->id));
    /* Only the settings of the upstream leg have ids of their own. */
    assert_int_equal(s->alias, leg == SETTING_LEG_CLIENT || plain->alias);
    assert_null(setting_find_on_leg(name, leg));
}

static void each_leg_has_the_settings_of_a_leg(void **state) {
    size_t n = 0;

    for (size_t i = 0; i < N_ROWS; i++) {
        const struct setting *s = setting_row(i);

        if (s->leg != SETTING_LEG_ALL)
            continue;
        if (s->id < SETTING_LEG_MAX) {
            assert_int_equal(setting_keys(s), SETTING_BIT(s->id) | SETTING_BIT(SETTING_UPSTREAM + s->id));
            check_leg_row(s, SETTING_LEG_CLIENT, "client");
            check_leg_row(s, SETTING_LEG_UPSTREAM, "upstream");
            n++;
        } else {
            assert_int_equal(setting_keys(s), SETTING_BIT(s->id));
            assert_int_equal(setting_client_id(s->id), s->id);
            assert_null(setting_find_on_leg(s->name, SETTING_LEG_CLIENT));
            assert_null(setting_find_on_leg(s->name, SETTING_LEG_UPSTREAM));
        }
    }
    assert_int_equal(n, SETTING_LEG_MAX + 1); /* and tos */
    assert_null(setting_find_on_leg("", SETTING_LEG_CLIENT));
    assert_null(setting_find_on_leg("dscpp", SETTING_LEG_UPSTREAM));
}

/* The same texts mean the same on each leg. */
static void legs_understand_the_same(void **state) {
    static const char *const texts[] = { "EF",     "0xb8",   "5",         "reflect",   "0x2a", "64K",
                                         "auto",   "true",   "60s,10s,5", "10s",       "off",  "cubic",
                                         "50Mbit", "zlib:3", "gzip",      "unlimited", "" };

    for (size_t i = 0; i < N_ROWS; i++) {
        const struct setting *s = setting_row(i), *upstream = setting_find_on_leg(s->name, SETTING_LEG_UPSTREAM);

        for (size_t k = 0; upstream && k < ARRAY_SIZE(texts); k++) {
            union setting_value a, b;
            int r = setting_parse(s, texts[k], &a, NULL);

            assert_int_equal(setting_parse(upstream, texts[k], &b, NULL), r);
            if (r < 0)
                continue;
            _cleanup_free_ char *x = setting_format(s, &a), *y = setting_format(upstream, &b);
            assert_string_equal(x, y);
            assert_true(setting_value_equal(s, &a, &b));
        }
    }
}

static void names_about_the_same(void **state) {
    static const struct {
        const char *name;
        uint64_t keys;
    } cases[] = {
        { "dscp", SETTING_BIT(SETTING_DSCP) | SETTING_BIT(SETTING_UPSTREAM + SETTING_DSCP) },
        { "tos", SETTING_BIT(SETTING_DSCP) | SETTING_BIT(SETTING_UPSTREAM + SETTING_DSCP) },
        { "client.dscp", SETTING_BIT(SETTING_DSCP) },
        { "client.tos", SETTING_BIT(SETTING_DSCP) },
        { "upstream.dscp", SETTING_BIT(SETTING_UPSTREAM + SETTING_DSCP) },
        { "upstream.tos", SETTING_BIT(SETTING_UPSTREAM + SETTING_DSCP) },
        { "upstream.decompression_max_output", SETTING_BIT(SETTING_UPSTREAM + SETTING_DECOMPRESSION_MAX_OUTPUT) },
        { "idle_timeout", SETTING_BIT(SETTING_IDLE_TIMEOUT) },
        { "allow", SETTING_BIT(SETTING_ALLOW) },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(setting_keys(setting_find(cases[i].name)), cases[i].keys);
}

static void finds_and_suggests(void **state) {
    assert_null(setting_find(""));
    assert_null(setting_find("DSCP"));
    assert_null(setting_find("dscp "));
    assert_string_equal(setting_suggest("recv_buffer"), "receive_buffer");
    assert_string_equal(setting_suggest("tso"), "tos");
    assert_string_equal(setting_suggest("no_delay"), "nodelay");
    assert_null(setting_suggest("bandwidth"));
    assert_null(setting_find("client"));
    assert_null(setting_find("client."));
    assert_null(setting_find("upstream.allow"));
    assert_null(setting_find("client.client.dscp"));
    assert_string_equal(setting_suggest("upstream.dcsp"), "upstream.dscp");
    assert_string_equal(setting_suggest("client_ttl"), "client.ttl");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_spellings),
        cmocka_unit_test(every_number_in_range_survives),
        cmocka_unit_test(random_keepalives_survive),
        cmocka_unit_test(random_text_is_judged),
        cmocka_unit_test(values_own_their_lists),
        cmocka_unit_test(names_differ),
        cmocka_unit_test(table_is_consistent),
        cmocka_unit_test(the_alias_is_the_same_setting),
        cmocka_unit_test(each_leg_has_the_settings_of_a_leg),
        cmocka_unit_test(legs_understand_the_same),
        cmocka_unit_test(names_about_the_same),
        cmocka_unit_test(finds_and_suggests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
