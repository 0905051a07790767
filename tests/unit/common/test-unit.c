/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "unit.h"

typedef int (*parse_t)(const char *text, int64_t *ret);
typedef const char *(*format_t)(int64_t v, char buf[static UNIT_TEXT_MAX]);

struct example {
    const char *text;
    int64_t value;
    const char *canonical;
};

static void check_all(parse_t parse, format_t format, const struct example *examples, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char buf[UNIT_TEXT_MAX];
        int64_t v = -1;

        if (parse(examples[i].text, &v) != 0)
            fail_msg("'%s' was refused", examples[i].text);
        assert_int_equal(v, examples[i].value);
        assert_string_equal(format(v, buf), examples[i].canonical);
    }
}

static void refuse_all(parse_t parse, int error, const char *const *texts) {
    for (; *texts; texts++) {
        int64_t v = 4711;
        if (parse(*texts, &v) != error)
            fail_msg("'%s' did not give %d", *texts, error);
        assert_int_equal(v, 4711);
    }
}

/* Whatever is formatted is parsed back, over the whole range of magnitudes. */
static void round_trips(parse_t parse, format_t format) {
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = ((uint64_t) random() << 62) ^ ((uint64_t) random() << 31) ^ (uint64_t) random();
        int64_t v = (int64_t) ((bits & INT64_MAX) >> (random() % 63)), back = -1;
        char buf[UNIT_TEXT_MAX];

        if (random() % 2) {
            static const int64_t factors[] = { 1000, 1024, 125, 1000000, 1 << 20, 60000000 };
            if (__builtin_mul_overflow(v >> 20, factors[random() % 6], &v))
                continue;
        }
        assert_int_equal(parse(format(v, buf), &back), 0);
        assert_int_equal(back, v);
    }
    char buf[UNIT_TEXT_MAX];
    int64_t back = 0;
    assert_int_equal(parse(format(INT64_MAX, buf), &back), 0);
    assert_int_equal(back, INT64_MAX);
}

static void sizes(void **state) {
    static const struct example examples[] = {
        { "0", 0, "0" },
        { "0B", 0, "0" },
        { "1B", 1, "1B" },
        { "1000B", 1000, "1000B" },
        { "1024B", 1024, "1K" },
        { "256K", 262144, "256K" },
        { "256KiB", 262144, "256K" },
        { "1.5M", 1572864, "1536K" },
        { "3MiB", 3 << 20, "3M" },
        { "1GiB", 1 << 30, "1G" },
        { "0.5K", 512, "512B" },
        { "007K", 7168, "7K" },
        { "0.00000095367431640625M", 1, "1B" },
        { "9223372036854775807B", INT64_MAX, "9223372036854775807B" },
    };
    static const char *const bad[] = { "",     "K",    "1",      "10000", "1k",  "1KB",  "1 K",  " 1K",
                                       "1K ",  "-1K",  "+1K",    "1.K",   ".5K", "0.3K", "1,5K", "0x1K",
                                       "1e3K", "1.5B", "1.2.3K", "00",    "0.0", NULL };
    static const char *const big[] = { "9223372036854775808B", "9007199254740992K", "99999999999999999999G",
                                       "8589934591.999999999068677425384521484375G", NULL };

    check_all(unit_parse_size, unit_format_size, examples, ARRAY_SIZE(examples));
    refuse_all(unit_parse_size, -EINVAL, bad);
    refuse_all(unit_parse_size, -ERANGE, (const char *const[]){ big[0], big[1], big[2], NULL });
    round_trips(unit_parse_size, unit_format_size);

    /* The largest value that a fraction can reach is still exact. */
    int64_t v;
    assert_int_equal(unit_parse_size(big[3], &v), 0);
    assert_int_equal(v, INT64_MAX);
}

static void rates(void **state) {
    static const struct example examples[] = {
        { "0", 0, "0" },
        { "8bit", 1, "8bit" },
        { "1Kbit", 125, "1Kbit" },
        { "50Mbit", 6250000, "50Mbit" },
        { "6.25MBps", 6250000, "50Mbit" },
        { "1Gbit", 125000000, "1Gbit" },
        { "1.5Gbit", 187500000, "1500Mbit" },
        { "1KBps", 1000, "8Kbit" },
        { "1Bps", 1, "8bit" },
        { "2GBps", 2000000000, "16Gbit" },
        { "0.008Kbit", 1, "8bit" },
        { "9223372036854775807Bps", INT64_MAX, "9223372036854775807Bps" },
    };
    static const char *const bad[] = { "1bit",   "7bit", "10001bit", "50M",     "50Mb",    "50Mbps", "50mbit",
                                       "50MBit", "1000", "50K",      "1.5Kbit", "50 Mbit", NULL };
    static const char *const big[] = { "9223372036854775808Bps", "9223372036854775807Gbit", NULL };

    check_all(unit_parse_rate, unit_format_rate, examples, ARRAY_SIZE(examples));
    refuse_all(unit_parse_rate, -EINVAL, bad);
    refuse_all(unit_parse_rate, -ERANGE, big);
    round_trips(unit_parse_rate, unit_format_rate);
}

static void durations(void **state) {
    static const struct example examples[] = {
        { "0", 0, "0" },
        { "0s", 0, "0" },
        { "1us", 1, "1us" },
        { "200ms", 200000, "200ms" },
        { "1.5s", 1500000, "1500ms" },
        { "90s", 90000000, "90s" },
        { "60s", 60000000, "1m" },
        { "1m", 60000000, "1m" },
        { "2min", 120000000, "2m" },
        { "1.5h", INT64_C(5400000000), "90m" },
        { "24h", INT64_C(86400000000), "24h" },
        { "1500us", 1500, "1500us" },
    };
    static const char *const bad[] = { "1",  "10", "1S",    "1sec",    "1H",         "1M",
                                       "1d", "ms", "0.5us", "1s500ms", "1.0000001s", NULL };
    static const char *const big[] = { "2562047789h", "9223372036854775808us", NULL };

    check_all(unit_parse_duration, unit_format_duration, examples, ARRAY_SIZE(examples));
    refuse_all(unit_parse_duration, -EINVAL, bad);
    refuse_all(unit_parse_duration, -ERANGE, big);
    round_trips(unit_parse_duration, unit_format_duration);
}

static void integers(void **state) {
    static const char *const bad[] = { "", "x", "0x", "0xg", "-1", "+1", "1 ", " 1", "1.0", "0x1.", NULL };
    static const char *const big[] = { "9223372036854775808", "0x8000000000000000", "99999999999999999999999", NULL };
    static const char *const hex[] = { "0x10", "0XA", NULL };
    int64_t v;

    refuse_all(unit_parse_integer, -EINVAL, bad);
    refuse_all(unit_parse_decimal, -EINVAL, bad);
    refuse_all(unit_parse_integer, -ERANGE, big);
    refuse_all(unit_parse_decimal, -EINVAL, hex);

    assert_int_equal(unit_parse_integer("0xfFfFfFfF", &v), 0);
    assert_int_equal(v, UINT32_MAX);
    assert_int_equal(unit_parse_integer("0XA", &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(unit_parse_integer("0x7fffffffffffffff", &v), 0);
    assert_int_equal(v, INT64_MAX);
    /* A leading zero is not octal. */
    assert_int_equal(unit_parse_integer("010", &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(unit_parse_decimal("9223372036854775807", &v), 0);
    assert_int_equal(v, INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(rates),
        cmocka_unit_test(durations),
        cmocka_unit_test(integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
