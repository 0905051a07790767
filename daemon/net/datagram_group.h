/* SPDX-License-Identifier: MIT */
/*
 * Which replies leave together. Those of one route (destination, source address, mark) and size make a group, which one
 * UDP_SEGMENT send carries (udp(7)); its last reply may be shorter. Groups in their order hold the replies to each
 * destination in the order in which they were added, whatever the routes. Pure functions; spans stay the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "datagram_control.h"

#define DATAGRAM_ROUTES 32        /* as many as messages are received at once */
#define DATAGRAM_REPLIES 1024     /* replies that may wait to leave together */
#define DATAGRAM_SEGMENTS 64      /* replies of one group: UDP_MAX_SEGMENTS of older kernels */
#define DATAGRAM_GROUP_MAX 65507U /* bytes of one group: the payload of the largest IPv4 packet */

struct datagram_route {
    struct address peer;
    uint32_t hash;
    uint8_t destination; /* the first route that has the same peer */
    size_t control_size;
    union datagram_control control; /* source address and mark */
};

struct datagram_routes {
    unsigned n;
    struct datagram_route items[DATAGRAM_ROUTES + 1]; /* one more, to compare with */
};

/* The route that answers what came from `peer` with `meta`, added if there is none (then there must be room for it). */
unsigned datagram_routes_find(struct datagram_routes *routes, const struct address *peer,
                              const struct datagram_meta *meta, bool reflect);

struct datagram_reply {
    const void *data;
    uint32_t size;
    uint16_t next; /* of the group; of its last one: undefined */
};

struct datagram_group {
    uint8_t route;
    uint16_t n, first, last; /* replies */
    uint32_t bytes;
};

/* Zero-initialised: empty. */
struct datagram_groups {
    unsigned n, n_replies;
    struct datagram_group items[DATAGRAM_REPLIES];
    struct datagram_reply replies[DATAGRAM_REPLIES];
    uint16_t newest[DATAGRAM_ROUTES]; /* by destination: its newest group + 1; 0: none */
};

/* Adds a reply to a message; replies that lie back to back, as those of echo do, share an iovec. There must be room. */
void datagram_add_span(struct msghdr *msg, const struct datagram_reply *reply);

void datagram_groups_clear(struct datagram_groups *groups);
/* Adds a reply behind those that are there. There must be room for it. */
void datagram_groups_add(struct datagram_groups *groups, const struct datagram_routes *routes, unsigned route,
                         const void *data, size_t size);
