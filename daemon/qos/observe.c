/* SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "handler.h"
#include "option.h"
#include "qos.h"

/* What is bound to one address answers from there; only others must be told whom a client spoke to. */
static bool has_one_address(const struct qos_socket *s) {
    struct sockaddr_in6 sa = { 0 };
    const struct sockaddr_in *in = (const struct sockaddr_in *) &sa;
    socklen_t size = sizeof(sa);

    if (getsockname(s->fd, (struct sockaddr *) &sa, &size) < 0)
        return false;
    if (s->domain == AF_INET)
        return in->sin_addr.s_addr != htonl(INADDR_ANY) && in->sin_addr.s_addr != htonl(INADDR_BROADCAST) &&
               !IN_MULTICAST(ntohl(in->sin_addr.s_addr));
    return !IN6_IS_ADDR_UNSPECIFIED(&sa.sin6_addr) && !IN6_IS_ADDR_MULTICAST(&sa.sin6_addr);
}

enum { FOR_INET6 = 1 << 0, FOR_DATAGRAM = 1 << 1, FOR_MANY_ADDRESSES = 1 << 2 };

int qos_observe_arm(const struct qos_socket *s) {
    static const struct {
        int level, optname;
        unsigned needs; /* FOR_* */
    } rows[] = {
        { SOL_IP, IP_RECVTOS, 0 },
        { SOL_IPV6, IPV6_RECVTCLASS, FOR_INET6 },
        { SOL_IP, IP_PKTINFO, FOR_DATAGRAM | FOR_MANY_ADDRESSES },
        { SOL_IPV6, IPV6_RECVPKTINFO, FOR_INET6 | FOR_DATAGRAM | FOR_MANY_ADDRESSES },
        { SOL_SOCKET, SO_RXQ_OVFL, FOR_DATAGRAM },
    };
    unsigned is = (s->domain == AF_INET6 ? FOR_INET6 : 0) | (s->type == SOCK_DGRAM ? FOR_DATAGRAM : 0) |
                  (has_one_address(s) ? 0 : FOR_MANY_ADDRESSES);
    int on = 1;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if ((rows[i].needs & is) != rows[i].needs)
            continue;
        if (setsockopt(s->fd, rows[i].level, rows[i].optname, &on, sizeof(on)) < 0)
            return -errno;
    }
    return 0;
}

void qos_serve_datagrams(const struct qos_socket *s, bool on) {
    static const enum qos_option options[] = { QOS_OPTION_GRO, QOS_OPTION_RECVERR, QOS_OPTION_RECVERR6 };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        (void) !option_set(s, options[i], on);
}

enum qos_mark_label qos_received_tos(const struct qos_socket *s, uint8_t *ret_tos) {
    bool v6 = s->domain == AF_INET6 && !s->v4_mapped;
    int level = v6 ? SOL_IPV6 : SOL_IP, kind = v6 ? IPV6_TCLASS : IP_TOS, tos;
    _Alignas(struct cmsghdr) char control[256];
    socklen_t size = sizeof(control);
    struct msghdr msg = { .msg_control = control };

    if (s->type != SOCK_STREAM || s->listening)
        return QOS_MARK_NONE;
    if (getsockopt(s->fd, level, v6 ? IPV6_2292PKTOPTIONS : IP_PKTOPTIONS, control, &size) < 0)
        return QOS_MARK_NONE;
    msg.msg_controllen = size;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == level && c->cmsg_type == kind && c->cmsg_len >= CMSG_LEN(sizeof(tos))) {
            memcpy(&tos, CMSG_DATA(c), sizeof(tos));
            *ret_tos = (uint8_t) tos;
            return v6 ? QOS_MARK_LATEST : QOS_MARK_HANDSHAKE;
        }
    return QOS_MARK_NONE;
}

const char *qos_mark_label_name(enum qos_mark_label label) {
    static const char *const names[] = { [QOS_MARK_HANDSHAKE] = "handshake", [QOS_MARK_LATEST] = "latest" };

    return (size_t) label < ARRAY_SIZE(names) ? names[label] : NULL;
}

int qos_set_tos(const struct qos_socket *s, uint8_t tos, const struct settings *set, const struct qos_baseline *base) {
    int r = option_set(s, QOS_OPTION_TOS, tos);

    if (r >= 0 && option_fits(s, QOS_OPTION_TCLASS))
        r = option_set(s, QOS_OPTION_TCLASS, tos);
    return r < 0 ? r : handler_apply(s, handler_by_id(SETTING_PRIORITY), set, base);
}

void qos_rearm_quickack(int fd, bool on) {
    int value = on;

    setsockopt(fd, SOL_TCP, TCP_QUICKACK, &value, sizeof(value));
}
