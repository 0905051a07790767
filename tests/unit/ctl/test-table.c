/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "table.h"

static const struct column columns[] = {
    { "ID" }, { "PEER", .width_min = 6 }, { "BYTES", .right = true }, { "STATE", .drop = 1 }, { "MORE", .drop = 2 },
};

/* Prints the rows of a table at a width; owned by the caller. */
static char *print(struct table *t, unsigned width) {
    char *text = NULL;
    size_t size;
    struct output o = { .file = open_memstream(&text, &size), .width = width };

    assert_non_null(o.file);
    assert_int_equal(table_print(t, &o), 0);
    fclose(o.file);
    return text;
}

static void add_row(struct table *t, const char *id, const char *peer, int bytes, const char *last) {
    table_cell(t, STYLE_PLAIN, "%s", id);
    table_cell(t, STYLE_PLAIN, "%s", peer);
    table_cell(t, STYLE_BAD, "%d", bytes);
    table_cell(t, STYLE_PLAIN, "open");
    table_cell(t, STYLE_PLAIN, "%s", last);
}

static struct table *sample(void) {
    struct table *t = table_new(columns, ARRAY_SIZE(columns));
    add_row(t, "1", "192.0.2.1:40000", 5, "x");
    add_row(t, "22", "192.0.2.2:1", 123456, "");
    return t;
}

static void shown(unsigned width, const char *expected) {
    _cleanup_(table_freep) struct table *t = sample();
    _cleanup_free_ char *text = print(t, width);
    assert_string_equal(text, expected);
}

static void nothing_is_cut_without_a_terminal(void **state) {
    shown(0, "ID  PEER              BYTES  STATE  MORE\n"
             "1   192.0.2.1:40000       5  open   x\n"
             "22  192.0.2.2:1      123456  open   -\n");
}

static void narrow_terminals_take_gaps_then_letters_then_columns(void **state) {
    shown(40, "ID  PEER              BYTES  STATE  MORE\n"
              "1   192.0.2.1:40000       5  open   x\n"
              "22  192.0.2.2:1      123456  open   -\n");
    shown(36, "ID PEER             BYTES STATE MORE\n"
              "1  192.0.2.1:40000      5 open  x\n"
              "22 192.0.2.2:1     123456 open  -\n");
    shown(32, "ID PEER         BYTES STATE MORE\n"
              "1  192.0.2.1:~      5 open  x\n"
              "22 192.0.2.2:1 123456 open  -\n");
    shown(25, "(1 left out)\n"
              "ID PEER       BYTES STATE\n"
              "1  192.0.2.~      5 open\n"
              "22 192.0.2.~ 123456 open\n");
    shown(18, "(2 left out)\n"
              "ID PEER      BYTES\n"
              "1  192.0.2~      5\n"
              "22 192.0.2~ 123456\n");
}

/* No line is ever wider than the terminal, whatever the width. */
static void every_width_is_kept(void **state) {
    for (unsigned width = 9; width < 50; width++) {
        _cleanup_(table_freep) struct table *t = sample();
        _cleanup_free_ char *text = print(t, width);
        char *rest = NULL;

        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            if (strlen(line) > width)
                fail_msg("width %u: '%s'", width, line);
    }
}

static void the_header_is_printed_once(void **state) {
    _cleanup_(table_freep) struct table *t = sample();

    free(print(t, 0));
    assert_int_equal(table_rows(t), 0);
    add_row(t, "3", "p", 1, "y");
    _cleanup_free_ char *second = print(t, 0);
    assert_string_equal(second, "3   p                     1  open   y\n");
}

static void colour_does_not_change_widths(void **state) {
    _cleanup_(table_freep) struct table *t = sample();
    _cleanup_free_ char *text = NULL;
    size_t size;
    struct output o = { .file = open_memstream(&text, &size), .color = true };

    assert_int_equal(table_print(t, &o), 0);
    fclose(o.file);
    assert_non_null(strstr(text, "192.0.2.1:40000       \033[31m5\033[0m  open"));
}

static void optional_columns_join_when_they_say_something(void **state) {
    static const struct column two[] = { { "ID" }, { "NOTE", .drop = 1, .optional = true } };
    _cleanup_(table_freep) struct table *t = table_new(two, ARRAY_SIZE(two));
    static const char *const notes[] = { "", "new", "" };
    static const char *const expected[] = { "ID\n1\n", "ID  NOTE\n1   new\n", "1   -\n" };

    for (unsigned i = 0; i < ARRAY_SIZE(notes); i++) {
        table_cell(t, STYLE_PLAIN, "1");
        table_cell(t, STYLE_PLAIN, "%s", notes[i]);
        _cleanup_free_ char *text = print(t, i == 0 ? 5 : 0);
        assert_string_equal(text, expected[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_cut_without_a_terminal),
        cmocka_unit_test(narrow_terminals_take_gaps_then_letters_then_columns),
        cmocka_unit_test(every_width_is_kept),
        cmocka_unit_test(the_header_is_printed_once),
        cmocka_unit_test(colour_does_not_change_widths),
        cmocka_unit_test(optional_columns_join_when_they_say_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
