/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "setting.h"
#include "verb.h"

/* What `sockqctl help WORD` prints; owned by the caller. */
static char *help(const char *word, bool json) {
    struct args args = { .verb = "help", .words = &word, .n_words = 1 };
    struct ctl ctl = { .args = &args, .out.json = json };
    char *text = NULL;
    size_t size;

    ctl.out.file = open_memstream(&text, &size);
    assert_non_null(ctl.out.file);
    assert_int_equal(help_show(&ctl), STATUS_DONE);
    fclose(ctl.out.file);
    return text;
}

static json_t *help_json(const char *word) {
    _cleanup_free_ char *text = help(word, true);
    json_t *v = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(v);
    return v;
}

static const char *text_at(const json_t *v, const char *member) {
    return json_string_value(json_object_get(v, member));
}

static void settings_are_listed_once(void **state) {
    _cleanup_free_ char *text = help("settings", false);

    assert_non_null(strstr(text, "\ndscp "));
    assert_non_null(strstr(text, "\ntos "));
    assert_non_null(strstr(text, "\nidle_timeout "));
    assert_null(strstr(text, "\nclient."));
    assert_null(strstr(text, "\nupstream."));
    assert_null(strstr(text, "upstream.dscp"));
    assert_non_null(strstr(text, "client.SETTING and upstream.SETTING"));
}

static void settings_are_listed_once_as_json(void **state) {
    json_t *v = help_json("settings"), *item;
    size_t i, n = 0;

    json_array_foreach(json_object_get(v, "settings"), i, item) {
        assert_null(strchr(text_at(item, "setting"), '.'));
        n++;
    }
    assert_int_equal(n, SETTING_OWN_MAX + 1); /* and tos */
    json_decref(v);
}

static void one_setting(void **state) {
    static const struct {
        const char *word, *expected[3], *not ;
    } cases[] = {
        { "dscp", { "dscp: mark of", "leg       both; of one: client.dscp, upstream.dscp\n" }, "another spelling" },
        { "tos", { "tos: dscp", "both; of one: client.tos, upstream.tos\n", "another spelling of dscp\n" }, "only" },
        { "client.dscp", { "client.dscp: mark of", "leg       the client leg only\n" }, "another spelling" },
        { "client.tos", { "client.tos: dscp", "the client leg only\n", "another spelling of client.dscp\n" }, "both" },
        { "upstream.dscp", { "upstream.dscp: mark of", "leg       the upstream leg only\n" }, "another spelling" },
        { "upstream.tos", { "upstream.tos: dscp", "another spelling of upstream.dscp\n" }, "both" },
        { "idle_timeout", { "idle_timeout: close" }, " leg " },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *text = help(cases[i].word, false);

        for (size_t k = 0; k < ARRAY_SIZE(cases[i].expected) && cases[i].expected[k]; k++)
            if (!strstr(text, cases[i].expected[k]))
                fail_msg("'%s' is not in: %s", cases[i].expected[k], text);
        if (strstr(text, cases[i].not ))
            fail_msg("'%s' is in: %s", cases[i].not, text);
    }
}

static void one_setting_as_json(void **state) {
    static const char *const cases[][2] = {
        { "dscp", NULL },         { "tos", "dscp" },
        { "client.ttl", NULL },   { "client.tos", "client.dscp" },
        { "upstream.ttl", NULL }, { "upstream.tos", "upstream.dscp" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *v = help_json(cases[i][0]);

        assert_string_equal(text_at(v, "setting"), cases[i][0]);
        assert_int_equal(json_is_true(json_object_get(v, "both_legs")), !strchr(cases[i][0], '.'));
        if (cases[i][1])
            assert_string_equal(text_at(v, "alias_of"), cases[i][1]);
        else
            assert_null(text_at(v, "alias_of"));
        json_decref(v);
    }
}

static void verbs_come_before_settings(void **state) {
    const struct verb *v;

    for (size_t i = 0; (v = verb_row(i)); i++) {
        _cleanup_free_ char *text = help(v->name, false);

        assert_memory_equal(text, "sockqctl ", 9);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_listed_once),
        cmocka_unit_test(settings_are_listed_once_as_json),
        cmocka_unit_test(one_setting),
        cmocka_unit_test(one_setting_as_json),
        cmocka_unit_test(verbs_come_before_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
