/* SPDX-License-Identifier: MIT */
#include "call.h"

#include <stdio.h>

#include "clock.h"
#include "failure.h"
#include "text.h"
#include "varlink.h"

static uint64_t timeout_usec(const struct ctl *ctl) {
    return ctl->timeout_usec > 0 ? ctl->timeout_usec : CLIENT_TIMEOUT_USEC;
}

static enum status fail(struct ctl *ctl, int error, bool connected) {
    if (error != -EINTR)
        return failure_connection(ctl->path, error, connected, timeout_usec(ctl));
    ctl->interrupted = true;
    return STATUS_FAILED;
}

static enum status connect_daemon(struct ctl *ctl) {
    if (ctl->client)
        return STATUS_DONE;
    if (!ctl->path)
        ctl->path = varlink_control_path(ctl->args->option[OPTION_CONTROL]);
    if (!ctl->path)
        return call_no_memory();

    int r = client_connect(ctl->path, timeout_usec(ctl), ctl->interrupt_fd, &ctl->client);
    return r < 0 ? fail(ctl, r, false) : STATUS_DONE;
}

/* Connects and makes the method's full name, owned by the caller. Consumes the parameters when it fails. */
static enum status prepare(struct ctl *ctl, const char *method, json_t *parameters, char **ret_name) {
    if (!parameters) {
        output_complain("an argument is not valid UTF-8");
        return STATUS_USAGE;
    }
    enum status status = connect_daemon(ctl);
    if (status == STATUS_DONE &&
        asprintf(ret_name, "%s%s", strchr(method, '.') ? "" : VARLINK_INTERFACE ".", method) < 0)
        status = call_no_memory();
    if (status != STATUS_DONE)
        json_decref(parameters);
    return status;
}

enum status call_daemon(struct ctl *ctl, const char *method, json_t *parameters, json_t **ret) {
    _cleanup_free_ char *name = NULL;
    struct answer answer;

    enum status status = prepare(ctl, method, parameters, &name);
    if (status != STATUS_DONE)
        return status;
    int r = client_call(ctl->client, name, parameters, &answer);
    if (r < 0)
        return fail(ctl, r, true);

    if (answer.error) {
        status = failure_report(&ctl->out, &answer);
    } else {
        *ret = ctl->out.json ? json_incref(answer.parameters) : text_escape_json(answer.parameters);
        if (!*ret)
            status = call_no_memory();
    }
    answer_done(&answer);
    return status;
}

struct stream {
    struct ctl *ctl;
    client_reply_fn fn;
    void *userdata;
};

static int on_reply(json_t *parameters, void *userdata) {
    struct stream *s = userdata;
    if (s->ctl->out.json)
        return s->fn(parameters, s->userdata);

    json_t *safe = text_escape_json(parameters);
    if (!safe)
        return -ENOMEM;
    int r = s->fn(safe, s->userdata);
    json_decref(safe);
    return r;
}

enum status call_stream(struct ctl *ctl, const char *method, json_t *parameters, bool endless, client_reply_fn fn,
                        void *userdata) {
    struct stream stream = { .ctl = ctl, .fn = fn, .userdata = userdata };
    _cleanup_free_ char *name = NULL;
    struct answer answer;

    enum status status = prepare(ctl, method, parameters, &name);
    if (status != STATUS_DONE)
        return status;
    int r = client_stream(ctl->client, name, parameters, endless, on_reply, &stream, &answer);
    if (r == -EINTR || r == -EPIPE || (r < 0 && r == ctl->out.error))
        return STATUS_DONE;
    if (r < 0)
        return fail(ctl, r, true);
    if (answer.error)
        status = failure_report(&ctl->out, &answer);
    answer_done(&answer);
    return status;
}

int call_pause(struct ctl *ctl, uint64_t usec) {
    int r = clock_wait(-1, 0, ctl->interrupt_fd, clock_now() + usec);
    return r == -ETIMEDOUT ? 0 : r;
}

enum status call_catch_interrupt(struct ctl *ctl) {
    ctl->interrupt_fd = clock_interrupt_fd();
    if (ctl->interrupt_fd >= 0)
        return STATUS_DONE;
    output_complain("cannot catch signals: %s", strerror(-ctl->interrupt_fd));
    return STATUS_FAILED;
}

json_t *call_put(json_t *parameters, const char *name, json_t *value) {
    if (!parameters) {
        json_decref(value);
        return NULL;
    }
    if (json_object_set_new(parameters, name, value) == 0)
        return parameters;
    json_decref(parameters);
    return NULL;
}

json_t *call_put_text(json_t *parameters, const char *name, const char *value) {
    return value ? call_put(parameters, name, json_string(value)) : parameters;
}

json_t *call_selection(const struct ctl *ctl) {
    const char *const *option = ctl->args->option;
    json_t *p = json_object();

    p = call_put_text(p, "flow", option[OPTION_FLOW]);
    p = call_put_text(p, "source", option[OPTION_SOURCE]);
    return option[OPTION_NEW_ONLY] ? call_put(p, "new_only", json_true()) : p;
}

enum status call_no_memory(void) {
    output_complain("out of memory");
    return STATUS_FAILED;
}

void ctl_done(struct ctl *ctl) {
    ctl->client = client_free(ctl->client);
    ctl->interrupt_fd = close_fd(ctl->interrupt_fd);
    free(TAKE_PTR(ctl->path));
}
