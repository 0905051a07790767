/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

#include "reason.h"
#include "setting.h"
#include "unit.h"

#define PREFIX "payload "
#define REPLY_TIMEOUT_USEC USEC_PER_SEC

/* The number of a port, or the name of a service. To getaddrinfo(3) 99999 and -1 are ports, too: others. */
static bool is_port(const char *text) {
    size_t length = strlen(text);

    if (strspn(text, "0123456789") < length)
        return isalnum((unsigned char) *text);
    return length > 0 && length <= 5 && atoi(text) > 0 && atoi(text) <= UINT16_MAX;
}

/* "tcp:HOST:PORT"; an IPv6 address stands in brackets, as everywhere. */
static int parse_target(const char *text, struct plan *p, char **ret_reason) {
    if (strncmp(text, "tcp:", 4) == 0)
        p->type = SOCK_STREAM;
    else if (strncmp(text, "udp:", 4) == 0)
        p->type = SOCK_DGRAM;
    else
        return reason_set(ret_reason, -EINVAL, "'%s' is not tcp:HOST:PORT or udp:HOST:PORT", text);

    const char *host = text + 4, *end = strrchr(host, ':'), *port = end ? end + 1 : NULL;
    bool brackets = *host == '[';
    if (brackets && end && end > host && end[-1] == ']') {
        host++;
        end--;
    } else if (brackets || !end || memchr(host, ':', (size_t) (end - host))) {
        return reason_set(ret_reason, -EINVAL,
                          "'%s' is not %.4sHOST:PORT (an IPv6 address goes in brackets: %.4s[::1]:7000)", text, text,
                          text);
    }
    if (end == host)
        return reason_set(ret_reason, -EINVAL, "'%s' lacks the host", text);
    if (!is_port(port))
        return reason_set(ret_reason, -EINVAL, "'%s' needs a port, 1-65535 or the name of a service", text);

    p->host = strndup(host, (size_t) (end - host));
    p->port = strdup(port);
    return p->host && p->port ? 0 : -ENOMEM;
}

static int parse_mark(const struct args *a, struct plan *p, char **ret_reason) {
    const char *dscp = a->option[OPTION_DSCP], *tos = a->option[OPTION_TOS];
    const struct setting *row = setting_find(dscp ? "dscp" : "tos");
    _cleanup_free_ char *reason = NULL;
    union setting_value value;

    p->dscp = -1;
    if (!dscp && !tos)
        return 0;
    if (dscp && tos)
        return reason_set(ret_reason, -EINVAL, "--dscp and --tos are two spellings of one mark: give one");
    int r = setting_parse(row, dscp ? dscp : tos, &value, &reason);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return reason_set(ret_reason, -EINVAL, "--%s: %s", row->name, reason);
    if (value.number >= DSCP_REFLECT)
        return reason_set(ret_reason, -EINVAL, "--%s: nothing was received yet that could be sent back or passed on",
                          row->name);
    p->dscp = (int) value.number;
    return 0;
}

static int parse_count(const char *text, struct plan *p, char **ret_reason) {
    p->count = 1;
    if (!text)
        return 0;
    char *end;
    errno = 0;
    p->count = strtoull(text, &end, 10);
    if (!isdigit((unsigned char) *text) || *end || errno || p->count == 0 || p->count > PLAN_COUNT_MAX)
        return reason_set(ret_reason, -EINVAL, "--count needs a number from 1 to %d", PLAN_COUNT_MAX);
    return 0;
}

static int parse_times(const struct args *a, struct plan *p, char **ret_reason) {
    const char *interval = a->option[OPTION_INTERVAL], *timeout = a->option[OPTION_TIMEOUT];
    int64_t usec = USEC_PER_SEC;

    if (interval && args_duration(interval, &usec) < 0)
        return reason_set(ret_reason, -EINVAL, "--interval needs a time, for example 0.2 or 10ms");
    p->interval_usec = (uint64_t) usec;

    usec = REPLY_TIMEOUT_USEC;
    if (timeout && (args_duration(timeout, &usec) < 0 || usec <= 0))
        return reason_set(ret_reason, -EINVAL, "--timeout needs a time above 0, for example 5 or 500ms");
    p->timeout_usec = (uint64_t) usec;
    return 0;
}

