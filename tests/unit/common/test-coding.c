/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coding.h"

static void takes_names_and_levels(void **state) {
    static const struct {
        const char *text;
        enum coding id;
        int level;
    } examples[] = {
        { "off", CODING_OFF, 0 },     { "zlib", CODING_ZLIB, 6 },   { "gzip", CODING_GZIP, 6 },
        { "zlib:1", CODING_ZLIB, 1 }, { "zlib:9", CODING_ZLIB, 9 }, { "gzip:9", CODING_GZIP, 9 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        enum coding id = CODING_INVALID;
        int level = -1;

        assert_int_equal(coding_parse(examples[i].text, &id, &level), 0);
        assert_int_equal(id, examples[i].id);
        assert_int_equal(level, examples[i].level);
    }
}

static void refuses_the_rest(void **state) {
    static const struct {
        const char *text;
        int error;
    } examples[] = {
        { "", -EINVAL },        { "zli", -EINVAL },    { "zlibb", -EINVAL },
        { "ZLIB", -EINVAL },    { ":6", -EINVAL },     { "deflate", -EINVAL },
        { "zlib:", -ERANGE },   { "zlib:0", -ERANGE }, { "zlib:10", -ERANGE },
        { "zlib:-1", -ERANGE }, { "zlib:x", -ERANGE }, { "gzip:6 ", -ERANGE },
        { "off:1", -ERANGE },   { "off:0", -ERANGE },  { "zlib:99999999999999999999", -ERANGE },
    };

    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        enum coding id = CODING_INVALID;
        int level = -1;

        if (coding_parse(examples[i].text, &id, &level) != examples[i].error)
            fail_msg("'%s' did not give %d", examples[i].text, examples[i].error);
        assert_int_equal(id, CODING_INVALID);
        assert_int_equal(level, -1);
    }
}

static void table_is_whole(void **state) {
    for (int id = 0; id < CODING_MAX; id++) {
        const struct coding_info *c = coding_info((enum coding) id);
        enum coding parsed;
        int level;

        assert_int_equal(coding_parse(c->name, &parsed, &level), 0);
        assert_int_equal(parsed, id);
        assert_int_equal(level, c->level_default);
        assert_true(c->level_min <= c->level_default && c->level_default <= c->level_max);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_names_and_levels),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
