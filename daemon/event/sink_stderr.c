/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "escape.h"
#include "record.h"
#include "sink.h"

#define PAYLOAD_SHOWN_MAX 1024
#define HELD_TEXT_MAX 64
#define PREFIX_TEXT_MAX 8

/* A pipe takes a line of this length whole or not at all, whoever else writes to it. */
_Static_assert(PREFIX_TEXT_MAX + EVENT_MESSAGE_MAX + HELD_TEXT_MAX + PAYLOAD_SHOWN_MAX + 4 <= PIPE_BUF,
               "a line is longer than PIPE_BUF");

struct line {
    char prefix[PREFIX_TEXT_MAX], held[HELD_TEXT_MAX], payload[PAYLOAD_SHOWN_MAX];
    struct iovec parts[6];
    int n_parts;
};

static void add(struct line *line, const char *text) {
    line->parts[line->n_parts++] = (struct iovec){ (void *) text, strlen(text) };
}

static void make_line(struct line *line, const struct event_record *record) {
    const struct event_field *payload = record_find(record, FIELD_PAYLOAD);
    const struct event_field *held = record_find(record, FIELD_SUPPRESSED);

    line->n_parts = 0;
    if (!isatty(STDERR_FILENO)) {
        snprintf(line->prefix, sizeof(line->prefix), "<%d>", record->priority);
        add(line, line->prefix);
    }
    add(line, record->message);
    if (held && record->kind != EVENT_EVENTS_SUPPRESSED && record->kind != EVENT_PAYLOADS_SUPPRESSED) {
        snprintf(line->held, sizeof(line->held), " (%.20s like it held back)", (const char *) held->value);
        add(line, line->held);
    }
    if (payload) {
        escape_text(line->payload, sizeof(line->payload), payload->value, payload->size);
        add(line, ": ");
        add(line, line->payload);
    }
    add(line, "\n");
}

/* What is left after `n` bytes were written. */
static void advance(struct line *line, size_t n) {
    for (int i = 0; i < line->n_parts; i++) {
        size_t gone = MIN(n, line->parts[i].iov_len);

        line->parts[i].iov_base = (char *) line->parts[i].iov_base + gone;
        line->parts[i].iov_len -= gone;
        n -= gone;
    }
}

static size_t line_length(const struct line *line) {
    size_t n = 0;

    for (int i = 0; i < line->n_parts; i++)
        n += line->parts[i].iov_len;
    return n;
}

static int wait_writable(int wait_msec) {
    struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
    int r = poll(&p, 1, wait_msec);

    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    return r == 0 ? -EAGAIN : 0;
}

/* One write takes the line whole unless stderr is something odd (a stream socket, a full disk). */
static int write_line(struct line *line) {
    while (line_length(line) > 0) {
        ssize_t n = writev(STDERR_FILENO, line->parts, line->n_parts);

        if (n >= 0) {
            advance(line, (size_t) n);
        } else if (errno == EAGAIN) {
            int r = wait_writable(-1);

            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int sink_stderr_try(const struct event_record *record, int wait_msec) {
    struct line line;
    struct stat st;
    ssize_t n = -1;
    int r;

    make_line(&line, record);
    r = wait_writable(wait_msec);
    if (r < 0)
        return r;
    if (fstat(STDERR_FILENO, &st) < 0)
        return -errno;
    errno = EOPNOTSUPP;
    /* Somebody else may have filled the room that poll() saw. Only new kernels know this flag for pipes. */
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        n = pwritev2(STDERR_FILENO, line.parts, line.n_parts, -1, RWF_NOWAIT);
    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        n = writev(STDERR_FILENO, line.parts, line.n_parts);
    return n < 0 ? -errno : 0;
}

static bool usable(void) {
    return true;
}

static int open_stderr(const char *identifier, void **ret_context) {
    *ret_context = NULL;
    return 0;
}

static int tell_stderr(void *context, const struct event_record *record) {
    struct line line;

    make_line(&line, record);
    return write_line(&line);
}

static void close_stderr(void *context) {
}

const struct sink sink_stderr = {
    .name = "standard error",
    .usable = usable,
    .open = open_stderr,
    .tell = tell_stderr,
    .close = close_stderr,
};
