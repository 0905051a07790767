/* SPDX-License-Identifier: MIT */
#include "option.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

enum {
    FOR_INET = 1 << 0,
    FOR_INET6 = 1 << 1,
    FOR_STREAM = 1 << 2,
    FOR_DATAGRAM = 1 << 3,

    FOR_ANY = FOR_INET | FOR_INET6 | FOR_STREAM | FOR_DATAGRAM,
    FOR_V6 = FOR_INET6 | FOR_STREAM | FOR_DATAGRAM,
    FOR_TCP = FOR_INET | FOR_INET6 | FOR_STREAM,
    FOR_UDP = FOR_INET | FOR_INET6 | FOR_DATAGRAM,
    FOR_UDP6 = FOR_INET6 | FOR_DATAGRAM,
};

struct option {
    const char *name;
    int level, optname;
    int force;      /* the variant that ignores the cap, 0: none */
    unsigned where; /* FOR_* */
    bool wide;      /* 64 bits */
    bool doubled;   /* reads back twice what is set */
    bool mark;      /* carries ECN in its low bits */
};

/* AF_INET6 sockets have the IPv4 options too: they may carry IPv4. */
static const struct option options[QOS_OPTION_MAX] = {
    [QOS_OPTION_TOS] = { "tos", SOL_IP, IP_TOS, .where = FOR_ANY, .mark = true },
    [QOS_OPTION_TCLASS] = { "tclass", SOL_IPV6, IPV6_TCLASS, .where = FOR_V6, .mark = true },
    [QOS_OPTION_PRIORITY] = { "priority", SOL_SOCKET, SO_PRIORITY, .where = FOR_ANY },
    [QOS_OPTION_MARK] = { "mark", SOL_SOCKET, SO_MARK, .where = FOR_ANY },
    [QOS_OPTION_TTL] = { "ttl", SOL_IP, IP_TTL, .where = FOR_ANY },
    [QOS_OPTION_HOPS] = { "hops", SOL_IPV6, IPV6_UNICAST_HOPS, .where = FOR_V6 },
    [QOS_OPTION_RCVBUF] = { "rcvbuf", SOL_SOCKET, SO_RCVBUF, SO_RCVBUFFORCE, .where = FOR_ANY, .doubled = true },
    [QOS_OPTION_SNDBUF] = { "sndbuf", SOL_SOCKET, SO_SNDBUF, SO_SNDBUFFORCE, .where = FOR_ANY, .doubled = true },
    [QOS_OPTION_BUF_LOCK] = { "buf_lock", SOL_SOCKET, SO_BUF_LOCK, .where = FOR_ANY },
    [QOS_OPTION_NODELAY] = { "nodelay", SOL_TCP, TCP_NODELAY, .where = FOR_TCP },
    [QOS_OPTION_KEEPALIVE] = { "keepalive", SOL_SOCKET, SO_KEEPALIVE, .where = FOR_TCP },
    [QOS_OPTION_KEEPIDLE] = { "keepidle", SOL_TCP, TCP_KEEPIDLE, .where = FOR_TCP },
    [QOS_OPTION_KEEPINTVL] = { "keepintvl", SOL_TCP, TCP_KEEPINTVL, .where = FOR_TCP },
    [QOS_OPTION_KEEPCNT] = { "keepcnt", SOL_TCP, TCP_KEEPCNT, .where = FOR_TCP },
    [QOS_OPTION_USER_TIMEOUT] = { "user_timeout", SOL_TCP, TCP_USER_TIMEOUT, .where = FOR_TCP },
    [QOS_OPTION_NOTSENT_LOWAT] = { "notsent_lowat", SOL_TCP, TCP_NOTSENT_LOWAT, .where = FOR_TCP },
    [QOS_OPTION_BUSY_POLL] = { "busy_poll", SOL_SOCKET, SO_BUSY_POLL, .where = FOR_ANY },
    [QOS_OPTION_DEFER_ACCEPT] = { "defer_accept", SOL_TCP, TCP_DEFER_ACCEPT, .where = FOR_TCP },
    [QOS_OPTION_PACING_RATE] = { "pacing_rate", SOL_SOCKET, SO_MAX_PACING_RATE, .where = FOR_ANY, .wide = true },
    [QOS_OPTION_GRO] = { "gro", SOL_UDP, UDP_GRO, .where = FOR_UDP },
    [QOS_OPTION_RECVERR] = { "recverr", SOL_IP, IP_RECVERR, .where = FOR_UDP },
    [QOS_OPTION_RECVERR6] = { "recverr6", SOL_IPV6, IPV6_RECVERR, .where = FOR_UDP6 },
};

