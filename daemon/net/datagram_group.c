/* SPDX-License-Identifier: MIT */
#include "datagram_group.h"

#include <assert.h>

/* Cheap, and different for the ports and addresses that clients of one socket have; memcmp() has the last word. */
static uint32_t hash_peer(const struct address *peer) {
    uint32_t host;

    if (peer->sa.sa_family == AF_INET)
        host = peer->in.sin_addr.s_addr;
    else
        memcpy(&host, &peer->in6.sin6_addr.s6_addr[12], sizeof(host));
    return host ^ (uint32_t) peer->in.sin_port << 16;
}

static bool same_peer(const struct datagram_route *a, const struct datagram_route *b) {
    return a->peer.size == b->peer.size && memcmp(&a->peer.in6, &b->peer.in6, a->peer.size) == 0;
}

static bool same_control(const struct datagram_route *a, const struct datagram_route *b) {
    return a->control_size == b->control_size && memcmp(&a->control, &b->control, a->control_size) == 0;
}

unsigned datagram_routes_find(struct datagram_routes *routes, const struct address *peer,
                              const struct datagram_meta *meta, bool reflect) {
    unsigned n = routes->n;
    struct datagram_route *new = &routes->items[n];
    struct msghdr msg = { .msg_name = &new->peer.sa };

    new->peer = *peer;
    new->hash = hash_peer(peer);
    new->destination = (uint8_t) n;
    datagram_control_write(&msg, &new->control, meta, reflect);
    new->control_size = msg.msg_controllen;
    for (unsigned i = 0; i < n; i++) {
        const struct datagram_route *old = &routes->items[i];

        if (old->hash != new->hash || !same_peer(old, new))
            continue;
        if (same_control(old, new))
            return i;
        new->destination = old->destination;
    }
    assert(n < DATAGRAM_ROUTES);
    return routes->n++;
}

void datagram_add_span(struct msghdr *msg, const struct datagram_reply *reply) {
    struct iovec *last = msg->msg_iovlen > 0 ? &msg->msg_iov[msg->msg_iovlen - 1] : NULL;

    if (last && (const uint8_t *) last->iov_base + last->iov_len == reply->data)
        last->iov_len += reply->size;
    else
        msg->msg_iov[msg->msg_iovlen++] = (struct iovec){ (void *) reply->data, reply->size };
}

void datagram_groups_clear(struct datagram_groups *groups) {
    if (groups->n == 0)
        return;
    groups->n = groups->n_replies = 0;
    memset(groups->newest, 0, sizeof(groups->newest));
}

/* Segments are as large as the first one; a shorter one ends the group, and an empty one has no place among others. */
static bool fits(const struct datagram_groups *groups, const struct datagram_group *g, unsigned route, size_t size) {
    uint32_t segment = groups->replies[g->first].size;

    return g->route == route && size > 0 && size <= segment && groups->replies[g->last].size == segment &&
           g->n < DATAGRAM_SEGMENTS && g->bytes + size <= DATAGRAM_GROUP_MAX;
}

void datagram_groups_add(struct datagram_groups *groups, const struct datagram_routes *routes, unsigned route,
                         const void *data, size_t size) {
    uint16_t *newest = &groups->newest[routes->items[route].destination];
    uint16_t at = (uint16_t) groups->n_replies++;
    struct datagram_group *g;

    assert(at < DATAGRAM_REPLIES);
    groups->replies[at] = (struct datagram_reply){ .data = data, .size = (uint32_t) size };
    if (*newest > 0) {
        g = &groups->items[*newest - 1];
        if (fits(groups, g, route, size)) {
            groups->replies[g->last].next = at;
            g->last = at;
            g->n++;
            g->bytes += (uint32_t) size;
            return;
        }
    }
    g = &groups->items[groups->n++];
    *g = (struct datagram_group){ (uint8_t) route, 1, at, at, (uint32_t) size };
    *newest = (uint16_t) groups->n;
}
