/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "unit.h"

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };
static const char v1_prefix[] = "PROXY ";

#define V1_SIZE_MAX 107 /* the line with its end */
#define V2_HEADER_SIZE 16
#define V2_VERSION 0x20
#define V2_LOCAL 0
#define V2_PROXY 1
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define V2_TCP4_SIZE 12
#define V2_TCP6_SIZE 36

static bool is_v4(const struct address *a) {
    return a->sa.sa_family == AF_INET || address_is_v4_mapped(a);
}

static const void *host_of(const struct address *a, bool v4) {
    if (a->sa.sa_family == AF_INET)
        return &a->in.sin_addr;
    return v4 ? &a->in6.sin6_addr.s6_addr[12] : (const void *) &a->in6.sin6_addr;
}

/* The port of both families lies at the same place. */
static uint16_t port_of(const struct address *a) {
    return ntohs(a->in.sin_port);
}

static const char *format_host(const struct address *a, bool v4, char buf[static INET6_ADDRSTRLEN]) {
    uint8_t key[16];

    if (v4)
        return inet_ntop(AF_INET, host_of(a, true), buf, INET6_ADDRSTRLEN);
    address_key(a, key);
    return inet_ntop(AF_INET6, key, buf, INET6_ADDRSTRLEN);
}

size_t proxy_write_v1(uint8_t buf[static PROXY_HEADER_MAX], const struct address *from, const struct address *to) {
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    bool v4 = is_v4(from) && is_v4(to);

    return (size_t) snprintf((char *) buf, PROXY_HEADER_MAX, "PROXY TCP%c %s %s %u %u\r\n", v4 ? '4' : '6',
                             format_host(from, v4, source), format_host(to, v4, destination), port_of(from),
                             port_of(to));
}

static uint8_t *put_u16(uint8_t *p, uint16_t v) {
    *p++ = (uint8_t) (v >> 8);
    *p++ = (uint8_t) v;
    return p;
}

static uint8_t *put_host(uint8_t *p, const struct address *a, bool v4) {
    uint8_t key[16];

    address_key(a, key);
    memcpy(p, v4 ? key + 12 : key, v4 ? 4 : 16);
    return p + (v4 ? 4 : 16);
}

size_t proxy_write_v2(uint8_t buf[static PROXY_HEADER_MAX], const struct address *from, const struct address *to) {
    bool v4 = is_v4(from) && is_v4(to);
    uint8_t *p = buf + sizeof(signature);

    memcpy(buf, signature, sizeof(signature));
    *p++ = V2_VERSION | V2_PROXY;
    *p++ = v4 ? V2_TCP4 : V2_TCP6;
    p = put_u16(p, v4 ? V2_TCP4_SIZE : V2_TCP6_SIZE);
    p = put_host(p, from, v4);
    p = put_host(p, to, v4);
    p = put_u16(p, port_of(from));
    p = put_u16(p, port_of(to));
    return (size_t) (p - buf);
}

/* ---- reading ---- */

static int parse_address(const char *host, const char *port, int family, struct address *ret) {
    struct address a;
    int64_t n;

    if (address_parse_host(host, &a) < 0 || a.sa.sa_family != family || strchr(host, '%'))
        return -EBADMSG;
    if (unit_parse_decimal(port, &n) < 0 || n > UINT16_MAX)
        return -EBADMSG;
    a.in.sin_port = htons((uint16_t) n);
    *ret = a;
    return 0;
}

/* "PROXY TCP4 from to from-port to-port", without the line's end. */
static int parse_line(char *line, bool *ret_known, struct address *ret_from, struct address *ret_to) {
    char *words[6], *rest = line;
    size_t n = 0;
    int family;

    for (char *word; n < ARRAY_SIZE(words) && (word = strsep(&rest, " "));)
        words[n++] = word;
    *ret_known = false;
    if (n >= 2 && streq(words[1], "UNKNOWN"))
        return 0;
    if (n != ARRAY_SIZE(words) || rest)
        return -EBADMSG;
    family = streq(words[1], "TCP4") ? AF_INET : streq(words[1], "TCP6") ? AF_INET6 : AF_UNSPEC;
    if (family == AF_UNSPEC || parse_address(words[2], words[4], family, ret_from) < 0 ||
        parse_address(words[3], words[5], family, ret_to) < 0)
        return -EBADMSG;
    *ret_known = true;
    return 0;
}

static int read_v1(const uint8_t *data, size_t size, bool *ret_known, struct address *ret_from,
                   struct address *ret_to) {
    const uint8_t *end = memchr(data, '\n', MIN(size, (size_t) V1_SIZE_MAX));
    char line[V1_SIZE_MAX + 1];
    size_t n;
    int r;

    if (!end)
        return size < V1_SIZE_MAX ? -EAGAIN : -EBADMSG;
    n = (size_t) (end - data);
    if (n == 0 || data[n - 1] != '\r' || memchr(data, '\0', n))
        return -EBADMSG;
    memcpy(line, data, n - 1);
    line[n - 1] = '\0';
    r = parse_line(line, ret_known, ret_from, ret_to);
    return r < 0 ? r : (int) n + 1;
}

static void take_address(const uint8_t *host, const uint8_t *port, bool v4, struct address *ret) {
    *ret = (struct address){ 0 };
    if (v4) {
        ret->in.sin_family = AF_INET;
        memcpy(&ret->in.sin_addr, host, 4);
        ret->size = sizeof(ret->in);
    } else {
        ret->in6.sin6_family = AF_INET6;
        memcpy(&ret->in6.sin6_addr, host, 16);
        ret->size = sizeof(ret->in6);
    }
    memcpy(&ret->in.sin_port, port, 2);
}

static int read_v2(const uint8_t *data, size_t size, bool *ret_known, struct address *ret_from,
                   struct address *ret_to) {
    const uint8_t *body = data + V2_HEADER_SIZE;
    size_t length, host;
    bool v4;

    *ret_known = false;
    if (size < V2_HEADER_SIZE)
        return -EAGAIN;
    length = (size_t) data[14] << 8 | data[15];
    if ((data[12] & 0xf0) != V2_VERSION || (data[12] & 0x0f) > V2_PROXY || V2_HEADER_SIZE + length > PROXY_READ_MAX)
        return -EBADMSG;
    if (size < V2_HEADER_SIZE + length)
        return -EAGAIN;
    v4 = data[13] == V2_TCP4;
    if ((data[12] & 0x0f) == V2_LOCAL || (!v4 && data[13] != V2_TCP6))
        return (int) (V2_HEADER_SIZE + length);
    if (length < (v4 ? V2_TCP4_SIZE : V2_TCP6_SIZE))
        return -EBADMSG;
    host = v4 ? 4 : 16;
    take_address(body, body + 2 * host, v4, ret_from);
    take_address(body + host, body + 2 * host + 2, v4, ret_to);
    *ret_known = true;
    return (int) (V2_HEADER_SIZE + length);
}

int proxy_read(const uint8_t *data, size_t size, bool *ret_known, struct address *ret_from, struct address *ret_to) {
    size_t v1 = MIN(size, sizeof(v1_prefix) - 1), v2 = MIN(size, sizeof(signature));

    if (memcmp(data, v1_prefix, v1) == 0)
        return v1 < sizeof(v1_prefix) - 1 ? -EAGAIN : read_v1(data, size, ret_known, ret_from, ret_to);
    if (memcmp(data, signature, v2) == 0)
        return v2 < sizeof(signature) ? -EAGAIN : read_v2(data, size, ret_known, ret_from, ret_to);
    return -EBADMSG;
}