const char *option_name(enum qos_option o) {
    return options[o].name;
}

bool option_in_range(enum qos_option o, uint64_t value) {
    return options[o].wide || value <= UINT32_MAX;
}

bool option_fits(const struct qos_socket *s, enum qos_option o) {
    unsigned kind =
            (s->domain == AF_INET6 ? FOR_INET6 : FOR_INET) | (s->type == SOCK_STREAM ? FOR_STREAM : FOR_DATAGRAM);

    return (options[o].where & kind) == kind;
}

int option_get(const struct qos_socket *s, enum qos_option o, uint64_t *ret) {
    const struct option *row = &options[o];
    uint64_t wide = 0;
    uint32_t narrow = 0;
    socklen_t size = row->wide ? sizeof(wide) : sizeof(narrow);

    if (!option_fits(s, o))
        return -EOPNOTSUPP;
    if (getsockopt(s->fd, row->level, row->optname, row->wide ? (void *) &wide : &narrow, &size) < 0)
        return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
    *ret = row->wide ? wide : narrow;
    return 0;
}

static int set_raw(int fd, int level, int optname, bool wide, uint64_t value) {
    uint32_t narrow = (uint32_t) value;

    if (setsockopt(fd, level, optname, wide ? (void *) &value : &narrow, wide ? sizeof(value) : sizeof(narrow)) < 0)
        return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
    return 0;
}

int option_set(const struct qos_socket *s, enum qos_option o, uint64_t value) {
    const struct option *row = &options[o];
    uint64_t asked = row->doubled ? value / 2 : value, now = 0;
    int r;

    if (!option_fits(s, o))
        return -EOPNOTSUPP;
    if (row->force) {
        r = set_raw(s->fd, row->level, row->force, false, asked);
        if (r != -EPERM)
            return r;
    }
    r = set_raw(s->fd, row->level, row->optname, row->wide, asked);
    if (r == -EPERM && option_get(s, o, &now) == 0 && now == value)
        return 0;
    return r;
}

bool option_equal(const struct qos_socket *s, enum qos_option o, uint64_t a, uint64_t b) {
    if (options[o].mark && s->type == SOCK_STREAM)
        return (a & ~UINT64_C(3)) == (b & ~UINT64_C(3));
    return a == b;
}

int option_get_congestion(const struct qos_socket *s, char ret[static 16]) {
    char name[16] = "";
    socklen_t size = sizeof(name);

    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (getsockopt(s->fd, SOL_TCP, TCP_CONGESTION, name, &size) < 0)
        return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
    name[sizeof(name) - 1] = 0;
    memcpy(ret, name, sizeof(name));
    return 0;
}

int option_set_congestion(const struct qos_socket *s, const char *name) {
    if (s->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (setsockopt(s->fd, SOL_TCP, TCP_CONGESTION, name, (socklen_t) strlen(name)) < 0)
        return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
    return 0;
}

int option_scratch(const struct qos_socket *s) {
    int fd = socket(s->domain, s->type | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

int qos_socket_init(struct qos_socket *ret, int fd) {
    struct qos_socket s = { .fd = fd };
    struct sockaddr_in6 peer = { 0 };
    socklen_t size = sizeof(int);
    int listening, protocol;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &s.domain, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &s.type, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
        return -errno;
    if (s.domain != AF_INET && s.domain != AF_INET6)
        return -EAFNOSUPPORT;
    /* Not MPTCP, SCTP or UDP-Lite: they lack what we set and read. */
    if (protocol != (s.type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
        return -ESOCKTNOSUPPORT;
    s.listening = listening;
    size = sizeof(peer);
    if (s.domain == AF_INET6 && s.type == SOCK_STREAM && getpeername(fd, (struct sockaddr *) &peer, &size) == 0)
        s.v4_mapped = IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr);
    *ret = s;
    return 0;
}
