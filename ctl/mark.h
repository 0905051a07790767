/* SPDX-License-Identifier: MIT */
/*
 * Marks of a client's socket: set before the first packet, read from what comes back. ip(7), ipv6(7), RFC 2474, RFC
 * 3168.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "macro.h"

#define MARK_TEXT_MAX 48

/* What a reading is worth. */
enum mark_label {
    MARK_UNKNOWN,
    MARK_PACKET, /* of this very datagram */
    MARK_LATEST, /* of the latest segment of the connection */
    MARK_LABEL_MAX,
};

struct mark {
    enum mark_label label;
    uint8_t tos; /* the byte, ECN included; 0 when unknown */
};

/* Marks everything that the socket will send: IPv4, IPv6 and, on an IPv6 socket, IPv4 inside it. Negative errno. */
int mark_set(int fd, int family, uint8_t tos) _must_check_;
/* Asks the kernel to keep the marks of what arrives. Negative errno. */
int mark_observe(int fd, int family) _must_check_;

/* From the control messages of a recvmsg(2) on a UDP socket. */
struct mark mark_of_message(struct msghdr *message);
/* Of a connected TCP socket. `ipv4`: also as v4-mapped; the connecting side is not told, always unknown. */
struct mark mark_of_stream(int fd, bool ipv4);

/* "EF", "EF ce" (an ECN mark, when there is one), "unknown"; a TCP reading says which it is: "EF (latest)". Returns
 * `buf`. */
const char *mark_format(const struct mark *m, char buf[static MARK_TEXT_MAX]);
/* "packet", "latest"; NULL for unknown. */
const char *mark_label_name(enum mark_label label);
/* "not_ect", "ect1", "ect0", "ce", as the daemon's counters say it. */
const char *mark_ecn_name(uint8_t tos);
