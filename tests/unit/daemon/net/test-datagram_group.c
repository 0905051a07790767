/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "datagram_group.h"

/*
 * Replies and groups as text. A reply: the peer (a letter), the size, then what is not as usual: "/2" from the second
 * address, "!184" with the mark of the datagram, "*3" three of them. Groups are joined by " | ".
 */
struct reply {
    char peer;
    unsigned size, source, tos, times;
};

static bool family_v6, reflect;

static const char *take_reply(const char *text, struct reply *ret) {
    int n;

    *ret = (struct reply){ .peer = *text++, .source = 1, .times = 1 };
    if (sscanf(text, "%u%n", &ret->size, &n) != 1)
        fail_msg("bad case at %s", text);
    for (text += n; *text && *text != ' '; text += n) {
        unsigned *value = *text == '/' ? &ret->source : *text == '!' ? &ret->tos : &ret->times;

        if (sscanf(text + 1, "%u%n", value, &n) != 1)
            fail_msg("bad case at %s", text);
        n++;
    }
    return text + strspn(text, " ");
}

static struct address peer_of(const struct reply *r) {
    struct address a;
    char text[64];

    snprintf(text, sizeof(text), family_v6 ? "[2001:db8::%x]:%u" : "10.0.0.%u:%u", (unsigned) r->peer, 7000U + r->peer);
    assert_int_equal(address_parse(text, &a), 0);
    return a;
}

static struct datagram_meta meta_of(const struct reply *r) {
    struct datagram_meta meta = { .has_tos = true, .tos = (uint8_t) r->tos };

    if (family_v6) {
        meta.info_family = AF_INET6;
        meta.info6.ipi6_addr = in6addr_loopback;
        meta.info6.ipi6_addr.s6_addr[15] = (uint8_t) r->source;
    } else {
        meta.info_family = AF_INET;
        meta.info4.ipi_spec_dst.s_addr = htonl(0x7f000000 + r->source);
    }
    return meta;
}

static struct datagram_routes routes;
static struct datagram_groups groups;
static struct reply given[DATAGRAM_REPLIES];
static char bytes[DATAGRAM_REPLIES];

static void add_all(const char *text) {
    routes.n = 0;
    datagram_groups_clear(&groups);
    while (*text) {
        struct reply r;

        text = take_reply(text, &r);
        for (unsigned i = 0; i < r.times; i++) {
            struct address peer = peer_of(&r);
            struct datagram_meta meta = meta_of(&r);
            unsigned at = groups.n_replies;

            given[at] = r;
            datagram_groups_add(&groups, &routes, datagram_routes_find(&routes, &peer, &meta, reflect), &bytes[at],
                                r.size);
        }
    }
}

static bool alike(const struct reply *a, const struct reply *b) {
    return a->peer == b->peer && a->size == b->size && a->source == b->source && a->tos == b->tos;
}

/* What was given as reply `at` of the whole. */
static const struct reply *given_at(unsigned at) {
    return &given[(const char *) groups.replies[at].data - bytes];
}

static void write_run(FILE *f, const struct reply *r, unsigned times) {
    fprintf(f, "%c%u", r->peer, r->size);
    if (r->source != 1)
        fprintf(f, "/%u", r->source);
    if (r->tos)
        fprintf(f, "!%u", r->tos);
    if (times > 1)
        fprintf(f, "*%u", times);
}

static char *groups_text(void) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    for (unsigned i = 0; i < groups.n; i++) {
        const struct datagram_group *g = &groups.items[i];
        unsigned at = g->first, run = 1, bytes_seen = groups.replies[at].size;

        fprintf(f, i > 0 ? " | " : "");
        for (unsigned k = 1; k < g->n; k++) {
            unsigned next = groups.replies[at].next;

            bytes_seen += groups.replies[next].size;
            if (alike(given_at(at), given_at(next))) {
                run++;
            } else {
                write_run(f, given_at(at), run);
                fprintf(f, " ");
                run = 1;
            }
            at = next;
        }
        write_run(f, given_at(at), run);
        assert_int_equal(at, g->last);
        assert_int_equal(bytes_seen, g->bytes);
    }
    fclose(f);
    return text;
}