size_t plan_size_max(const struct plan *p) {
    return p->type == SOCK_DGRAM ? PLAN_DATAGRAM_MAX : PLAN_STREAM_MAX;
}

/* A bare number counts bytes here: on a command line nobody means anything else. */
static int parse_size(const char *text, struct plan *p, char **ret_reason) {
    size_t digits = strspn(text, "0123456789");
    _cleanup_free_ char *bytes = NULL;
    int64_t size;

    if (asprintf(&bytes, "%s%s", text, digits > 0 && !text[digits] ? "B" : "") < 0)
        return -ENOMEM;
    if (unit_parse_size(bytes, &size) < 0 || size < 1 || size > (int64_t) plan_size_max(p))
        return reason_set(ret_reason, -EINVAL, "--size needs 1 to %zu bytes here, for example 1400 or 16K",
                          plan_size_max(p));
    p->size = (size_t) size;
    return 0;
}

static int parse_payload(const struct args *a, struct plan *p, char **ret_reason) {
    const char *size = a->option[OPTION_SIZE], *text = a->option[OPTION_TEXT];

    p->size = PLAN_SIZE_DEFAULT;
    p->from_stdin = a->option[OPTION_STDIN] != NULL;
    p->wait_reply = !a->option[OPTION_NO_REPLY];
    if ((size != NULL) + (text != NULL) + p->from_stdin > 1)
        return reason_set(ret_reason, -EINVAL, "give one of --size, --text and --stdin");
    if (size)
        return parse_size(size, p, ret_reason);
    if (!text)
        return 0;
    p->size = strlen(text);
    if (p->size == 0 || p->size > plan_size_max(p))
        return reason_set(ret_reason, -EINVAL, "--text needs 1 to %zu bytes here", plan_size_max(p));
    p->fixed = strdup(text);
    return p->fixed ? 0 : -ENOMEM;
}

int plan_parse(const struct args *a, struct plan *ret, char **ret_reason) {
    struct plan p = { 0 };

    int r = parse_target(a->words[0], &p, ret_reason);
    if (r >= 0)
        r = parse_mark(a, &p, ret_reason);
    if (r >= 0)
        r = parse_count(a->option[OPTION_COUNT], &p, ret_reason);
    if (r >= 0)
        r = parse_times(a, &p, ret_reason);
    if (r >= 0)
        r = parse_payload(a, &p, ret_reason);
    if (r < 0) {
        plan_done(&p);
        return r;
    }
    *ret = p;
    return 0;
}

void plan_done(struct plan *p) {
    free(p->host);
    free(p->port);
    free(p->fixed);
    *p = (struct plan){ 0 };
}

int plan_read(struct plan *p, int fd) {
    size_t limit = plan_size_max(p), used = 0, allocated = 0;
    _cleanup_free_ char *data = NULL;

    for (;;) {
        if (used == allocated) {
            allocated = MIN(MAX(allocated * 2, (size_t) 4096), limit + 1);
            char *more = realloc(data, allocated);
            if (!more)
                return -ENOMEM;
            data = more;
        }
        ssize_t n = read(fd, data + used, allocated - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t) n;
        if (used > limit)
            return -EFBIG;
    }
    if (used == 0)
        return -ENODATA;
    p->fixed = TAKE_PTR(data);
    p->size = used;
    return 0;
}

void plan_payload(const struct plan *p, uint64_t number, char *buf) {
    char head[48];

    if (p->fixed) {
        memcpy(buf, p->fixed, p->size);
        return;
    }
    for (size_t i = 0; i < p->size; i++)
        buf[i] = (char) ('a' + i % 26);
    int n = snprintf(head, sizeof(head), PREFIX "%" PRIu64 " ", number);
    memcpy(buf, head, MIN((size_t) n, p->size));
}

uint64_t plan_number(const struct plan *p, const char *data, size_t size) {
    size_t i = strlen(PREFIX);
    uint64_t number = 0;

    if (p->fixed || size <= i || memcmp(data, PREFIX, i) != 0)
        return 0;
    for (; i < size && isdigit((unsigned char) data[i]) && number < PLAN_COUNT_MAX; i++)
        number = number * 10 + (uint64_t) (data[i] - '0');
    return i < size && data[i] == ' ' ? number : 0;
}
