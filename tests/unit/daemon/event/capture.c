/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>

#include "capture.h"
#include "macro.h"

static void replace_stderr(struct capture *capture) {
    int ends[2];

    *capture = (struct capture){ 0 };
    assert_return_code(pipe2(ends, O_CLOEXEC), errno);
    capture->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    assert_return_code(capture->saved, errno);
    assert_return_code(dup2(ends[1], STDERR_FILENO), errno);
    close(ends[1]);
    capture->reader = ends[0];
}

static void restore_stderr(struct capture *capture) {
    assert_return_code(dup2(capture->saved, STDERR_FILENO), errno);
    close(capture->saved);
}

static void *read_all(void *userdata) {
    struct capture *capture = userdata;
    char buf[4096];
    ssize_t n;

    while ((n = read(capture->reader, buf, sizeof(buf))) > 0) {
        capture->text = realloc(capture->text, capture->n + (size_t) n + 1);
        memcpy(capture->text + capture->n, buf, (size_t) n);
        capture->n += (size_t) n;
    }
    return NULL;
}

void capture_begin(struct capture *capture) {
    replace_stderr(capture);
    assert_int_equal(pthread_create(&capture->thread, NULL, read_all, capture), 0);
}

char *capture_end(struct capture *capture) {
    restore_stderr(capture);
    pthread_join(capture->thread, NULL);
    close(capture->reader);
    if (!capture->text)
        return calloc(1, 1);
    capture->text[capture->n] = '\0';
    return capture->text;
}

void capture_begin_blocked(struct capture *capture) {
    static const char filler[4096];
    int flags;

    replace_stderr(capture);
    flags = fcntl(STDERR_FILENO, F_GETFL);
    fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    while (write(STDERR_FILENO, filler, sizeof(filler)) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    fcntl(STDERR_FILENO, F_SETFL, flags);
}

void capture_unblock(struct capture *capture, const char *text) {
    static char window[128 * 1024];
    size_t n = 0;

    do {
        ssize_t got = read(capture->reader, window + n, sizeof(window) - n);

        assert_true(got > 0);
        n += (size_t) got;
    } while (!memmem(window, n, text, strlen(text)));
}

void capture_end_blocked(struct capture *capture) {
    restore_stderr(capture);
    close(capture->reader);
}

char *capture_line(char **at) {
    char *line = *at, *end = strchr(line, '\n');

    if (!end)
        return NULL;
    *end = '\0';
    *at = end + 1;
    return line;
}
