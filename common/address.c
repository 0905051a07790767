/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

#include "unit.h"

static int parse_port(const char *text, in_port_t *ret) {
    int64_t v;

    if (unit_parse_decimal(text, &v) < 0 || v > UINT16_MAX)
        return -EINVAL;
    *ret = htons((uint16_t) v);
    return 0;
}

static int parse_scope(const char *text, uint32_t *ret) {
    int64_t v;

    *ret = if_nametoindex(text);
    if (*ret > 0)
        return 0;
    if (unit_parse_decimal(text, &v) < 0 || v == 0 || v > UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t) v;
    return 0;
}

static int parse_in6(char *host, in_port_t port, struct address *ret) {
    struct address a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = port }, .size = sizeof(a.in6) };
    char *scope = strchr(host, '%');

    if (scope) {
        *scope++ = '\0';
        if (parse_scope(scope, &a.in6.sin6_scope_id) < 0)
            return -EINVAL;
    }
    if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) != 1)
        return -EINVAL;
    /* The kernel ignores a scope elsewhere; so it is a slip. */
    if (scope && !IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr) && !IN6_IS_ADDR_MC_LINKLOCAL(&a.in6.sin6_addr))
        return -EINVAL;

    *ret = a;
    return 0;
}

static int parse_in(const char *host, in_port_t port, struct address *ret) {
    struct address a = { .in = { .sin_family = AF_INET, .sin_port = port }, .size = sizeof(a.in) };

    if (inet_pton(AF_INET, host, &a.in.sin_addr) != 1)
        return -EINVAL;
    *ret = a;
    return 0;
}

int address_parse(const char *text, struct address *ret) {
    char host[ADDRESS_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    in_port_t port;

    if (!colon || colon == text || (size_t) (colon - text) >= sizeof(host) || parse_port(colon + 1, &port) < 0)
        return -EINVAL;
    size_t n = (size_t) (colon - text);
    memcpy(host, text, n);
    host[n] = '\0';

    if (host[0] != '[')
        return parse_in(host, port, ret);
    if (host[n - 1] != ']')
        return -EINVAL;
    host[n - 1] = '\0';
    return parse_in6(host + 1, port, ret);
}

int address_parse_host(const char *text, struct address *ret) {
    char host[ADDRESS_TEXT_MAX];

    if (strlen(text) >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, strlen(text) + 1);
    return strchr(text, ':') ? parse_in6(host, 0, ret) : parse_in(host, 0, ret);
}

bool address_is_v4_mapped(const struct address *a) {
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
}

static bool prints_as_in6(const struct address *a) {
    return a->sa.sa_family == AF_INET6 && !address_is_v4_mapped(a);
}

const char *address_format_host(const struct address *a, char buf[static ADDRESS_TEXT_MAX]) {
    if (!prints_as_in6(a)) {
        const void *in = a->sa.sa_family == AF_INET ? (const void *) &a->in.sin_addr : &a->in6.sin6_addr.s6_addr[12];
        return inet_ntop(AF_INET, in, buf, ADDRESS_TEXT_MAX);
    }

    inet_ntop(AF_INET6, &a->in6.sin6_addr, buf, ADDRESS_TEXT_MAX);
    if (a->in6.sin6_scope_id > 0) {
        char scope[IF_NAMESIZE];
        if (!if_indextoname(a->in6.sin6_scope_id, scope))
            snprintf(scope, sizeof(scope), "%u", a->in6.sin6_scope_id);
        size_t n = strlen(buf);
        snprintf(buf + n, ADDRESS_TEXT_MAX - n, "%%%s", scope);
    }
    return buf;
}

const char *address_format(const struct address *a, char buf[static ADDRESS_TEXT_MAX]) {
    char host[ADDRESS_TEXT_MAX];
    /* sin_port and sin6_port lie at the same place. */
    unsigned port = ntohs(a->in.sin_port);

    /* The longest host is INET6_ADDRSTRLEN + 1 + IF_NAMESIZE = 63 bytes. */
    snprintf(buf, ADDRESS_TEXT_MAX, prints_as_in6(a) ? "[%.64s]:%u" : "%.64s:%u", address_format_host(a, host), port);
    return buf;
}

int address_from_sockaddr(const struct sockaddr *sa, socklen_t size, struct address *ret) {
    struct address a = {};

    if (size < sizeof(sa->sa_family))
        return -EINVAL;
    switch (sa->sa_family) {
    case AF_INET:
        a.size = sizeof(a.in);
        break;
    case AF_INET6:
        a.size = sizeof(a.in6);
        break;
    default:
        return -EAFNOSUPPORT;
    }
    if (size < a.size)
        return -EINVAL;

    memcpy(&a.in6, sa, a.size);
    *ret = a;
    return 0;
}

void address_key(const struct address *a, uint8_t ret_key[static 16]) {
    static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

    if (a->sa.sa_family == AF_INET6) {
        memcpy(ret_key, &a->in6.sin6_addr, 16);
        return;
    }
    memcpy(ret_key, v4_mapped, sizeof(v4_mapped));
    memcpy(ret_key + 12, &a->in.sin_addr, 4);
}

int address_parse_endpoint(const char *text, int *ret_type, struct address *ret) {
    static const struct {
        const char *prefix;
        int type;
    } protocols[] = { { "tcp:", SOCK_STREAM }, { "udp:", SOCK_DGRAM } };

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        size_t n = strlen(protocols[i].prefix);
        if (strncmp(text, protocols[i].prefix, n) != 0)
            continue;
        int r = address_parse(text + n, ret);
        if (r == 0)
            *ret_type = protocols[i].type;
        return r;
    }
    return -EINVAL;
}
