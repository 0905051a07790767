/* SPDX-License-Identifier: MIT */
/*
 * The receive and the send buffer, in the user's unit: half of what the kernel reports, 0 when the kernel tunes.
 * Private to this room. Any thread.
 *
 * Source: socket(7), tcp(7); RFC 7323 for the window scale.
 */
#pragma once

#include "qos.h"

struct buffer {
    enum qos_option option; /* QOS_OPTION_RCVBUF or QOS_OPTION_SNDBUF */
    uint32_t lock;          /* its bit in QOS_OPTION_BUF_LOCK */
    const char *limited;    /* the reason to give when it was capped */
};

const struct buffer *buffer_by_option(enum qos_option o); /* NULL: not a buffer */
const struct buffer *buffer_by_setting(enum setting_id id);

/* A stream that is or will be connected: the kernel may tune its buffers. */
bool buffer_established(const struct qos_socket *s);
/* Whether the baseline leaves the buffer to the kernel. */
bool buffer_unlocked(const struct buffer *b, const struct qos_baseline *base);
/* What the raw options say, in bytes; 0: the kernel tunes. -EOPNOTSUPP when they are unknown. */
int buffer_decode(const struct buffer *b, const struct qos_baseline *raw, int64_t *ret_bytes) _must_check_;

/* Sets a size, or gives the buffer back to the kernel (0). What is already as asked is left alone, and so is a forced
 * buffer that only a capability could enlarge. 0 or -errno. */
int buffer_apply(const struct qos_socket *s, const struct buffer *b, int64_t bytes) _must_check_;
/* Back to the baseline's size, or to the kernel's tuning if the baseline left it there. 0 or -errno. */
int buffer_inherit(const struct qos_socket *s, const struct buffer *b, const struct qos_baseline *base) _must_check_;
/* Says in `result`, whose effective is read back, why less or more than `asked` bytes (0: auto) is in force, or not
 * yet. */
void buffer_explain(const struct qos_socket *s, const struct buffer *b, int64_t asked, struct qos_result *result);