/* The replies to each peer leave in the order in which they were added, and none is left out. */
static void assert_order(void) {
    unsigned n = 0;
    int last[128];

    memset(last, -1, sizeof(last));
    for (unsigned i = 0; i < groups.n; i++)
        for (unsigned k = 0, at = groups.items[i].first; k < groups.items[i].n; k++, at = groups.replies[at].next) {
            char peer = given_at(at)->peer;

            assert_true((int) at > last[(unsigned) peer]);
            last[(unsigned) peer] = (int) at;
            n++;
        }
    assert_int_equal(n, groups.n_replies);
}

static void assert_groups(const char *replies, const char *expected) {
    _cleanup_free_ char *text = NULL;

    add_all(replies);
    text = groups_text();
    assert_string_equal(text, expected);
    assert_order();
}

static void assert_groups_of_both(const char *replies, const char *expected) {
    for (int v6 = 0; v6 < 2; v6++) {
        family_v6 = v6;
        assert_groups(replies, expected);
    }
}

static void test_alone(void **state) {
    assert_groups_of_both("", "");
    assert_groups_of_both("a100", "a100");
    assert_groups_of_both("a0", "a0");
}

static void test_one_peer_one_size_leaves_together(void **state) {
    assert_groups_of_both("a100*2", "a100*2");
    assert_groups_of_both("a100*64", "a100*64");
    assert_groups_of_both("a1*64", "a1*64");
}

static void test_no_more_segments_than_a_kernel_takes(void **state) {
    assert_groups_of_both("a100*65", "a100*64 | a100");
    assert_groups_of_both("a100*200", "a100*64 | a100*64 | a100*64 | a100*8");
}

static void test_no_more_bytes_than_a_packet_has(void **state) {
    assert_groups_of_both("a1400*50", "a1400*46 | a1400*4");       /* 47 are 65800 */
    assert_groups_of_both("a32753*2 a1", "a32753*2 a1");           /* 65507 */
    assert_groups_of_both("a32753*2 a2", "a32753*2 | a2");         /* 65508 */
    assert_groups_of_both("a32754*2", "a32754 | a32754");          /* 65508 */
    assert_groups_of_both("a65507*3", "a65507 | a65507 | a65507"); /* the largest */
}

static void test_a_shorter_one_ends_its_group(void **state) {
    assert_groups_of_both("a100*3 a7 a100*2", "a100*3 a7 | a100*2");
    assert_groups_of_both("a100*3 a7*2", "a100*3 a7 | a7");
    assert_groups_of_both("a100 a99 a98", "a100 a99 | a98");
}

static void test_a_longer_one_begins_its_own(void **state) {
    assert_groups_of_both("a100*2 a101 a100", "a100*2 | a101 a100");
    assert_groups_of_both("a1 a2 a3", "a1 | a2 | a3");
}

static void test_an_empty_one_is_alone(void **state) {
    assert_groups_of_both("a0*2", "a0 | a0");
    assert_groups_of_both("a100 a0 a100", "a100 | a0 | a100");
    assert_groups_of_both("a0 a100*2", "a0 | a100*2");
}

static void test_peers_that_take_turns(void **state) {
    assert_groups_of_both("a10 b10 a10 b10 a10 b10", "a10*3 | b10*3");
    assert_groups_of_both("a10 b10 c10 d10", "a10 | b10 | c10 | d10");
    assert_groups_of_both("a10 b20 a10 b10 a9 b20 a10", "a10*2 a9 | b20 b10 | b20 | a10");
}

static void test_addresses_that_are_answered_from(void **state) {
    assert_groups_of_both("a10 a10/2 a10/2", "a10 | a10/2*2");
    /* The second address does not overtake: the third reply has no place in the first group any more. */
    assert_groups_of_both("a10 a10/2 a10", "a10 | a10/2 | a10");
}

