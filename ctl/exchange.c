/* SPDX-License-Identifier: MIT */
#include "exchange.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <stdalign.h>

#include "clock.h"

#define INPUT_SIZE ((size_t) 64 * 1024)
#define CONNECT_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define SEND_STEP_BYTES ((size_t) 256 * 1024) /* a large payload must not keep the replies to its start waiting */

static int wait_connected(int fd, int interrupt_fd, uint64_t timeout_usec) {
    int error = 0;
    socklen_t size = sizeof(error);

    int r = clock_wait(fd, POLLOUT, interrupt_fd, clock_now() + timeout_usec);
    if (r < 0)
        return r;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

static int connect_one(const struct plan *p, const struct addrinfo *ai, int interrupt_fd, int *ret_fd) {
    int one = 1;
    _cleanup_close_ int fd = socket(ai->ai_family, p->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;

    int r = p->dscp >= 0 ? mark_set(fd, ai->ai_family, (uint8_t) (p->dscp << 2)) : 0;
    if (r >= 0)
        r = mark_observe(fd, ai->ai_family);
    if (r < 0)
        return r;
    if (p->type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
        return -errno;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -errno;
        r = wait_connected(fd, interrupt_fd, MAX(p->timeout_usec, CONNECT_TIMEOUT_USEC));
        if (r < 0)
            return r;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int exchange_open(const struct plan *p, const struct addrinfo *addresses, int interrupt_fd, struct exchange *ret) {
    struct exchange x = { .plan = p, .fd = -EBADF, .interrupt_fd = interrupt_fd };
    int r = -EADDRNOTAVAIL;

    for (const struct addrinfo *ai = addresses; ai; ai = ai->ai_next) {
        if (address_from_sockaddr(ai->ai_addr, ai->ai_addrlen, &x.peer) < 0)
            continue;
        r = connect_one(p, ai, interrupt_fd, &x.fd);
        if (r >= 0 || r == -EINTR)
            break;
    }
    if (r < 0)
        return r;
    x.ipv4 = x.peer.sa.sa_family == AF_INET || address_is_v4_mapped(&x.peer);
    x.payload = malloc(p->size);
    x.input = malloc(INPUT_SIZE);
    if (!x.payload || !x.input) {
        exchange_done(&x);
        return -ENOMEM;
    }
    *ret = x;
    return 0;
}

void exchange_done(struct exchange *x) {
    close_fd(x->fd);
    free(x->payload);
    free(x->input);
    *x = (struct exchange){ .fd = -EBADF };
}

/* Reads once. Bytes, -EAGAIN, or another error; *ret_mark is what a datagram carried. */
static ssize_t receive(struct exchange *x, struct mark *ret_mark) {
    alignas(struct cmsghdr) char control[256];
    struct iovec iov = { .iov_base = x->input, .iov_len = INPUT_SIZE };
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    ssize_t n = recvmsg(x->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    *ret_mark = mark_of_message(&message);
    return n;
}

static void keep_head(struct reply *reply, const char *data, size_t size) {
    if (reply->size < EXCHANGE_HEAD_MAX)
        memcpy(reply->head + reply->size, data, MIN(size, EXCHANGE_HEAD_MAX - reply->size));
    reply->size += size;
}

static int send_datagram(struct exchange *x, uint64_t deadline_usec) {
    while (send(x->fd, x->payload, x->plan->size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            return -errno;
        int r = clock_wait(x->fd, POLLOUT, x->interrupt_fd, deadline_usec);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What waits there belongs to earlier payloads, an ICMP error as well. */
static void discard_late(struct exchange *x) {
    struct mark mark;

    for (unsigned i = 0; i < 1000; i++) {
        ssize_t n = receive(x, &mark);
        if (n == -EAGAIN)
            return;
        x->late += n >= 0;
    }
}

static int exchange_datagram(struct exchange *x, uint64_t number, struct reply *ret) {
    discard_late(x);

    uint64_t start_usec = clock_now(), deadline_usec = start_usec + x->plan->timeout_usec;
    int r = send_datagram(x, deadline_usec);
    if (r < 0)
        return r;
    while (x->plan->wait_reply) {
        struct reply reply = { 0 };
        ssize_t n = receive(x, &reply.mark);

        if (n == -EAGAIN) {
            r = clock_wait(x->fd, POLLIN, x->interrupt_fd, deadline_usec);
            if (r == -ETIMEDOUT)
                return 0;
            if (r < 0)
                return r;
            continue;
        }
        if (n < 0)
            return (int) n;
        uint64_t of = plan_number(x->plan, x->input, (size_t) n);
        if (of != 0 && of != number) {
            x->late++;
            continue;
        }
        reply.time_usec = clock_now() - start_usec;
        keep_head(&reply, x->input, (size_t) n);
        *ret = reply;
        return 1;
    }
    return 0;
}

/* One payload on its way through a TCP connection. */
struct transfer {
    uint64_t number, start_usec;
    size_t sent;
    bool echo; /* so far the reply repeats the payload: then it is complete when it is as long */
    struct reply reply;
};

static void take_stream(struct exchange *x, struct transfer *t, const char *data, size_t size) {
    while (size > 0) {
        size_t skipped = MIN(size, x->skip_bytes);
        x->skip_bytes -= skipped;
        data += skipped;
        size -= skipped;
        if (size == 0)
            return;

        uint64_t of = t->reply.size == 0 ? plan_number(x->plan, data, size) : 0;
        if (of != 0 && of != t->number) {
            x->skip_bytes = x->plan->size;
            x->late++;
            continue;
        }
        if (t->reply.size == 0)
            t->reply.time_usec = clock_now() - t->start_usec;
        if (t->reply.size + size > x->plan->size || memcmp(x->payload + t->reply.size, data, size) != 0)
            t->echo = false;
        keep_head(&t->reply, data, size);
        return;
    }
}

/* Reads all that is there. 0; -ECONNRESET at the end of the stream. */
static int read_stream(struct exchange *x, struct transfer *t) {
    struct mark mark;

    for (;;) {
        ssize_t n = receive(x, &mark);
        if (n == -EAGAIN)
            return 0;
        if (n == 0)
            return -ECONNRESET;
        if (n < 0)
            return (int) n;
        take_stream(x, t, x->input, (size_t) n);
    }
}

static int write_stream(struct exchange *x, struct transfer *t) {
    size_t left = x->plan->size - t->sent;
    if (left == 0)
        return 0;
    ssize_t n = send(x->fd, x->payload + t->sent, MIN(left, SEND_STEP_BYTES), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : errno == EPIPE ? -ECONNRESET : -errno;
    t->sent += (size_t) n;
    return n > 0;
}

static bool is_complete(const struct exchange *x, const struct transfer *t) {
    if (t->sent < x->plan->size)
        return false;
    if (!x->plan->wait_reply)
        return true;
    return t->reply.size > 0 && (!t->echo || t->reply.size >= x->plan->size);
}

/* 1: complete; 0: no progress within the timeout; negative errno. */
static int run_transfer(struct exchange *x, struct transfer *t) {
    uint64_t deadline_usec = t->start_usec + x->plan->timeout_usec;

    for (;;) {
        int written = write_stream(x, t);
        if (written < 0)
            return written;
        size_t replied = t->reply.size;
        int r = read_stream(x, t);
        if (r < 0)
            return r;
        if (is_complete(x, t))
            return 1;
        if (written > 0 || t->reply.size > replied)
            deadline_usec = clock_now() + x->plan->timeout_usec;

        short events = (short) (POLLIN | (t->sent < x->plan->size ? POLLOUT : 0));
        r = clock_wait(x->fd, events, x->interrupt_fd, deadline_usec);
        if (r < 0)
            return r == -ETIMEDOUT ? 0 : r;
    }
}

static int exchange_stream(struct exchange *x, uint64_t number, struct reply *ret) {
    struct transfer rest = { .number = number }, t = { .number = number, .echo = true };

    int r = read_stream(x, &rest);
    if (r < 0)
        return r;
    t.start_usec = clock_now();
    r = run_transfer(x, &t);
    if (t.reply.size == 0 || !x->plan->wait_reply) {
        if (r < 0)
            return r;
        return t.sent < x->plan->size ? -ETIMEDOUT : 0;
    }

    if (t.echo && t.reply.size < x->plan->size)
        x->skip_bytes = x->plan->size - t.reply.size;
    t.reply.mark = mark_of_stream(x->fd, x->ipv4);
    *ret = t.reply;
    return 1;
}

int exchange_payload(struct exchange *x, uint64_t number, struct reply *ret) {
    plan_payload(x->plan, number, x->payload);
    return x->plan->type == SOCK_DGRAM ? exchange_datagram(x, number, ret) : exchange_stream(x, number, ret);
}

void exchange_finish(struct exchange *x) {
    uint64_t deadline_usec = clock_now() + x->plan->timeout_usec;
    struct transfer rest = { 0 };

    if (x->plan->type != SOCK_STREAM || shutdown(x->fd, SHUT_WR) < 0)
        return;
    while (read_stream(x, &rest) >= 0)
        if (clock_wait(x->fd, POLLIN, x->interrupt_fd, deadline_usec) < 0)
            return;
}
