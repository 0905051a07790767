/* SPDX-License-Identifier: MIT */
#include "connect.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "marks.h"
#include "relay.h"

int connect_bind_source(const struct forward *forward, const struct address *client, int fd, int domain) {
    const struct address *from = forward->source == FORWARD_SOURCE_CLIENT ? client : &forward->source_address;
    struct address address = *from;
    int on = 1;

    if (forward->source == FORWARD_SOURCE_ANY)
        return 0;
    if (address_is_v4_mapped(from) && domain == AF_INET) {
        address = (struct address){ .in = { .sin_family = AF_INET, .sin_port = from->in6.sin6_port },
                                    .size = sizeof(address.in) };
        memcpy(&address.in.sin_addr, &from->in6.sin6_addr.s6_addr[12], 4);
    }
    if (address.sa.sa_family != domain)
        return -EAFNOSUPPORT;
    /* Else the kernel would look for a port that is free towards everybody. */
    address.in.sin_port = 0;
    (void) setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (forward->source == FORWARD_SOURCE_CLIENT &&
        setsockopt(fd, domain == AF_INET6 ? SOL_IPV6 : SOL_IP, domain == AF_INET6 ? IPV6_TRANSPARENT : IP_TRANSPARENT,
                   &on, sizeof(on)) < 0)
        return -errno;
    return bind(fd, &address.sa, address.size) < 0 ? -errno : 0;
}

/* Before it connects: the first segment carries the mark, and the window scale fits the buffer. */
static int prepare(const struct forward *forward, const struct flow *f, int fd, int domain) {
    const struct qos_socket s = { .fd = fd, .domain = domain, .type = SOCK_STREAM };
    int r;

    if (domain == AF_UNIX)
        return 0;
    r = qos_apply_accepted(&s, &f->client.set->upstream, NULL);
    if (r < 0 && r != -EPERM)
        return r;
    if (marks_pass(&f->client.set->settings))
        (void) !qos_observe_arm(&s);
    marks_begin(f, &s);
    return connect_bind_source(forward, &f->peer, fd, domain);
}

/* Where to: an address of the upstream, or its path. */
static int destination(struct upstream *u, struct sockaddr_storage *ret, socklen_t *ret_size) {
    struct sockaddr_un *un = (struct sockaddr_un *) ret;
    struct address address;
    int r;

    if (u->conf.path) {
        *un = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(un->sun_path, u->conf.path, strlen(u->conf.path));
        *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(u->conf.path) + 1);
        return 0;
    }
    r = upstream_address(u, &address);
    if (r < 0)
        return r;
    memcpy(ret, &address.sa, address.size);
    *ret_size = address.size;
    return 0;
}

/* 1: connected, 0: under way. A near upstream has answered when connect() returns: asking once more is cheaper than waiting
 * for a signal. */
static int begin_connect(int fd, const struct sockaddr *to, socklen_t size) {
    if (connect(fd, to, size) >= 0)
        return 1;
    if (errno != EINPROGRESS)
        return -errno;
    if (connect(fd, to, size) >= 0 || errno == EISCONN)
        return 1;
    return errno == EALREADY ? 0 : -errno;
}

/* 1: connected, 0: under way. */
static int dial(const struct forward *forward, const struct flow *f, struct upstream *u, int *ret_fd) {
    _cleanup_close_ int fd = -EBADF;
    struct sockaddr_storage to;
    socklen_t size;
    int r;

    r = destination(u, &to, &size);
    if (r < 0)
        return r;
    fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    r = prepare(forward, f, fd, to.ss_family);
    if (r < 0)
        return r;
    r = begin_connect(fd, (struct sockaddr *) &to, size);
    if (r < 0)
        return r;
    *ret_fd = TAKE_FD(fd);
    return r;
}

static void hold(struct flow *f, struct upstream *u, int fd) {
    f->relay.to = u;
    f->relay.upstream.source.fd = fd;
    atomic_fetch_add(&u->flows, 1);
}

/* One reference; NULL: none is left. */
static struct upstream *next_upstream(struct worker *w, struct flow *f) {
    struct relay_setup *setup = f->relay.setup;
    struct upstream *u;
    uint8_t key[16];

    if (setup->crowded)
        return TAKE_PTR(setup->crowded);
    setup->began_usec = w->loop.now_usec;
    if (setup->tried.n == ARRAY_SIZE(setup->tried.list))
        return NULL;
    address_key(&f->peer, key);
    u = forward_choose(forward_of(f), SOCK_STREAM, key, &setup->tried, w->loop.now_usec);
    if (u)
        setup->tried.list[setup->tried.n++] = u;
    return u;
}

int relay_connect(struct worker *w, struct flow *f) {
    struct forward *forward = forward_of(f);
    struct relay_setup *setup = f->relay.setup;
    struct upstream *u;

    while ((u = next_upstream(w, f))) {
        int fd = -EBADF, r = dial(forward, f, u, &fd);

        if (r >= 0) {
            hold(f, u, fd);
            return r;
        }
        if (r == -EAGAIN) { /* a Unix socket's backlog is full */
            setup->crowded = u;
            return r;
        }
        setup->error = r;
        forward_failed(forward, u, w->index, r, w->loop.now_usec);
        upstream_unref(u);
    }
    return setup->error < 0 ? setup->error : -EHOSTUNREACH;
}

void relay_give_up(struct worker *w, struct flow *f, int error) {
    struct upstream *u = f->relay.to;

    if (f->relay.setup->crowded) {
        u = TAKE_PTR(f->relay.setup->crowded);
        f->relay.setup->error = error;
        forward_failed(forward_of(f), u, w->index, error, w->loop.now_usec);
        upstream_unref(u);
        return;
    }
    loop_forget(&f->relay.upstream.source);
    f->relay.upstream.source.fd = close_fd(f->relay.upstream.source.fd);
    f->relay.setup->error = error;
    forward_failed(forward_of(f), u, w->index, error, w->loop.now_usec);
    atomic_fetch_sub(&u->flows, 1);
    f->relay.to = upstream_unref(u);
}

static void write_header(struct flow *f) {
    struct relay_setup *setup = f->relay.setup;
    struct address local = setup->destination;
    struct sockaddr_storage sa;
    socklen_t size = sizeof(sa);

    if (!setup->has_destination && (getsockname(f->client.source.fd, (struct sockaddr *) &sa, &size) < 0 ||
                                    address_from_sockaddr((struct sockaddr *) &sa, size, &local) < 0))
        return;
    if (forward_of(f)->proxy_protocol == PROXY_V1)
        setup->header_size = proxy_write_v1(setup->header, &f->peer, &local);
    else
        setup->header_size = proxy_write_v2(setup->header, &f->peer, &local);
}

void relay_connected(struct worker *w, struct flow *f) {
    forward_connected(forward_of(f), f->relay.to, w->index, w->loop.now_usec - f->relay.setup->began_usec);
    if (forward_of(f)->proxy_protocol != PROXY_OFF)
        write_header(f);
}
