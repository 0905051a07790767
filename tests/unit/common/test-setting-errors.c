/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "setting.h"

static const struct {
    const char *name, *text;
    int error;
    const char *reason;
} refusals[] = {
    { "dscp", "EFF", -EINVAL, "unknown DSCP name 'EFF', did you mean 'EF'?" },
    { "dscp", "voice", -EINVAL, "'voice' is not a DSCP: write a name such as EF, 0-63, reflect or passthrough" },
    { "dscp", "", -EINVAL, "'' is not a DSCP: write a name such as EF, 0-63, reflect or passthrough" },
    { "dscp", "-1", -EINVAL, "'-1' is not a DSCP: write a name such as EF, 0-63, reflect or passthrough" },
    { "dscp", "184", -ERANGE, "DSCP '184' is out of range 0-63, as a TOS byte it is dscp EF" },
    { "dscp", "65", -ERANGE, "DSCP '65' is out of range 0-63" },
    { "dscp", "300", -ERANGE, "DSCP '300' is out of range 0-63" },
    { "tos", "0x11", -EINVAL,
      "TOS 0x11 has ECN bits set, which belong to the kernel (RFC 3168); 0x10 (dscp 4) is the mark without them" },
    { "tos", "187", -EINVAL,
      "TOS 0xbb has ECN bits set, which belong to the kernel (RFC 3168); 0xb8 (dscp EF) is the mark without them" },
    { "tos", "256", -ERANGE, "TOS '256' is out of range 0x00-0xfc" },
    { "tos", "99999999999999999999", -ERANGE, "TOS '99999999999999999999' is out of range 0x00-0xfc" },
    { "tos", "-1", -EINVAL, "'-1' is not a TOS byte: write 0x00-0xfc, 0-252, reflect or passthrough" },
    { "tos", "EF", -EINVAL, "TOS is a byte: write dscp EF or tos 0xb8" },
    { "priority", "9", -ERANGE, "priority '9' is out of range 0-7" },
    { "priority", "high", -EINVAL, "'high' is not a whole number, write for example 5" },
    { "mark", "4294967296", -ERANGE, "mark '4294967296' is out of range 0x0-0xffffffff" },
    { "mark", "0xg", -EINVAL, "'0xg' is not a whole number, write for example 42 or 0x2a" },
    { "ttl", "0", -ERANGE, "ttl '0' is out of range 1-255" },
    { "ttl", "256", -ERANGE, "ttl '256' is out of range 1-255" },
    { "receive_buffer", "10000", -EINVAL, "'10000' has no unit, write for example 10000B, 64K or auto" },
    { "receive_buffer", "1K", -ERANGE, "receive_buffer '1K' is out of range 2K-1G or auto" },
    { "receive_buffer", "0", -ERANGE, "receive_buffer '0' is out of range 2K-1G or auto" },
    { "receive_buffer", "99999999999G", -ERANGE, "receive_buffer '99999999999G' is out of range 2K-1G or auto" },
    { "receive_buffer", "off", -EINVAL,
      "'off' is not a size of whole bytes in B, K, M or G, write for example 64K or auto" },
    { "io_buffer", "2M", -ERANGE, "io_buffer '2M' is out of range 4K-1M" },
    { "io_buffer", "64k", -EINVAL, "'64k' is not a size of whole bytes in B, K, M or G, write for example 64K" },
    { "io_buffer", "auto", -EINVAL, "'auto' is not a size of whole bytes in B, K, M or G, write for example 64K" },
    { "nodelay", "1", -EINVAL, "'1' is neither true nor false (on and off, yes and no are understood too)" },
    { "nodelay", "True", -EINVAL, "'True' is neither true nor false (on and off, yes and no are understood too)" },
    { "keepalive", "60", -EINVAL,
      "'60' is not IDLE,INTERVAL,COUNT in whole seconds, write for example 60s,10s,5 or off" },
    { "keepalive", "60,10,5", -EINVAL,
      "'60,10,5' is not IDLE,INTERVAL,COUNT in whole seconds, write for example 60s,10s,5 or off" },
    { "keepalive", "60s,10s,5,", -EINVAL,
      "'60s,10s,5,' is not IDLE,INTERVAL,COUNT in whole seconds, write for example 60s,10s,5 or off" },
    { "keepalive", "1500ms,10s,5", -EINVAL,
      "'1500ms,10s,5' is not IDLE,INTERVAL,COUNT in whole seconds, write for example 60s,10s,5 or off" },
    { "keepalive", "60s,10s,5s", -EINVAL,
      "'60s,10s,5s' is not IDLE,INTERVAL,COUNT in whole seconds, write for example 60s,10s,5 or off" },
    { "keepalive", "32768s,10s,5", -ERANGE, "keepalive '32768s,10s,5' is out of range 1s-32767s,1s-32767s,1-127" },
    { "keepalive", "60s,0s,5", -ERANGE, "keepalive '60s,0s,5' is out of range 1s-32767s,1s-32767s,1-127" },
    { "keepalive", "60s,10s,128", -ERANGE, "keepalive '60s,10s,128' is out of range 1s-32767s,1s-32767s,1-127" },
    { "keepalive", "60s,10s,0", -ERANGE, "keepalive '60s,10s,0' is out of range 1s-32767s,1s-32767s,1-127" },
    { "user_timeout", "10", -EINVAL, "'10' has no unit, write for example 10s, 200ms or off" },
    { "user_timeout", "1500us", -EINVAL, "user_timeout '1500us' is not a multiple of 1ms" },
    { "user_timeout", "25h", -ERANGE, "user_timeout '25h' is out of range 1ms-24h or off" },
    { "idle_timeout", "8d", -EINVAL,
      "'8d' is not a duration of whole microseconds in us, ms, s, m or h, write for example 200ms or off" },
    { "idle_timeout", "0", -ERANGE, "idle_timeout '0' is out of range 1ms-168h or off" },
    { "congestion", "", -EINVAL, "'' is not a name of 1-15 characters out of a-z, 0-9, '_' and '-'" },
    { "congestion", "BBR", -EINVAL, "'BBR' is not a name of 1-15 characters out of a-z, 0-9, '_' and '-'" },
    { "congestion", "abcdefghijklmnop", -EINVAL,
      "'abcdefghijklmnop' is not a name of 1-15 characters out of a-z, 0-9, '_' and '-'" },
    { "congestion", "inherit", -EINVAL, "congestion needs a value here: NAME" },
    { "client.ttl", "0", -ERANGE, "client.ttl '0' is out of range 1-255" },
    { "upstream.ttl", "256", -ERANGE, "upstream.ttl '256' is out of range 1-255" },
    { "upstream.congestion", "inherit", -EINVAL, "upstream.congestion needs a value here: NAME" },
    { "upstream.tos", "0x11", -EINVAL,
      "TOS 0x11 has ECN bits set, which belong to the kernel (RFC 3168); 0x10 (dscp 4) is the mark without them" },
    { "pacing_rate", "50M", -EINVAL,
      "'50M' is not a rate of whole bytes a second in bit, Kbit, Mbit, Gbit, Bps, KBps, MBps or GBps, write for "
      "example 50Mbit or unlimited" },
    { "pacing_rate", "1000", -EINVAL, "'1000' has no unit, write for example 1000bit, 50Mbit or unlimited" },
    { "pacing_rate", "8bit", -ERANGE, "pacing_rate '8bit' is out of range 1Kbit-1000Gbit or unlimited" },
    { "busy_poll", "2s", -ERANGE, "busy_poll '2s' is out of range 1us-1s or off" },
    { "compression", "zstd", -EINVAL, "'zstd' is not a known format, write off|zlib[:1-9]|gzip[:1-9]" },
    { "compression", "zlib:0", -ERANGE, "'zlib:0' has an unknown level, write off|zlib[:1-9]|gzip[:1-9]" },
    { "decompression", "gzip:10", -ERANGE, "'gzip:10' has an unknown level, write off|zlib[:1-9]|gzip[:1-9]|auto" },
    { "max_connections", "0", -ERANGE, "max_connections '0' is out of range 1-1000000 or unlimited" },
    { "max_connections", "1K", -EINVAL, "'1K' is not a whole number, write for example 5 or unlimited" },
    { "allow", "10.0.0.0/8,10.0.0.1/8", -EINVAL,
      "'10.0.0.1/8' is not an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32 without bits set behind the "
      "prefix" },
    { "deny", "all", -EINVAL,
      "'all' is not an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32 without bits set behind the prefix" },
};

