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

union datagram_control {
    size_t align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
                  3 * CMSG_SPACE(sizeof(int))];
};

struct datagram_meta {
    bool has_tos, has_drops;
    uint8_t tos;
    uint32_t drops;  /* SO_RXQ_OVFL: dropped at this socket so far */
    int info_family; /* AF_INET, AF_INET6, or 0: no packet information */
    union {
        struct in_pktinfo info4;
        struct in6_pktinfo info6;
    };
};

void datagram_control_read(struct msghdr *msg, struct datagram_meta *ret);
/* Writes what the reply needs into *control and points `msg` at it: the source address, and with `reflect` the mark. */
void datagram_control_write(struct msghdr *msg, union datagram_control *control, const struct datagram_meta *meta,
                            bool reflect);
