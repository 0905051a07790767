/* SPDX-License-Identifier: MIT */
#include "buffers.h"

#include <linux/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "option.h"

#define WINDOW_MAX 65535 /* what the TCP header can advertise before scaling */

static const struct buffer receive_buffer = {
    .option = QOS_OPTION_RCVBUF,
    .lock = SOCK_RCVBUF_LOCK,
    .limited = "limited by net.core.rmem_max; CAP_NET_ADMIN lifts it",
};
static const struct buffer send_buffer = {
    .option = QOS_OPTION_SNDBUF,
    .lock = SOCK_SNDBUF_LOCK,
    .limited = "limited by net.core.wmem_max; CAP_NET_ADMIN lifts it",
};

static const char reason_minimum[] = "raised to the smallest buffer that the kernel gives";
static const char reason_window[] =
        "the connection's window scale was agreed when it was opened and cannot advertise so much; "
        "new connections get it in full";

const struct buffer *buffer_by_option(enum qos_option o) {
    return o == QOS_OPTION_RCVBUF ? &receive_buffer : o == QOS_OPTION_SNDBUF ? &send_buffer : NULL;
}

const struct buffer *buffer_by_setting(enum setting_id id) {
    return id == SETTING_RECEIVE_BUFFER ? &receive_buffer : id == SETTING_SEND_BUFFER ? &send_buffer : NULL;
}

bool buffer_established(const struct qos_socket *s) {
    return s->type == SOCK_STREAM && !s->listening;
}

bool buffer_unlocked(const struct buffer *b, const struct qos_baseline *base) {
    return (base->known & OPTION_BIT(QOS_OPTION_BUF_LOCK)) && !(base->option[QOS_OPTION_BUF_LOCK] & b->lock);
}

int buffer_decode(const struct buffer *b, const struct qos_baseline *raw, int64_t *ret_bytes) {
    if (!(raw->known & OPTION_BIT(b->option)))
        return -EOPNOTSUPP;
    *ret_bytes = buffer_unlocked(b, raw) ? 0 : (int64_t) raw->option[b->option] / 2;
    return 0;
}

/* What the kernel would make of a size without a capability. */
static int capped_size(const struct qos_socket *s, const struct buffer *b, uint64_t size, uint64_t *ret) {
    _cleanup_close_ int fd = option_scratch(s);
    struct qos_socket scratch = *s;
    int r;

    if (fd < 0)
        return fd;
    scratch.fd = fd;
    r = option_set(&scratch, b->option, size);
    return r < 0 ? r : option_get(&scratch, b->option, ret);
}

static int set_size(const struct qos_socket *s, const struct buffer *b, uint64_t size) {
    uint64_t lock, now, capped;
    int r;

    r = option_get(s, QOS_OPTION_BUF_LOCK, &lock);
    if (r < 0)
        return r;
    r = option_get(s, b->option, &now);
    if (r < 0)
        return r;
    if (lock & b->lock) {
        if (now == size)
            return 0;
        /* Asking an unprivileged kernel for more than was forced would leave less. */
        if (now < size && capped_size(s, b, size, &capped) == 0 && capped <= now)
            return 0;
    }
    return option_set(s, b->option, size);
}

/* `size`: what the kernel starts with; 0: what a new socket has. */
static int give_back(const struct qos_socket *s, const struct buffer *b, uint64_t size) {
    uint64_t lock;
    int r;

    r = option_get(s, QOS_OPTION_BUF_LOCK, &lock);
    if (r < 0 || !(lock & b->lock))
        return r;
    /* The kernel goes on from the present size where it tunes, and would stay there where it does not. */
    if (!buffer_established(s)) {
        _cleanup_close_ int fd = size == 0 ? option_scratch(s) : -EBADF;
        struct qos_socket scratch = *s;

        scratch.fd = fd;
        if (fd >= 0 && option_get(&scratch, b->option, &size) < 0)
            size = 0;
        if (size > 0) {
            r = option_set(s, b->option, size);
            if (r < 0)
                return r;
        }
    }
    return option_set(s, QOS_OPTION_BUF_LOCK, lock & ~(uint64_t) b->lock);
}

int buffer_apply(const struct qos_socket *s, const struct buffer *b, int64_t bytes) {
    return bytes == 0 ? give_back(s, b, 0) : set_size(s, b, (uint64_t) bytes * 2);
}

int buffer_inherit(const struct qos_socket *s, const struct buffer *b, const struct qos_baseline *base) {
    if (!(base->known & OPTION_BIT(b->option)))
        return 0;
    if (buffer_unlocked(b, base))
        return give_back(s, b, base->option[b->option]);
    return set_size(s, b, base->option[b->option]);
}

/* The most that an open connection can advertise. False: not a connection, or not yet agreed. */
static bool window_limit(const struct qos_socket *s, int64_t *ret) {
    struct tcp_info info = { 0 };
    socklen_t size = sizeof(info);

    if (!buffer_established(s) || getsockopt(s->fd, SOL_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    if (info.tcpi_state == TCP_CLOSE || info.tcpi_state == TCP_SYN_SENT)
        return false;
    *ret = (int64_t) WINDOW_MAX << info.tcpi_rcv_wscale;
    return true;
}

void buffer_explain(const struct qos_socket *s, const struct buffer *b, int64_t asked, struct qos_result *result) {
    int64_t now = result->effective.number, limit;

    if (asked > 0 && now < asked)
        result->reason = b->limited;
    else if (asked > 0 && now > asked)
        result->reason = reason_minimum;

    if (b->option != QOS_OPTION_RCVBUF || !window_limit(s, &limit))
        return;
    if (now > limit) {
        result->outcome = QOS_DEFERRED;
        result->reason = reason_window;
    } else if (now == 0 && limit == WINDOW_MAX)
        result->reason = reason_window;
}
