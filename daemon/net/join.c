/* SPDX-License-Identifier: MIT */
#include "join.h"

#include <errno.h>
#include <sys/socket.h>

struct membership {
    struct address group;
    unsigned interface; /* 0: the one that the routes say */
    bool fresh, wanted; /* since join_prepare() */
};

/* Joins, or leaves. */
static int change(const struct endpoint *e, const struct membership *m, bool join) {
    const struct ip_mreqn v4 = { .imr_multiaddr = m->group.in.sin_addr, .imr_ifindex = (int) m->interface };
    const struct ipv6_mreq v6 = { m->group.in6.sin6_addr, m->interface };
    int r = m->group.sa.sa_family == AF_INET
                    ? setsockopt(e->socket.fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &v4,
                                 sizeof(v4))
                    : setsockopt(e->socket.fd, IPPROTO_IPV6, join ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, &v6,
                                 sizeof(v6));

    return r < 0 ? -errno : 0;
}

bool join_fits(const struct endpoint *e, const struct config_join *join) {
    socklen_t size = sizeof(int);
    int only = 0;

    if (e->socket.type != SOCK_DGRAM)
        return false;
    if (e->socket.domain == join->group.sa.sa_family)
        return true;
    return e->socket.domain == AF_INET6 && getsockopt(e->socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 &&
           !only;
}

static struct membership *find(const struct endpoint *e, const struct membership *m) {
    for (size_t i = 0; i < e->n_groups; i++)
        if (e->groups[i].interface == m->interface && e->groups[i].group.size == m->group.size &&
            memcmp(&e->groups[i].group.in6, &m->group.in6, m->group.size) == 0)
            return &e->groups[i];
    return NULL;
}

static int join_one(struct endpoint *e, const struct config_join *join) {
    struct membership m = { .group = join->group, .fresh = true, .wanted = true }, *known, *list;
    int r;

    if (join->interface[0]) {
        m.interface = if_nametoindex(join->interface);
        if (m.interface == 0)
            return -errno;
    }
    known = find(e, &m);
    if (known) {
        known->wanted = true;
        return 0;
    }
    list = reallocarray(e->groups, e->n_groups + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    e->groups = list;
    r = change(e, &m, true);
    if (r < 0 && r != -EADDRINUSE)
        return r;
    e->groups[e->n_groups++] = m;
    return 0;
}

int join_prepare(struct endpoint *e, const struct config_join *list, size_t n, const struct config_join **ret_failed) {
    *ret_failed = NULL;
    for (size_t i = 0; i < e->n_groups; i++)
        e->groups[i].wanted = false;
    for (size_t i = 0; i < n; i++) {
        int r = join_fits(e, &list[i]) ? join_one(e, &list[i]) : 0;

        if (r < 0) {
            *ret_failed = &list[i];
            return r;
        }
    }
    return 0;
}

/* Leaves those that are new, or those that are not wanted; the others stay as they are. */
static void leave(struct endpoint *e, bool fresh) {
    size_t kept = 0;

    for (size_t i = 0; i < e->n_groups; i++) {
        struct membership *m = &e->groups[i];

        if (fresh ? m->fresh : !m->wanted) {
            (void) change(e, m, false); /* the interface may have gone, and the membership with it */
            continue;
        }
        m->fresh = false;
        m->wanted = true;
        e->groups[kept++] = *m;
    }
    e->n_groups = kept;
}

void join_commit(struct endpoint *e) {
    leave(e, false);
}

void join_abort(struct endpoint *e) {
    leave(e, true);
}

void join_leave_all(struct endpoint *e) {
    for (size_t i = 0; i < e->n_groups; i++)
        e->groups[i].wanted = false;
    leave(e, false);
}
