/* SPDX-License-Identifier: MIT */
#include "marks.h"

#include <sys/socket.h>

/* `base`: what an inherited priority goes back to; a socket of ours has the kernel's, which follows the mark by itself. */
static void set_mapped(const struct flow *f, const struct qos_socket *s, uint8_t tos, const struct settings *set,
                       const struct qos_baseline *base) {
    const struct forward *forward = f->view->target->state;

    (void) qos_set_tos(s, forward_map_tos(forward, tos) & 0xfc, set, base);
}

void marks_begin(const struct flow *f, const struct qos_socket *upstream) {
    if (marks_pass(&f->client.set->upstream) && f->received_label != QOS_MARK_NONE)
        set_mapped(f, upstream, f->received_tos, &f->client.set->upstream, NULL);
}

/* The sockets' families decide what can be known: only IPv6 tells the latest mark. */
static bool latest(int fd, int domain, bool v4_mapped, uint8_t *ret_tos) {
    const struct qos_socket s = { .fd = fd, .domain = domain, .type = SOCK_STREAM, .v4_mapped = v4_mapped };

    return qos_received_tos(&s, ret_tos) == QOS_MARK_LATEST;
}

static int domain_of(int fd) {
    int domain;
    socklen_t size = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ? AF_UNSPEC : domain;
}

static void follow_client(struct flow *f) {
    const struct qos_socket to = { .fd = f->relay.upstream.source.fd,
                                   .domain = domain_of(f->relay.upstream.source.fd),
                                   .type = SOCK_STREAM };
    uint8_t tos;

    if (f->received_label != QOS_MARK_LATEST || to.domain == AF_UNIX ||
        !latest(f->client.source.fd, f->endpoint->socket.domain, f->v4_mapped, &tos) ||
        (tos & 0xfc) == (f->received_tos & 0xfc))
        return;
    f->received_tos = tos;
    set_mapped(f, &to, tos, &f->client.set->upstream, NULL);
}

static void follow_upstream(struct flow *f) {
    const struct qos_socket to = flow_qos_socket(f, f->endpoint->socket.domain);
    uint8_t tos;

    if (!latest(f->relay.upstream.source.fd, AF_INET6, false, &tos) ||
        (f->relay.has_received && (tos & 0xfc) == (f->relay.received_tos & 0xfc)))
        return;
    f->relay.has_received = true;
    f->relay.received_tos = tos;
    set_mapped(f, &to, tos, &f->client.set->settings, &f->endpoint->baseline);
}

void marks_follow(struct flow *f, bool client) {
    if (client && marks_pass(&f->client.set->upstream))
        follow_client(f);
    else if (!client && marks_pass(&f->client.set->settings))
        follow_upstream(f);
}
