/* SPDX-License-Identifier: MIT */
#include "mark.h"

#include <netinet/in.h>
#include <stdalign.h>
#include <stdio.h>

#include "dscp.h"

static int set_int(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int mark_set(int fd, int family, uint8_t tos) {
    int r = set_int(fd, IPPROTO_IP, IP_TOS, tos);
    if (r >= 0 && family == AF_INET6)
        r = set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tos);
    return r;
}

int mark_observe(int fd, int family) {
    int r = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (r >= 0 && family == AF_INET6)
        r = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    return r;
}

/* IPv4 gives one byte with a datagram, IPv6 an int. */
static bool read_control(const struct cmsghdr *c, uint8_t *ret_tos) {
    bool known = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
                 (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS);
    int value = 0;

    if (!known || c->cmsg_len <= CMSG_LEN(0))
        return false;
    if (c->cmsg_len < CMSG_LEN(sizeof(value))) {
        *ret_tos = *CMSG_DATA(c);
        return true;
    }
    memcpy(&value, CMSG_DATA(c), sizeof(value));
    *ret_tos = (uint8_t) value;
    return true;
}

struct mark mark_of_message(struct msghdr *message) {
    struct mark m = { MARK_UNKNOWN, 0 };

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (read_control(c, &m.tos))
            m.label = MARK_PACKET;
    return m;
}

struct mark mark_of_stream(int fd, bool ipv4) {
    struct mark m = { MARK_UNKNOWN, 0 };
    alignas(struct cmsghdr) char buf[512];
    socklen_t size = sizeof(buf);

    if (ipv4 || getsockopt(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, buf, &size) < 0)
        return m;
    struct msghdr message = { .msg_control = buf, .msg_controllen = size };
    m = mark_of_message(&message);
    if (m.label != MARK_UNKNOWN)
        m.label = MARK_LATEST;
    return m;
}

const char *mark_label_name(enum mark_label label) {
    static const char *const names[MARK_LABEL_MAX] = { [MARK_PACKET] = "packet", [MARK_LATEST] = "latest" };
    return names[label];
}

const char *mark_ecn_name(uint8_t tos) {
    static const char *const names[] = { "not_ect", "ect1", "ect0", "ce" };
    return names[ecn_from_tos(tos)];
}

const char *mark_format(const struct mark *m, char buf[static MARK_TEXT_MAX]) {
    char dscp[DSCP_TEXT_MAX];
    bool ecn = ecn_from_tos(m->tos) != 0;

    if (m->label == MARK_UNKNOWN)
        snprintf(buf, MARK_TEXT_MAX, "unknown");
    else
        snprintf(buf, MARK_TEXT_MAX, "%s%s%s%s", dscp_format(dscp_from_tos(m->tos), dscp), ecn ? " " : "",
                 ecn ? mark_ecn_name(m->tos) : "", m->label == MARK_LATEST ? " (latest)" : "");
    return buf;
}
