/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "varlink.h"

static void feed(struct varlink_reader *r, const char *data, size_t n) {
    while (n > 0) {
        size_t room = 0;
        char *space = varlink_reader_space(r, &room);
        assert_non_null(space);
        room = MIN(room, n);
        memcpy(space, data, room);
        varlink_reader_fill(r, room);
        data += room;
        n -= room;
    }
}

static void expect(struct varlink_reader *r, const char *text) {
    _cleanup_free_ char *got = NULL;
    json_t *message = NULL;
    size_t size = 0;

    assert_int_equal(varlink_reader_next(r, &message), 1);
    got = varlink_encode(message, &size);
    assert_string_equal(got, text);
    assert_int_equal(size, strlen(text) + 1);
    json_decref(message);
}

static void expect_nothing(struct varlink_reader *r) {
    json_t *message = NULL;

    assert_int_equal(varlink_reader_next(r, &message), 0);
    assert_null(message);
}

static int read_one(const char *text, size_t n) {
    struct varlink_reader r = { .limit_bytes = 1024 * 1024 };
    json_t *message = NULL;

    feed(&r, text, n);
    int result = varlink_reader_next(&r, &message);
    if (result == 1)
        json_decref(message);
    else
        assert_null(message);
    varlink_reader_done(&r);
    return result;
}

#define ONE "{\"method\":\"a.B\"}"
#define TWO "{\"method\":\"a.C\",\"parameters\":{\"x\":[1,{\"y\":\"\\\"[{\"}]}}"

static void split_at_every_byte(void **state) {
    static const char stream[] = ONE "\0" TWO;

    for (size_t cut = 0; cut <= sizeof(stream); cut++) {
        struct varlink_reader r = { .limit_bytes = 256 };

        feed(&r, stream, cut);
        if (cut <= strlen(ONE))
            expect_nothing(&r);
        else
            expect(&r, ONE);
        feed(&r, stream + cut, sizeof(stream) - cut);
        if (cut <= strlen(ONE))
            expect(&r, ONE);
        expect(&r, TWO);
        expect_nothing(&r);
        varlink_reader_done(&r);
    }
}

static void pipelined_in_one_read(void **state) {
    struct varlink_reader r = { .limit_bytes = 8192 };
    char text[64];

    /* Over several rounds, so that the buffer is compacted and grown with something pending. */
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 60; i++) {
            int n = snprintf(text, sizeof(text), "{\"round\":%d,\"i\":%d}", round, i);
            feed(&r, text, (size_t) n + 1);
        }
        feed(&r, "{\"half\"", 7);
        for (int i = 0; i < 60; i++) {
            snprintf(text, sizeof(text), "{\"round\":%d,\"i\":%d}", round, i);
            expect(&r, text);
        }
        expect_nothing(&r);
        feed(&r, ":1}", 4);
        expect(&r, "{\"half\":1}");
    }
    expect_nothing(&r);
    varlink_reader_done(&r);
}

static char *padded(size_t n) {
    char *text = malloc(n + 1);

    memset(text, ' ', n);
    text[0] = '{';
    text[n - 1] = '}';
    text[n] = '\0';
    return text;
}

static void limits_a_message(void **state) {
    for (size_t limit = 10; limit <= 20000; limit = limit * 3 + 1) {
        struct varlink_reader r = { .limit_bytes = limit };
        _cleanup_free_ char *fits = padded(limit), *large = padded(limit + 1);
        json_t *message = NULL;

        feed(&r, fits, limit + 1);
        expect(&r, "{}");
        /* Known before the NUL is there. */
        feed(&r, large, limit);
        expect_nothing(&r);
        feed(&r, large + limit, 1);
        assert_int_equal(varlink_reader_next(&r, &message), -EMSGSIZE);
        assert_int_equal(varlink_reader_next(&r, &message), -EMSGSIZE);
        varlink_reader_done(&r);

        /* Its NUL does not make it smaller. */
        feed(&r, large, limit + 2);
        assert_int_equal(varlink_reader_next(&r, &message), -EMSGSIZE);
        varlink_reader_done(&r);
    }
}

static void never_grows_past_the_limit(void **state) {
    struct varlink_reader r = { .limit_bytes = 10000 };
    size_t total = 0, room = 0;
    char *space;

    while ((space = varlink_reader_space(&r, &room))) {
        memset(space, 'x', room);
        varlink_reader_fill(&r, room);
        total += room;
        assert_true(total <= 10000 + 4096);
    }
    assert_int_equal(total, 10000 + 4096);
    varlink_reader_done(&r);
}

