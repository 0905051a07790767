/* SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "handler.h"
#include "option.h"
#include "qos.h"

int qos_observe_arm(const struct qos_socket *s) {
    static const struct {
        int level, optname;
        bool inet6, datagram;
    } rows[] = {
        { SOL_IP, IP_RECVTOS, false, false },     { SOL_IPV6, IPV6_RECVTCLASS, true, false },
        { SOL_IP, IP_PKTINFO, false, true },      { SOL_IPV6, IPV6_RECVPKTINFO, true, true },
        { SOL_SOCKET, SO_RXQ_OVFL, false, true },
    };
    int on = 1;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if ((rows[i].inet6 && s->domain != AF_INET6) || (rows[i].datagram && s->type != SOCK_DGRAM))
            continue;
        if (setsockopt(s->fd, rows[i].level, rows[i].optname, &on, sizeof(on)) < 0)
            return -errno;
    }
    return 0;
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
