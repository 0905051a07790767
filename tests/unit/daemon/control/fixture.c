/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define HOUR_USEC (3600 * USEC_PER_SEC)

static void on_dispatch(struct call *call, void *userdata) {
    struct fixture *f = userdata;

    f->dispatch(call, f->userdata);
}

static void on_ended(struct session *session, void *userdata) {
    struct fixture *f = userdata;

    assert_ptr_equal(session, f->session);
    f->session = session_free(session);
}

static const struct session_ops ops = { .dispatch = on_dispatch, .ended = on_ended };

void fixture_begin(struct fixture *f, call_fn dispatch, void *userdata) {
    *f = (struct fixture){
        .limits = LIMITS_DEFAULT,
        .peer = { .uid = 1000, .pid = 4711, .access = ACCESS_CHANGE },
        .client = -EBADF,
        .dispatch = dispatch,
        .userdata = userdata,
    };
    f->limits.idle_usec = f->limits.partial_usec = f->limits.unread_usec = HOUR_USEC;
    assert_true(sd_event_new(&f->event) >= 0);
}

int fixture_pair(struct fixture *f) {
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    f->client = fds[0];
    return fds[1];
}

void fixture_connect(struct fixture *f) {
    assert_int_equal(session_new(f->event, fixture_pair(f), &f->peer, &f->limits, &ops, f, &f->session), 0);
}

void fixture_end(struct fixture *f) {
    f->session = session_free(f->session);
    f->client = close_fd(f->client);
    free(f->input);
    f->event = sd_event_unref(f->event);
}

void fixture_send(struct fixture *f, const char *text, size_t size) {
    assert_int_equal(send(f->client, text, size, MSG_NOSIGNAL), size);
}

void fixture_call(struct fixture *f, const char *json) {
    fixture_send(f, json, strlen(json) + 1);
}

void fixture_settle(struct fixture *f) {
    int r;

    while ((r = sd_event_run(f->event, 0)) > 0)
        ;
    assert_int_equal(r, 0);
}

static void read_input(struct fixture *f) {
    char buffer[4096];
    ssize_t n;

    while ((n = recv(f->client, buffer, sizeof(buffer), 0)) > 0) {
        f->input = realloc(f->input, f->input_size + (size_t) n);
        assert_non_null(f->input);
        memcpy(f->input + f->input_size, buffer, (size_t) n);
        f->input_size += (size_t) n;
    }
    if (n == 0 || errno == ECONNRESET)
        f->closed = true;
}

static json_t *take_message(struct fixture *f) {
    char *end = f->input ? memchr(f->input, '\0', f->input_size) : NULL;
    size_t size;
    json_t *message;

    if (!end)
        return NULL;
    size = (size_t) (end - f->input) + 1;
    message = json_loads(f->input, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(message);
    f->input_size -= size;
    memmove(f->input, f->input + size, f->input_size);
    return message;
}

json_t *fixture_answer(struct fixture *f) {
    json_t *message;

    for (;;) {
        read_input(f);
        message = take_message(f);
        if (message || f->closed)
            return message;
        assert_true(sd_event_run(f->event, 10 * USEC_PER_SEC) > 0);
    }
}

void fixture_expect(struct fixture *f, const char *json) {
    json_t *answer = fixture_answer(f), *expected = json_loads(json, 0, NULL);
    _cleanup_free_ char *a = NULL, *b = NULL;

    assert_non_null(answer);
    assert_non_null(expected);
    a = json_dumps(answer, JSON_SORT_KEYS);
    b = json_dumps(expected, JSON_SORT_KEYS);
    assert_string_equal(a, b);
    json_decref(answer);
    json_decref(expected);
}

void fixture_expect_end(struct fixture *f) {
    while (f->session)
        assert_true(sd_event_run(f->event, 10 * USEC_PER_SEC) > 0);
}

void fixture_expect_silence(struct fixture *f) {
    fixture_settle(f);
    read_input(f);
    assert_int_equal(f->input_size, 0);
    assert_false(f->closed);
}
