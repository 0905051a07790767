/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "varlink.h"

static int parse(const char *text, struct varlink_call *ret, json_t **ret_message) {
    *ret_message = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(*ret_message);
    return varlink_call_parse(*ret_message, ret);
}

static void takes_calls(void **state) {
    static const struct {
        const char *text;
        bool parameters, oneway, more;
    } calls[] = {
        { "{\"method\":\"a.B\"}", false, false, false },
        { "{\"method\":\"a.B\",\"parameters\":null}", false, false, false },
        { "{\"method\":\"a.B\",\"parameters\":{}}", false, false, false },
        { "{\"method\":\"a.B\",\"parameters\":{\"x\":1}}", true, false, false },
        { "{\"method\":\"a.B\",\"oneway\":true}", false, true, false },
        { "{\"method\":\"a.B\",\"more\":true}", false, false, true },
        { "{\"method\":\"a.B\",\"more\":true,\"oneway\":false,\"upgrade\":false}", false, false, true },
        { "{\"method\":\"a.B\",\"com.example.trace\":{\"id\":1}}", false, false, false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        struct varlink_call call;
        json_t *message;

        if (parse(calls[i].text, &call, &message) != 0)
            fail_msg("%s was refused", calls[i].text);
        assert_string_equal(call.method, "a.B");
        assert_int_equal(call.parameters != NULL, calls[i].parameters);
        assert_int_equal(call.oneway, calls[i].oneway);
        assert_int_equal(call.more, calls[i].more);
        json_decref(message);
    }
}

static void refuses_bad_headers(void **state) {
    static const char *const bad[] = {
        "{}",
        "{\"parameters\":{}}",
        "{\"method\":1}",
        "{\"method\":null}",
        "{\"method\":[\"a.B\"]}",
        "{\"method\":\"a.B\",\"parameters\":[]}",
        "{\"method\":\"a.B\",\"parameters\":\"x\"}",
        "{\"method\":\"a.B\",\"parameters\":1}",
        "{\"method\":\"a.B\",\"more\":1}",
        "{\"method\":\"a.B\",\"more\":null}",
        "{\"method\":\"a.B\",\"oneway\":\"true\"}",
        "{\"method\":\"a.B\",\"upgrade\":0}",
        "{\"method\":\"a.B\",\"upgrade\":true}",
        "{\"method\":\"a.B\",\"more\":true,\"oneway\":true}",
        "{\"method\":\"a.B\",\"more\":true,\"upgrade\":true}",
        "{\"method\":\"a.B\",\"oneway\":true,\"upgrade\":true}",
        "{\"method\":\"a.B\",\"extra\":1}",
        "{\"method\":\"a.B\",\"\":1}",
        "{\"method\":\"a.B\",\"Method\":\"a.B\"}",
        NULL,
    };

    for (const char *const *text = bad; *text; text++) {
        struct varlink_call call = { .method = "untouched" };
        json_t *message;

        if (parse(*text, &call, &message) != -EBADMSG)
            fail_msg("%s was accepted", *text);
        assert_string_equal(call.method, "untouched");
        json_decref(message);
    }
}

static void encodes_compactly(void **state) {
    json_t *message = json_pack("{s:s, s:[i, b], s:n}", "text", "a\"\n\xc3\xa4", "list", 1, 1, "nothing");
    size_t size = 0;
    _cleanup_free_ char *text = varlink_encode(message, &size);
    json_t *back = json_loads(text, 0, NULL);

    assert_int_equal(size, strlen(text) + 1);
    assert_null(strchr(text, ' '));
    assert_true(json_equal(message, back));
    json_decref(message);
    json_decref(back);
}

static void expect_path(const char *option, const char *path) {
    _cleanup_free_ char *got = varlink_control_path(option);
    assert_string_equal(got, path);
}

#define SYSTEM_PATH "/run/sockq/org.sockq.Control"
#define USER_PATH "/run/user/1/sockq/org.sockq.Control"

static void finds_the_control_socket(void **state) {
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    setenv("SOCKQ_CONTROL", "/tmp/variable", 1);
    expect_path("/tmp/option", "/tmp/option");
    expect_path(NULL, "/tmp/variable");

    for (int i = 0; i < 2; i++) {
        bool root = geteuid() == 0;

        /* Empty is as good as unset. */
        setenv("SOCKQ_CONTROL", "", 1);
        if (i == 1)
            unsetenv("SOCKQ_CONTROL");
        if (root) {
            expect_path(NULL, SYSTEM_PATH);
            assert_int_equal(seteuid(65534), 0);
        }
        expect_path(NULL, access(SYSTEM_PATH, F_OK) == 0 ? SYSTEM_PATH : USER_PATH);
        if (root)
            assert_int_equal(seteuid(0), 0);
    }
    unsetenv("XDG_RUNTIME_DIR");
    expect_path(NULL, SYSTEM_PATH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_calls),
        cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(encodes_compactly),
        cmocka_unit_test(finds_the_control_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
