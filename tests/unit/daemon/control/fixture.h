/* SPDX-License-Identifier: MIT */
/* A client at one end of a socket pair and a session at the other, driven by hand. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "call.h"
#include "session.h"
#include "session_limits.h"

struct fixture {
    sd_event *event;
    struct limits limits;
    struct peer peer;
    struct session *session; /* NULL when it has ended */
    int client;              /* non-blocking */
    call_fn dispatch;
    void *userdata;
    char *input; /* read by the client, not yet taken */
    size_t input_size;
    bool closed; /* by the daemon */
};

/* Limits are the defaults with times that never come; change them before fixture_connect(). */
void fixture_begin(struct fixture *f, call_fn dispatch, void *userdata);
void fixture_connect(struct fixture *f);
/* Or only the socket pair: returns the daemon's end. */
int fixture_pair(struct fixture *f);
void fixture_end(struct fixture *f);

void fixture_send(struct fixture *f, const char *text, size_t size);
/* A message with its NUL. */
void fixture_call(struct fixture *f, const char *json);
/* Runs the loop until nothing is left to do at once. */
void fixture_settle(struct fixture *f);
/* Runs the loop until the next answer is there, NULL when the daemon closes instead. */
json_t *fixture_answer(struct fixture *f);
/* The next answer is this one, as text with sorted keys. */
void fixture_expect(struct fixture *f, const char *json);
/* Runs the loop until the session has ended, without reading what it sent. */
void fixture_expect_end(struct fixture *f);
/* Settles; nothing has been answered, and the daemon has not closed. */
void fixture_expect_silence(struct fixture *f);