static void says_what_is_accepted(void **state) {
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        const struct setting *s = setting_find(refusals[i].name);
        union setting_value v = { .number = 4711 };
        _cleanup_free_ char *reason = NULL;

        int r = setting_parse(s, refusals[i].text, &v, &reason);
        if (r == 0)
            fail_msg("%s '%s' was accepted", refusals[i].name, refusals[i].text);
        assert_string_equal(reason, refusals[i].reason);
        assert_int_equal(r, refusals[i].error);
        assert_int_equal(v.number, 4711);
        /* A caller that does not ask for the reason gets the same answer. */
        assert_int_equal(setting_parse(s, refusals[i].text, &v, NULL), refusals[i].error);
    }
}

static void long_lists_are_refused(void **state) {
    const size_t n = CIDR_LIST_MAX + 1;
    _cleanup_free_ char *text = malloc(n * 4 + 1), *reason = NULL;
    union setting_value v;

    for (size_t i = 0; i < n; i++)
        memcpy(text + i * 4, "::1,", 5);
    assert_int_equal(setting_parse(setting_find("deny"), text, &v, &reason), -ERANGE);
    assert_string_equal(reason, "more than 1024 address prefixes");
}

/* Rows of other rooms, for numbers that are no settings, may have no syntax. */
static void inherit_is_no_number(void **state) {
    const struct setting row = { .name = "workers", .type = SETTING_TYPE_INTEGER, .min = 1, .max = 5 };
    _cleanup_free_ char *reason = NULL;
    union setting_value v;

    assert_int_equal(setting_parse(&row, "inherit", &v, &reason), -EINVAL);
    assert_string_equal(reason, "workers needs a value here");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_accepted),
        cmocka_unit_test(long_lists_are_refused),
        cmocka_unit_test(inherit_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
