/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "address.h"

static void key_of(const char *host, uint8_t key[static 16]) {
    char text[ADDRESS_TEXT_MAX];
    struct address a;

    snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:1" : "%s:1", host);
    assert_int_equal(address_parse(text, &a), 0);
    address_key(&a, key);
}

static bool contains(const char *prefix, const char *host) {
    struct cidr c;
    uint8_t key[16];

    assert_int_equal(cidr_parse(prefix, &c), 0);
    key_of(host, key);
    return cidr_contains(&c, key);
}

static void round_trips(void **state) {
    static const char *const texts[][2] = {
        { "10.0.0.0/8", "10.0.0.0/8" },
        { "192.0.2.1", "192.0.2.1" },
        { "192.0.2.1/32", "192.0.2.1" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "::/0", "::/0" },
        { "2001:DB8::/32", "2001:db8::/32" },
        { "::1", "::1" },
        { "::1/128", "::1" },
        { "::ffff:10.0.0.0/104", "10.0.0.0/8" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "128.0.0.0/1", "128.0.0.0/1" },
        { "::ffff:0:0/96", "0.0.0.0/0" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char buf[ADDRESS_TEXT_MAX];
        struct cidr c, back;

        if (cidr_parse(texts[i][0], &c) != 0)
            fail_msg("'%s' was refused", texts[i][0]);
        assert_string_equal(cidr_format(&c, buf), texts[i][1]);
        assert_int_equal(cidr_parse(buf, &back), 0);
        assert_memory_equal(&back, &c, sizeof(c));
    }
}

static void refuses_slips(void **state) {
    static const char *const bad[] = { "",
                                       "/",
                                       "/8",
                                       "10.0.0.0/",
                                       "10.0.0.0/33",
                                       "::/129",
                                       "10.0.0.1/8",
                                       "10.0.0.0/-1",
                                       "10.0.0.0/+8",
                                       "10.0.0.0/8/8",
                                       "10/8",
                                       "10.0.0/8",
                                       "::1/64",
                                       "2001:db8::8000:0/96",
                                       "128.0.0.0/0",
                                       "10.0.0.0/0x8",
                                       "any",
                                       "fe80::1%lo",
                                       "10.0.0.0 /8",
                                       "10.0.0.0/ 8",
                                       "10.0.0.0/99999999999999999999",
                                       "10.0.0.0/255.0.0.0",
                                       "2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000/32",
                                       NULL };

    for (const char *const *text = bad; *text; text++) {
        struct cidr c = { .length = 77 };
        if (cidr_parse(*text, &c) != -EINVAL)
            fail_msg("'%s' was accepted", *text);
        assert_int_equal(c.length, 77);
    }
}

static void matches(void **state) {
    assert_true(contains("10.0.0.0/8", "10.255.255.255"));
    assert_false(contains("10.0.0.0/8", "11.0.0.0"));
    assert_true(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_true(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert_true(contains("192.0.2.1", "192.0.2.1"));
    assert_false(contains("192.0.2.1", "192.0.2.2"));
    assert_true(contains("192.0.2.128/25", "192.0.2.128"));
    assert_false(contains("192.0.2.128/25", "192.0.2.127"));
    assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(contains("0.0.0.0/0", "203.0.113.9"));
    assert_false(contains("0.0.0.0/0", "2001:db8::1"));
    assert_true(contains("::/0", "2001:db8::1"));
}

static void ipv6_prefixes_do_not_hold_ipv4(void **state) {
    assert_false(contains("::/0", "203.0.113.9"));
    assert_false(contains("::/80", "::ffff:203.0.113.9"));
    assert_true(contains("::/80", "::1"));
}

/* Against the definition, bit by bit. */
static void agrees_with_the_definition(void **state) {
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        struct cidr c = { .length = (uint8_t) (random() % 129) };
        uint8_t key[16];
        bool expected = true;

        for (unsigned k = 0; k < 16; k++) {
            c.key[k] = (uint8_t) random();
            key[k] = random() % 8 ? c.key[k] : (uint8_t) random();
        }
        c.key[0] |= 0x20; /* not IPv4 */
        for (unsigned bit = 0; bit < 128; bit++)
            if (bit >= c.length)
                c.key[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
            else if ((c.key[bit / 8] ^ key[bit / 8]) & (0x80 >> bit % 8))
                expected = false;
        assert_int_equal(cidr_contains(&c, key), expected);
    }
}

static void lists(void **state) {
    _cleanup_free_ char *text = NULL;
    struct cidr_list *l, *same, *other;
    uint8_t key[16];

    assert_int_equal(cidr_list_parse(" 10.0.0.0/8, 10.1.0.0/16\t2001:db8::/32,192.0.2.1 ", &l, NULL), 0);
    text = cidr_list_format(l);
    assert_string_equal(text, "10.0.0.0/8,10.1.0.0/16,2001:db8::/32,192.0.2.1");
    assert_int_equal(cidr_list_parse(text, &same, NULL), 0);
    assert_true(cidr_list_equal(l, same));
    assert_int_equal(cidr_list_parse("10.0.0.0/8", &other, NULL), 0);
    assert_false(cidr_list_equal(l, other));

    key_of("10.1.2.3", key);
    assert_int_equal(cidr_list_match(l, key), 96 + 16);
    assert_int_equal(cidr_list_match(other, key), 96 + 8);
    key_of("10.2.2.3", key);
    assert_int_equal(cidr_list_match(l, key), 96 + 8);
    key_of("192.0.2.1", key);
    assert_int_equal(cidr_list_match(l, key), 128);
    key_of("192.0.2.2", key);
    assert_int_equal(cidr_list_match(l, key), -1);

    assert_null(cidr_list_unref(l));
    cidr_list_unref(same);
    cidr_list_unref(other);
    assert_null(cidr_list_unref(NULL));
}

static void everybody_is_a_match_of_length_zero(void **state) {
    struct cidr_list *l;
    uint8_t key[16];

    assert_int_equal(cidr_list_parse("::/0", &l, NULL), 0);
    key_of("2001:db8::1", key);
    assert_int_equal(cidr_list_match(l, key), 0);
    cidr_list_unref(l);
}

static void empty_lists(void **state) {
    static const char *const texts[] = { "", "none", " , ", NULL };

    for (const char *const *t = texts; *t; t++) {
        _cleanup_free_ char *text = NULL;
        struct cidr_list *l;
        uint8_t key[16] = {};

        assert_int_equal(cidr_list_parse(*t, &l, NULL), 0);
        assert_int_equal(l->n, 0);
        text = cidr_list_format(l);
        assert_string_equal(text, "none");
        assert_int_equal(cidr_list_match(l, key), -1);
        /* A reference more and less leaves it usable. */
        cidr_list_unref(cidr_list_ref(l));
        assert_int_equal(l->n, 0);
        cidr_list_unref(l);
    }
}

static void names_the_bad_word(void **state) {
    static const char long_word[] =
            "10.0.0.0/8,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const char *const texts[][2] = { { "10.0.0.0/8,10.0.0.1/8,::1", "10.0.0.1/8" },
                                            { "10.0.0.0/8 nobody", "nobody" },
                                            { "none,10.0.0.0/8", "none" },
                                            { long_word, long_word + 11 } };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_free_ char *bad = NULL;
        struct cidr_list *l = NULL;

        assert_int_equal(cidr_list_parse(texts[i][0], &l, &bad), -EINVAL);
        assert_string_equal(bad, texts[i][1]);
        assert_int_equal(cidr_list_parse(texts[i][0], &l, NULL), -EINVAL);
        assert_null(l);
    }
}

static void bounds_the_list(void **state) {
    _cleanup_free_ char *text = malloc((CIDR_LIST_MAX + 1) * 16);
    _cleanup_free_ char *back = NULL;
    char *end = text;
    struct cidr_list *l;

    for (int i = 0; i < CIDR_LIST_MAX; i++)
        end += sprintf(end, "%s10.0.%d.%d", i ? "," : "", i / 256, i % 256);
    assert_int_equal(cidr_list_parse(text, &l, NULL), 0);
    assert_int_equal(l->n, CIDR_LIST_MAX);
    back = cidr_list_format(l);
    assert_string_equal(back, text);
    cidr_list_unref(l);
    strcpy(end, ",::1");
    assert_int_equal(cidr_list_parse(text, &l, NULL), -E2BIG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(refuses_slips),
        cmocka_unit_test(matches),
        cmocka_unit_test(ipv6_prefixes_do_not_hold_ipv4),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(lists),
        cmocka_unit_test(everybody_is_a_match_of_length_zero),
        cmocka_unit_test(empty_lists),
        cmocka_unit_test(names_the_bad_word),
        cmocka_unit_test(bounds_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
