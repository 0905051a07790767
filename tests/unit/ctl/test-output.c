/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"
#include <cmocka.h>
#include <signal.h>

static char *list(int items, json_t *head, json_t *tail) {
    char *text = NULL;
    size_t size;
    struct output o = { .file = open_memstream(&text, &size) };

    output_list_open(&o, head, "replies");
    for (int i = 0; i < items; i++) {
        json_t *item = json_integer(i);
        output_list_item(&o, item);
        json_decref(item);
    }
    output_list_close(&o, tail);
    fclose(o.file);
    json_decref(head);
    json_decref(tail);
    return text;
}

static void is_json(char *text, json_t *expected) {
    json_t *v = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (!v || !json_equal(v, expected))
        fail_msg("%s", text);
    free(text);
    json_decref(v);
    json_decref(expected);
}

static void lists_written_in_pieces_are_json(void **state) {
    is_json(list(0, NULL, NULL), json_pack("{s:[]}", "replies"));
    is_json(list(2, NULL, NULL), json_pack("{s:[i,i]}", "replies", 0, 1));
    is_json(list(1, json_pack("{s:s}", "a", "\""), json_pack("{s:n, s:i}", "b", "c", 2)),
            json_pack("{s:s, s:[i], s:n, s:i}", "a", "\"", "replies", 0, "b", "c", 2));
}

static void json_is_ascii(void **state) {
    char *text = NULL;
    size_t size;
    struct output o = { .file = open_memstream(&text, &size) };
    json_t *v = json_pack("{s:s}", "a", "\xc2\x9b");

    output_json_line(&o, v);
    fclose(o.file);
    assert_string_equal(text, "{\"a\":\"\\u009B\"}\n");
    free(text);
    json_decref(v);
}

static void files_have_no_colour_and_no_width(void **state) {
    FILE *file = tmpfile();
    struct output o;

    assert_non_null(file);
    setenv("COLUMNS", "20", 1);
    output_init(&o, file, false, false);
    assert_int_equal(o.width, 0);
    assert_false(o.color);
    assert_string_equal(output_style(&o, STYLE_BAD), "");
    fclose(file);
}

static void a_reader_that_has_gone_is_told_apart(void **state) {
    int fds[2];
    struct output o;

    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    FILE *file = fdopen(fds[1], "w");
    output_init(&o, file, false, false);
    assert_int_equal(output_flush(&o), 0);
    for (int i = 0; i < 100000; i++)
        fputs("more than a buffer\n", o.file);
    assert_int_equal(output_flush(&o), -EPIPE);
    fclose(file);
}

static void a_full_disk_is_an_error(void **state) {
    FILE *file = fopen("/dev/full", "w");
    struct output o;

    if (!file)
        skip();
    output_init(&o, file, false, false);
    fputs("x", o.file);
    assert_int_equal(output_flush(&o), -ENOSPC);
    fclose(file);
}

static void words_are(unsigned width, const char *text, const char *expected) {
    char *written = NULL;
    size_t size;
    struct output o = { .file = open_memstream(&written, &size), .width = width };

    output_words(&o, "files", 7, STYLE_PLAIN, text);
    fclose(o.file);
    assert_string_equal(written, expected);
    free(written);
}

static void words_are_wrapped(void **state) {
    words_are(0, "one two three four five six", "files  one two three four five six\n");
    words_are(20, "one two three four", "files  one two three\n       four\n");
    words_are(20, "one /a/very/long/path", "files  one\n       /a/very/long/\n       path\n");
    words_are(3, "one two three", "files  one two\n       three\n");
    words_are(20, "", "files  \n");
}

static int ignore_sigpipe(void **state) {
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_written_in_pieces_are_json),
        cmocka_unit_test(json_is_ascii),
        cmocka_unit_test(words_are_wrapped),
        cmocka_unit_test(files_have_no_colour_and_no_width),
        cmocka_unit_test(a_reader_that_has_gone_is_told_apart),
        cmocka_unit_test(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
