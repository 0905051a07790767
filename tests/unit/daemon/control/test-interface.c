/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "handlers.h"
#include "interfaces.h"
#include "schema.h"

static const struct method *find(const char *name) {
    for (const struct method *m = control_methods; m->name; m++)
        if (streq(m->name + strlen(VARLINK_INTERFACE "."), name))
            return m;
    return NULL;
}

/* As the description spells it: "(listener: ?string, profile: ?string)". */
static void signature(const struct method *m, char *buf, size_t size) {
    size_t n = (size_t) snprintf(buf, size, "(");

    for (const struct parameter *p = m->parameters; p && p->name; p++)
        n += (size_t) snprintf(buf + n, size - n, "%s%s: %s%s", p == m->parameters ? "" : ", ", p->name,
                               p->required ? "" : "?", parameter_type_name(p->type));
    (void) snprintf(buf + n, size - n, ")");
}

static void test_every_method_is_described(_unused_ void **state) {
    for (const struct method *m = control_methods; m->name; m++) {
        const char *at = schema_find("method", m->name + strlen(VARLINK_INTERFACE "."));
        char expected[512];

        signature(m, expected, sizeof(expected));
        if (!at || strncmp(at, expected, strlen(expected)) != 0)
            fail_msg("%s%s is not in the description", m->name, expected);
    }
}

static void test_every_described_method_exists(_unused_ void **state) {
    unsigned n = 0;

    for (const char *at = schema_text(); (at = strstr(at, "\nmethod ")); n++) {
        char name[64] = "";

        at += strlen("\nmethod ");
        memcpy(name, at, strcspn(at, "("));
        if (!find(name))
            fail_msg("%s has no handler", name);
    }
    assert_int_equal(n, 16);
}

static void test_who_may_change(_unused_ void **state) {
    static const char *const changing[] = { "Set",         "Unset",          "Close",  "SetUpstreamState",
                                            "AddUpstream", "RemoveUpstream", "Reload", "SetLogLevel" };
    unsigned n = 0;

    for (const struct method *m = control_methods; m->name; m++)
        n += m->access == ACCESS_CHANGE;
    assert_int_equal(n, ARRAY_SIZE(changing));
    for (size_t i = 0; i < ARRAY_SIZE(changing); i++)
        assert_int_equal(find(changing[i])->access, ACCESS_CHANGE);
}

static void test_embedded_text_is_the_file(void **state) {
    const char *const *argv = *state;
    char text[65536];
    FILE *file = fopen(argv[1], "re");
    size_t n;

    assert_non_null(file);
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    (void) fclose(file);
    assert_string_equal(schema_text(), text);
}

/* The first argument is the .varlink file. */
int main(_unused_ int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method_is_described),
        cmocka_unit_test(test_every_described_method_exists),
        cmocka_unit_test(test_who_may_change),
        cmocka_unit_test_prestate(test_embedded_text_is_the_file, argv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
