/* SPDX-License-Identifier: MIT */
/*
 * The control messages of a datagram: the address and mark that came with it, and those that its reply shall leave with.
 * ip(7), ipv6(7), socket(7). Pure functions.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

union datagram_control {
    size_t align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
                  4 * CMSG_SPACE(sizeof(int)) +
                  CMSG_SPACE(sizeof(struct timespec))]; /* Timestamping= of a socket unit */
};

struct datagram_meta {
    bool has_tos, has_drops;
    uint8_t tos;
    uint32_t drops;        /* SO_RXQ_OVFL: dropped at this socket so far */
    uint32_t segment_size; /* UDP_GRO: datagrams of this size lie back to back, the last may be shorter; 0: it is one */
    int info_family;       /* AF_INET, AF_INET6, or 0: no packet information */
    union {
        struct in_pktinfo info4;
        struct in6_pktinfo info6;
    };
};

void datagram_control_read(struct msghdr *msg, struct datagram_meta *ret);
/* Writes what the reply to msg->msg_name needs into *control and points `msg` at it: the source address, and with `reflect` the
 * mark. Replies that leave alike get the same bytes. */
void datagram_control_write(struct msghdr *msg, union datagram_control *control, const struct datagram_meta *meta,
                            bool reflect);
/* Adds to what datagram_control_write() wrote, or a copy of it: `msg` leaves as datagrams of this size (UDP_SEGMENT). */
void datagram_control_add_segment(struct msghdr *msg, union datagram_control *control, uint16_t size);