static void trims_when_idle(void **state) {
    struct varlink_reader r = { .limit_bytes = 256 };

    varlink_reader_trim(&r);
    feed(&r, ONE, sizeof(ONE));
    feed(&r, ONE, 3);
    expect(&r, ONE);
    varlink_reader_trim(&r);
    feed(&r, &ONE[3], sizeof(ONE) - 3);
    expect(&r, ONE);
    varlink_reader_trim(&r);
    assert_null(r.data);
    feed(&r, ONE, sizeof(ONE));
    expect(&r, ONE);
    varlink_reader_done(&r);
}

static void refuses_bad_json(void **state) {
    static const char *const bad[] = {
        "",
        " ",
        "x",
        "{",
        "}",
        "[]",
        "[{}]",
        "1",
        "null",
        "\"x\"",
        "{}{}",
        "{} x",
        "{,}",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\\u0000b\":1}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":01}",
        "{\"a\":1e999}",
        "{\"a\":9223372036854775808}",
        "{\"a\":\"\n\"}",
        "\xef\xbb\xbf{}",
        "{\"a\":1}//",
        NULL,
    };

    for (const char *const *text = bad; *text; text++)
        if (read_one(*text, strlen(*text) + 1) != -EBADMSG)
            fail_msg("'%s' was accepted", *text);
    assert_int_equal(read_one("{\"a\":9223372036854775807}", 26), 1);
}

/* A message of so many levels, its object included. */
static char *nested(size_t depth) {
    char *text = malloc(2 * depth + 16), *end = stpcpy(text, "{\"a\":");

    memset(end, '[', depth - 1);
    memset(end + depth - 1, ']', depth - 1);
    strcpy(end + 2 * (depth - 1), "}");
    return text;
}

static void bounds_nesting(void **state) {
    static char deep[400001];
    _cleanup_free_ char *fits = nested(VARLINK_DEPTH_MAX), *over = nested(VARLINK_DEPTH_MAX + 1);

    assert_int_equal(read_one(fits, strlen(fits) + 1), 1);
    assert_int_equal(read_one(over, strlen(over) + 1), -EBADMSG);

    memset(deep, '[', sizeof(deep) - 1);
    memcpy(deep, "{\"a\":", 5);
    assert_int_equal(read_one(deep, sizeof(deep)), -EBADMSG);
    for (size_t i = 0; i + 5 < sizeof(deep); i += 5)
        memcpy(deep + i, "{\"a\":", 5);
    assert_int_equal(read_one(deep, sizeof(deep)), -EBADMSG);
}

static void brackets_in_strings_do_not_nest(void **state) {
    char text[600] = "{\"a\":\"";

    for (int i = 0; i < 100; i++)
        strcat(text, i % 3 == 0 ? "[" : i % 3 == 1 ? "{" : "\\\"");
    strcat(text, "\"}");
    assert_int_equal(read_one(text, strlen(text) + 1), 1);
    /* Closing brackets of a hostile sender do not buy depth. */
    memset(text, ']', 100);
    memset(text + 100, '[', 100);
    text[200] = '\0';
    assert_int_equal(read_one(text, 201), -EBADMSG);
}

static void random_bytes_are_bounded(void **state) {
    static const char alphabet[] = "{}[]\",:\\ \0ab1.e-untrfls\xc3\xa4";

    srandom(1);
    for (int i = 0; i < 3000; i++) {
        struct varlink_reader r = { .limit_bytes = 64 };
        char data[200];
        int result = 0;

        for (size_t k = 0; k < sizeof(data); k++)
            data[k] = alphabet[(size_t) random() % (sizeof(alphabet) - 1)];
        for (size_t at = 0; at < sizeof(data) && result >= 0; at += 20) {
            json_t *message = NULL;
            feed(&r, data + at, 20);
            while ((result = varlink_reader_next(&r, &message)) == 1) {
                assert_true(json_is_object(message));
                json_decref(message);
            }
        }
        assert_true(result == 0 || result == -EBADMSG || result == -EMSGSIZE);
        varlink_reader_done(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_at_every_byte),      cmocka_unit_test(pipelined_in_one_read),
        cmocka_unit_test(limits_a_message),         cmocka_unit_test(never_grows_past_the_limit),
        cmocka_unit_test(trims_when_idle),          cmocka_unit_test(refuses_bad_json),
        cmocka_unit_test(bounds_nesting),           cmocka_unit_test(brackets_in_strings_do_not_nest),
        cmocka_unit_test(random_bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