static void test_marks_that_are_reflected(void **state) {
    reflect = true;
    assert_groups_of_both("a10!184*2 a10!40 a10!184", "a10!184*2 | a10!40 | a10!184");
    assert_groups_of_both("a10!184 b10!40 a10!184 b10!40", "a10!184*2 | b10!40*2");
    /* ECN is not: both leave with the same mark. */
    assert_groups_of_both("a10!184 a10!186", "a10!184 a10!186");
    reflect = false;
}

static void test_marks_that_are_not_reflected(void **state) {
    assert_groups_of_both("a10!184 a10!40 a10", "a10!184 a10!40 a10");
}

static void test_as_many_peers_as_messages(void **state) {
    char text[1024] = "", expected[1024] = "";

    for (int i = 0; i < 2 * DATAGRAM_ROUTES; i++)
        sprintf(text + strlen(text), "%c10 ", '@' + i % DATAGRAM_ROUTES);
    for (int i = 0; i < DATAGRAM_ROUTES; i++)
        sprintf(expected + strlen(expected), "%s%c10*2", i > 0 ? " | " : "", '@' + i);
    assert_groups_of_both(text, expected);
    assert_int_equal(routes.n, DATAGRAM_ROUTES);
}

static void test_full(void **state) {
    assert_groups_of_both("a1000*1024", "a1000*64 | a1000*64 | a1000*64 | a1000*64 | a1000*64 | a1000*64 | a1000*64 | "
                                        "a1000*64 | a1000*64 | a1000*64 | a1000*64 | a1000*64 | a1000*64 | a1000*64 | "
                                        "a1000*64 | a1000*64");
    assert_groups_of_both("a10 b10", "a10 | b10"); /* cleared: nothing of before is left */
}

static void test_random_replies_keep_their_order(void **state) {
    unsigned seed = 1;

    for (int round = 0; round < 200; round++) {
        char text[8192] = "";

        reflect = round % 2;
        family_v6 = round % 3 == 0;
        for (int i = 0; i < 300; i++) {
            unsigned r[4];

            for (int k = 0; k < 4; k++)
                r[k] = (seed = seed * 1103515245 + 12345) >> 16;
            sprintf(text + strlen(text), "%c%u/%u!%u ", 'a' + r[0] % 4, r[1] % 3 * 100, 1 + r[2] % 2, r[3] % 3 * 4);
        }
        add_all(text);
        assert_int_equal(groups.n_replies, 300);
        assert_order();
        for (unsigned i = 0; i < groups.n; i++) {
            const struct datagram_group *g = &groups.items[i];

            for (unsigned k = 1, at = g->first; k < g->n; k++) {
                const struct reply *one = given_at(at), *next = given_at(at = groups.replies[at].next);

                assert_true(one->peer == next->peer && one->source == next->source);
                assert_true(!reflect || one->tos == next->tos);
                assert_true(next->size > 0 && next->size <= one->size);
                assert_true(k == g->n - 1U || next->size == one->size);
            }
        }
    }
    reflect = false;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_one_peer_one_size_leaves_together),
        cmocka_unit_test(test_no_more_segments_than_a_kernel_takes),
        cmocka_unit_test(test_no_more_bytes_than_a_packet_has),
        cmocka_unit_test(test_a_shorter_one_ends_its_group),
        cmocka_unit_test(test_a_longer_one_begins_its_own),
        cmocka_unit_test(test_an_empty_one_is_alone),
        cmocka_unit_test(test_peers_that_take_turns),
        cmocka_unit_test(test_addresses_that_are_answered_from),
        cmocka_unit_test(test_marks_that_are_reflected),
        cmocka_unit_test(test_marks_that_are_not_reflected),
        cmocka_unit_test(test_as_many_peers_as_messages),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_random_replies_keep_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
