/* SPDX-License-Identifier: MIT */
#include "datagram_batch.h"

#include <linux/errqueue.h>

/* A flood of errors must neither keep the endpoint from its datagrams nor take the room that both share. */
#define ERRORS_PER_TURN 256

static bool is_recverr(const struct cmsghdr *c) {
    return (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
           (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR);
}

/* The kernel's own errors lie there as well: who sent has heard of them. */
static bool is_icmp(struct msghdr *msg) {
    struct sock_extended_err error;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (!is_recverr(c))
            continue;
        memcpy(&error, CMSG_DATA(c), sizeof(error));
        return error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
    }
    return false;
}

unsigned datagram_drain_errors(int fd, int *ret_pending) {
    _Alignas(struct cmsghdr) char control[512];
    socklen_t size = sizeof(*ret_pending);
    unsigned n_icmp = 0;

    for (unsigned i = 0; i < ERRORS_PER_TURN; i++) {
        struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };

        if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        n_icmp += is_icmp(&msg);
    }
    /* One that found no room in the queue is pending all the same, and epoll would signal it for ever. */
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, ret_pending, &size) < 0)
        *ret_pending = 0;
    return n_icmp;
}

bool datagram_take_errors(struct endpoint_source *s) {
    int pending;
    unsigned n_icmp = datagram_drain_errors(s->source.fd, &pending);

    stats_add(worker_stats(s->worker, s->view), STAT_ICMP_ERRORS, n_icmp);
    return n_icmp > 0 || pending != 0;
}
