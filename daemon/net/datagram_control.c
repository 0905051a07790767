/* SPDX-License-Identifier: MIT */
#include "datagram_control.h"

#include <netinet/ip.h>
#include <netinet/udp.h>

#include "macro.h"

static void read_one(const struct cmsghdr *c, struct datagram_meta *m) {
    int value;

    if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) { /* one byte, unlike its IPv6 sibling */
        m->tos = *CMSG_DATA(c);
        m->has_tos = true;
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        memcpy(&value, CMSG_DATA(c), sizeof(value));
        m->tos = (uint8_t) value;
        m->has_tos = true;
    } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
        /* On an IPv6 socket beside its sibling, which for a broadcast names no address to answer from. */
        memcpy(&m->info4, CMSG_DATA(c), sizeof(m->info4));
        m->info_family = AF_INET;
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO && m->info_family == 0) {
        memcpy(&m->info6, CMSG_DATA(c), sizeof(m->info6));
        m->info_family = AF_INET6;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
        memcpy(&m->drops, CMSG_DATA(c), sizeof(m->drops));
        m->has_drops = true;
    } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
        memcpy(&value, CMSG_DATA(c), sizeof(value));
        m->segment_size = (uint32_t) MAX(value, 0);
    }
}

void datagram_control_read(struct msghdr *msg, struct datagram_meta *ret) {
    *ret = (struct datagram_meta){ 0 };
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        read_one(c, ret);
}

static void put(struct msghdr *msg, union datagram_control *control, int level, int type, const void *data,
                size_t size) {
    struct cmsghdr *c = (struct cmsghdr *) (control->bytes + msg->msg_controllen);

    memset(c, 0, CMSG_SPACE(size));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    msg->msg_control = control;
    msg->msg_controllen += CMSG_SPACE(size);
}

static void put_source(struct msghdr *msg, union datagram_control *control, const struct datagram_meta *meta) {
    if (meta->info_family == AF_INET) {
        /* spec_dst is the address to answer from, also where the datagram came by broadcast or multicast. */
        const struct in_pktinfo info = { .ipi_spec_dst = meta->info4.ipi_spec_dst };

        put(msg, control, SOL_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (meta->info_family == AF_INET6 && !IN6_IS_ADDR_MULTICAST(&meta->info6.ipi6_addr)) {
        struct in6_pktinfo info = { .ipi6_addr = meta->info6.ipi6_addr };

        if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
            info.ipi6_ifindex = meta->info6.ipi6_ifindex;
        put(msg, control, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

void datagram_control_write(struct msghdr *msg, union datagram_control *control, const struct datagram_meta *meta,
                            bool reflect) {
    const struct sockaddr *to = msg->msg_name;
    const struct sockaddr_in6 *to6 = msg->msg_name;
    int tos = meta->tos & 0xfc;

    msg->msg_control = NULL;
    msg->msg_controllen = 0;
    put_source(msg, control, meta);
    if (!reflect || !meta->has_tos)
        return;
    if (to->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&to6->sin6_addr))
        put(msg, control, SOL_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
    else
        put(msg, control, SOL_IP, IP_TOS, &tos, sizeof(tos));
}

void datagram_control_add_segment(struct msghdr *msg, union datagram_control *control, uint16_t size) {
    put(msg, control, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
}
