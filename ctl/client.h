/* SPDX-License-Identifier: MIT */
/*
 * A blocking Varlink client over the control socket. One thread, one call at a time. Does not print.
 *
 * Errors of the connection, from every function: -ENOENT, -ECONNREFUSED, -EACCES, ... (nobody there, as connect(2));
 * -ENAMETOOLONG (path); -ETIMEDOUT (no answer in time); -ECONNRESET (closed by the daemon); -EBADMSG and -EMSGSIZE
 * (what came is not Varlink); -EINTR (the interrupt fd became readable); -ENOMEM.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "macro.h"

#define CLIENT_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define CLIENT_REPLY_BYTES_MAX ((size_t) 64 * 1024 * 1024)

struct client;

/* What came back: an error's name, or NULL; its or the reply's parameters, never NULL after success of a call. */
struct answer {
    char *error;
    json_t *parameters;
};
void answer_done(struct answer *a);

/* timeout_usec: for connecting and for each answer. interrupt_fd: ends any waiting when readable; -1: none. */
int client_connect(const char *path, uint64_t timeout_usec, int interrupt_fd, struct client **ret) _must_check_;
struct client *client_free(struct client *c);
DEFINE_CLEANUP(struct client *, client_free);

/* One call, one answer. `method` with its interface; `parameters` (may be NULL) is consumed. 0: *ret holds it. */
int client_call(struct client *c, const char *method, json_t *parameters, struct answer *ret) _must_check_;

/* A call with `more`: each reply's parameters go to `fn` (borrowed); a negative return of it ends the call and is
 * returned. `endless`: the next reply may take for ever. 0: the stream has ended; ret->error says with which error,
 * if any. */
typedef int (*client_reply_fn)(json_t *parameters, void *userdata);
int client_stream(struct client *c, const char *method, json_t *parameters, bool endless, client_reply_fn fn,
                  void *userdata, struct answer *ret) _must_check_;
