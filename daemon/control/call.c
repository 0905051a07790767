/* SPDX-License-Identifier: MIT */
#include "call.h"

#include <assert.h>

#include "session.h"

struct call {
    struct session *session; /* NULL: gone */
    struct peer peer;
    json_t *message;
    struct varlink_call header;
    call_fn on_drained, on_gone;
    void *userdata;
};

struct call *call_new(struct session *session, const struct peer *peer, json_t *message,
                      const struct varlink_call *header) {
    struct call *call = malloc(sizeof(*call));

    if (call)
        *call = (struct call){ .session = session, .peer = *peer, .message = message, .header = *header };
    return call;
}

const struct peer *call_peer(const struct call *call) {
    return &call->peer;
}

const struct varlink_call *call_header(const struct call *call) {
    return &call->header;
}

void call_watch(struct call *call, call_fn on_drained, call_fn on_gone, void *userdata) {
    call->on_drained = on_drained;
    call->on_gone = on_gone;
    call->userdata = userdata;
}

void call_drained(struct call *call) {
    if (call->on_drained)
        call->on_drained(call, call->userdata);
}

void call_gone(struct call *call) {
    call->session = NULL;
    if (call->on_gone)
        call->on_gone(call, call->userdata);
}

/* Hands over the parameters. An object without members is left out: absent means the same. */
static bool answer(struct call *call, json_t *parameters, const char *error, bool continues) {
    json_t *reply;
    bool fast;

    if (!call->session || call->header.oneway) {
        json_decref(parameters);
        return false;
    }
    if (parameters && json_object_size(parameters) == 0) {
        json_decref(parameters);
        reply = json_pack("{s:s*, s:o*}", "error", error, "continues", continues ? json_true() : NULL);
    } else
        reply = json_pack("{s:s*, s:o, s:o*}", "error", error, "parameters", parameters, "continues",
                          continues ? json_true() : NULL);
    fast = session_send(call->session, reply);
    json_decref(reply);
    return fast;
}

static void end(struct call *call) {
    if (call->session)
        session_call_ended(call->session);
    json_decref(call->message);
    free(call);
}

void call_reply(struct call *call, json_t *parameters) {
    (void) answer(call, parameters, NULL, false);
    end(call);
}

bool call_reply_more(struct call *call, json_t *parameters) {
    assert(call->header.more);
    return answer(call, parameters, NULL, true);
}

void call_error(struct call *call, const char *error, json_t *parameters) {
    (void) answer(call, parameters, error, false);
    end(call);
}

void call_drop(struct call *call) {
    if (call->session && !call->header.oneway)
        session_fail(call->session, "a call could not be answered");
    end(call);
}

void call_error_invalid_parameter(struct call *call, const char *name) {
    call_error(call, "org.varlink.service.InvalidParameter", json_pack("{s:s}", "parameter", name));
}

void call_error_method_not_found(struct call *call, const char *method) {
    call_error(call, "org.varlink.service.MethodNotFound", json_pack("{s:s}", "method", method));
}

void call_error_interface_not_found(struct call *call, const char *interface, size_t size) {
    call_error(call, "org.varlink.service.InterfaceNotFound", json_pack("{s:s%}", "interface", interface, size));
}

void call_error_permission_denied(struct call *call) {
    call_error(call, "org.varlink.service.PermissionDenied", json_object());
}

void call_error_expected_more(struct call *call) {
    call_error(call, "org.varlink.service.ExpectedMore", json_object());
}
