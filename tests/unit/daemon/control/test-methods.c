/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "methods.h"

struct request {
    const char *text;
};

static const struct parameter request_parameters[] = {
    PARAMETER(struct request, text, PARAMETER_STRING, true),
    PARAMETERS_END,
};

static void echo(struct call *call, const void *parameters, void *userdata) {
    const struct request *p = parameters;

    ++*(unsigned *) userdata;
    call_reply(call, json_pack("{s:s}", "text", p->text));
}

static void plain(struct call *call, const void *parameters, void *userdata) {
    assert_null(parameters);
    ++*(unsigned *) userdata;
    call_reply(call, json_object());
}

static const struct method table[] = {
    { "org.sockq.Control.Echo", ACCESS_LOOK, 0, echo, request_parameters },
    { "org.sockq.Control.Change", ACCESS_CHANGE, 0, plain, NULL },
    { "org.sockq.Control.Stream", ACCESS_LOOK, METHOD_MORE, plain, NULL },
    { NULL, ACCESS_ANY, 0, NULL, NULL },
};

static void on_call(struct call *call, void *userdata) {
    methods_dispatch(&(struct methods){ .table = table, .userdata = userdata }, call);
}

static unsigned check(enum access access, const char *call, const char *answer) {
    unsigned handled = 0;
    struct fixture f;

    fixture_begin(&f, on_call, &handled);
    f.peer.access = access;
    fixture_connect(&f);
    fixture_call(&f, call);
    fixture_expect(&f, answer);
    fixture_end(&f);
    return handled;
}

static void test_handler_gets_parameters(_unused_ void **state) {
    assert_int_equal(check(ACCESS_LOOK, "{\"method\":\"org.sockq.Control.Echo\",\"parameters\":{\"text\":\"x\"}}",
                           "{\"parameters\":{\"text\":\"x\"}}"),
                     1);
    assert_int_equal(check(ACCESS_LOOK, "{\"method\":\"org.sockq.Control.Stream\",\"more\":true}", "{}"), 1);
}

static void test_refusals(_unused_ void **state) {
    static const struct {
        enum access access;
        const char *call, *answer;
    } cases[] = {
        { ACCESS_ANY, "{\"method\":\"org.sockq.Control.Echo\",\"parameters\":{\"text\":\"x\"}}",
          "{\"error\":\"org.varlink.service.PermissionDenied\"}" },
        { ACCESS_LOOK, "{\"method\":\"org.sockq.Control.Change\"}",
          "{\"error\":\"org.varlink.service.PermissionDenied\"}" },
        { ACCESS_LOOK, "{\"method\":\"org.sockq.Control.Stream\"}",
          "{\"error\":\"org.varlink.service.ExpectedMore\"}" },
        { ACCESS_LOOK, "{\"method\":\"org.sockq.Control.Echo\"}",
          "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"text\"}}" },
        { ACCESS_CHANGE, "{\"method\":\"org.sockq.Control.Change\",\"parameters\":{\"text\":\"x\"}}",
          "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"text\"}}" },
        { ACCESS_ANY, "{\"method\":\"org.sockq.Control.Nothing\"}",
          "{\"error\":\"org.varlink.service.MethodNotFound\","
          "\"parameters\":{\"method\":\"org.sockq.Control.Nothing\"}}" },
        { ACCESS_ANY, "{\"method\":\"org.example.Nothing\"}",
          "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.example\"}}" },
        { ACCESS_ANY, "{\"method\":\"Nothing\"}",
          "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"Nothing\"}}" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(check(cases[i].access, cases[i].call, cases[i].answer), 0);
}

static void test_service_info(_unused_ void **state) {
    check(ACCESS_ANY, "{\"method\":\"org.varlink.service.GetInfo\"}",
          "{\"parameters\":{\"vendor\":\"sockq\",\"product\":\"sockqd\",\"version\":\"" SOCKQ_VERSION "\",\"url\":\"\","
          "\"interfaces\":[\"org.sockq.Control\",\"org.varlink.service\"]}}");
    check(ACCESS_ANY,
          "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.sockq\"}}",
          "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.sockq\"}}");
}

static void test_oneway_refusal_is_silent(_unused_ void **state) {
    unsigned handled = 0;
    struct fixture f;

    fixture_begin(&f, on_call, &handled);
    fixture_connect(&f);
    fixture_call(&f, "{\"method\":\"org.sockq.Control.Nothing\",\"oneway\":true}");
    fixture_call(&f, "{\"method\":\"org.sockq.Control.Stream\",\"oneway\":true}");
    fixture_expect_silence(&f);
    fixture_end(&f);
    assert_int_equal(handled, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handler_gets_parameters),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_service_info),
        cmocka_unit_test(test_oneway_refusal_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
