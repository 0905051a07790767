/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "clock.h"
#include "varlink.h"

#define CONNECT_RETRY_USEC (50 * USEC_PER_MSEC)

struct client {
    int fd, interrupt_fd;
    uint64_t timeout_usec;
    struct varlink_reader reader;
};

void answer_done(struct answer *a) {
    free(a->error);
    json_decref(a->parameters);
    *a = (struct answer){ 0 };
}

/* A full backlog shows as EAGAIN at once, and nothing signals when there is room. */
static int connect_until(int fd, const struct sockaddr_un *sa, int interrupt_fd, uint64_t deadline_usec) {
    while (connect(fd, (const struct sockaddr *) sa, sizeof(*sa)) < 0) {
        if (errno != EAGAIN)
            return -errno;
        uint64_t retry_usec = clock_now() + CONNECT_RETRY_USEC;
        if (retry_usec >= deadline_usec)
            return -ETIMEDOUT;
        int r = clock_wait(-1, 0, interrupt_fd, retry_usec);
        if (r != -ETIMEDOUT)
            return r;
    }
    return 0;
}

static int open_socket(const char *path, uint64_t timeout_usec, int interrupt_fd, int *ret_fd) {
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    size_t length = strlen(path);

    if (length >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    memcpy(sa.sun_path, path, length + 1);

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect_until(fd, &sa, interrupt_fd, clock_now() + timeout_usec);
    if (r < 0)
        return r;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int client_connect(const char *path, uint64_t timeout_usec, int interrupt_fd, struct client **ret) {
    int fd = -EBADF;
    int r = open_socket(path, timeout_usec, interrupt_fd, &fd);
    if (r < 0)
        return r;

    struct client *c = calloc(1, sizeof(*c));
    if (!c) {
        close_fd(fd);
        return -ENOMEM;
    }
    *c = (struct client){
        .fd = fd,
        .interrupt_fd = interrupt_fd,
        .timeout_usec = timeout_usec,
        .reader.limit_bytes = CLIENT_REPLY_BYTES_MAX,
    };
    *ret = c;
    return 0;
}

struct client *client_free(struct client *c) {
    if (!c)
        return NULL;
    close_fd(c->fd);
    varlink_reader_done(&c->reader);
    free(c);
    return NULL;
}

static int send_all(struct client *c, const char *data, size_t size, uint64_t deadline_usec) {
    while (size > 0) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n >= 0) {
            data += n;
            size -= (size_t) n;
            continue;
        }
        if (errno == EPIPE)
            return -ECONNRESET;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int r = clock_wait(c->fd, POLLOUT, c->interrupt_fd, deadline_usec);
        if (r < 0)
            return r;
    }
    return 0;
}

static int send_call(struct client *c, const char *method, json_t *parameters, bool more, uint64_t deadline_usec) {
    json_t *message;

    if (json_object_size(parameters) == 0) {
        json_decref(parameters);
        parameters = NULL;
    }
    message = json_pack("{ss so*}", "method", method, "parameters", parameters);
    if (message && more && json_object_set_new(message, "more", json_true()) < 0) {
        json_decref(message);
        message = NULL;
    }
    if (!message)
        return -ENOMEM;

    size_t size;
    _cleanup_free_ char *data = varlink_encode(message, &size);
    json_decref(message);
    return data ? send_all(c, data, size, deadline_usec) : -ENOMEM;
}

static int receive(struct client *c, uint64_t deadline_usec, json_t **ret_message) {
    for (;;) {
        int r = varlink_reader_next(&c->reader, ret_message);
        if (r != 0)
            return r < 0 ? r : 0;

        size_t size;
        void *space = varlink_reader_space(&c->reader, &size);
        if (!space)
            return -ENOMEM;
        ssize_t n = recv(c->fd, space, size, 0);
        if (n > 0) {
            varlink_reader_fill(&c->reader, (size_t) n);
            continue;
        }
        if (n == 0)
            return -ECONNRESET;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        r = clock_wait(c->fd, POLLIN, c->interrupt_fd, deadline_usec);
        if (r < 0)
            return r;
    }
}

/* Consumes the message. 1: more replies follow. */
static int take_answer(json_t *message, struct answer *ret) {
    const char *error = json_string_value(json_object_get(message, "error"));
    bool continues = json_is_true(json_object_get(message, "continues"));
    json_t *parameters = json_object_get(message, "parameters");
    struct answer a = {
        .error = error ? strdup(error) : NULL,
        .parameters = json_is_object(parameters) ? json_incref(parameters) : json_object(),
    };

    json_decref(message);
    if ((error && !a.error) || !a.parameters) {
        answer_done(&a);
        return -ENOMEM;
    }
    *ret = a;
    return continues && !a.error;
}

int client_call(struct client *c, const char *method, json_t *parameters, struct answer *ret) {
    uint64_t deadline_usec = clock_now() + c->timeout_usec;
    json_t *message;

    int r = send_call(c, method, parameters, false, deadline_usec);
    if (r >= 0)
        r = receive(c, deadline_usec, &message);
    if (r >= 0)
        r = take_answer(message, ret);
    return MIN(r, 0);
}

int client_stream(struct client *c, const char *method, json_t *parameters, bool endless, client_reply_fn fn,
                  void *userdata, struct answer *ret) {
    uint64_t deadline_usec = clock_now() + c->timeout_usec;
    int r = send_call(c, method, parameters, true, deadline_usec);
    if (r < 0)
        return r;

    for (;;) {
        struct answer a;
        json_t *message;

        r = receive(c, endless ? CLOCK_NEVER : clock_now() + c->timeout_usec, &message);
        if (r < 0)
            return r;
        int follows = take_answer(message, &a);
        if (follows < 0)
            return follows;
        r = a.error ? 0 : fn(a.parameters, userdata);
        if (r >= 0 && follows == 0) {
            *ret = a;
            return 0;
        }
        answer_done(&a);
        if (r < 0)
            return r;
    }
}
