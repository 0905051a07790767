/* SPDX-License-Identifier: MIT */
/*
 * One call of a client, and its answers. Main thread.
 *
 * A handler owns the call that it gets. It may answer at once, or keep the pointer and answer later; it must end each
 * call exactly once, with call_reply(), call_error...() or call_drop(), which free it. A session has one call under
 * way at a time, so the next one waits until then.
 *
 * The client may leave while a call is kept: on_gone is told, answers go nowhere, the call stays valid and still has
 * to be ended. A oneway call is answered like any other, and nothing is sent.
 *
 * Answering never calls back: on_gone and on_drained run from the event loop only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "access.h"
#include "macro.h"
#include "varlink.h"

struct session;
struct call;

typedef void (*call_fn)(struct call *call, void *userdata);

/* Who called, the method and its parameters. */
const struct peer *call_peer(const struct call *call);
const struct varlink_call *call_header(const struct call *call);

/* The last answer. The parameters are an object, handed over; NULL means that they could not be built (out of memory),
 * and the session ends. */
void call_reply(struct call *call, json_t *parameters);
/* An answer with more to come; the caller must have asked for more. False: enough is waiting to be read; stop until
 * on_drained. Who does not stop runs into the output limit, which ends the session. NULL as above. */
bool call_reply_more(struct call *call, json_t *parameters) _must_check_;
/* The last answer is an error, by its full name; the parameters as above. */
void call_error(struct call *call, const char *error, json_t *parameters);
/* Ends a call without an answer: because the client has gone, or because nothing sensible can be said, and then the
 * session ends as well. */
void call_drop(struct call *call);

/* Errors of org.varlink.service. */
void call_error_invalid_parameter(struct call *call, const char *name);
void call_error_method_not_found(struct call *call, const char *method);
void call_error_interface_not_found(struct call *call, const char *interface, size_t size);
void call_error_permission_denied(struct call *call);
void call_error_expected_more(struct call *call);

/* For calls that are kept. on_drained: the client has read what was waiting, go on. on_gone: nobody waits for the
 * answer any more; ending the call in it is allowed. Either may be NULL. */
void call_watch(struct call *call, call_fn on_drained, call_fn on_gone, void *userdata);

/* For the session. `message` is handed over, the header points into it. NULL when out of memory. */
struct call *call_new(struct session *session, const struct peer *peer, json_t *message,
                      const struct varlink_call *header) _must_check_;
void call_drained(struct call *call);
/* The session is about to go: no answer reaches it any more. */
void call_gone(struct call *call);
