/* SPDX-License-Identifier: MIT */
#include "adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "baselines.h"
#include "event.h"

/* NULL, or why this fd cannot serve a listener. */
static const char *misfit(const struct qos_socket *s) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    if (s->type == SOCK_STREAM && !s->listening)
        return "a TCP socket that does not listen (Accept=yes in its socket unit?)";
    if (s->type == SOCK_DGRAM && getpeername(s->fd, (struct sockaddr *) &peer, &size) >= 0)
        return "a connected UDP socket";
    return NULL;
}

static const char *misfit_error(int error) {
    switch (error) {
    case -ENOTSOCK:
        return "not a socket";
    case -EAFNOSUPPORT:
        return "neither an IPv4 nor an IPv6 socket";
    case -ESOCKTNOSUPPORT:
        return "neither a TCP nor a UDP socket";
    default:
        return strerror(-error);
    }
}

static void refuse(int fd, const char *name, const char *why) {
    event_log(EVENT_SOCKET_REFUSED, EVENT_FIELDS({ FIELD_LISTENER, name }),
              "passed file descriptor %d, named '%s', is refused: %s", fd, name, why);
    close_fd(fd);
}

static int make_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int describe(struct endpoint *e, const char *name) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof(sa);
    char text[ADDRESS_TEXT_MAX];
    int r;

    if (getsockname(e->socket.fd, (struct sockaddr *) &sa, &size) < 0)
        return -errno;
    r = address_from_sockaddr((struct sockaddr *) &sa, size, &e->address);
    if (r < 0)
        return r;
    size = sizeof(e->cookie);
    if (getsockopt(e->socket.fd, SOL_SOCKET, SO_COOKIE, &e->cookie, &size) < 0)
        return -errno;
    if (asprintf(&e->text, "%s:%s", e->socket.type == SOCK_STREAM ? "tcp" : "udp", address_format(&e->address, text)) <
        0) {
        e->text = NULL;
        return -ENOMEM;
    }
    e->name = strdup(name);
    return e->name ? make_nonblocking(e->socket.fd) : -ENOMEM;
}

/* Puts back what an earlier run left on the socket, or remembers what is there. */
static void settle_baseline(struct endpoint *e, const json_t *earlier) {
    if (baselines_find(earlier, e->cookie, &e->baseline) < 0) {
        qos_baseline_capture(&e->socket, &e->baseline);
    } else {
        /* Connections that waited in its queue meanwhile have inherited it as well. */
        endpoint_touch(e, qos_baseline_differs(&e->socket, &e->baseline));
        endpoint_restore(e, "an earlier run had left on the socket");
    }
}

static int add_unclaimed(struct net *n, struct endpoint *e) {
    struct endpoint **list = reallocarray(n->unclaimed, n->n_unclaimed + 1, sizeof(*list));

    if (!list)
        return -ENOMEM;
    n->unclaimed = list;
    n->unclaimed[n->n_unclaimed++] = e;
    return 0;
}

static int adopt_socket(struct net *n, int fd, const char *name, const json_t *earlier, json_t *found,
                        struct adopted *ret) {
    struct qos_socket s;
    struct endpoint *e;
    const char *why;
    int r = qos_socket_init(&s, fd);

    why = r < 0 ? misfit_error(r) : misfit(&s);
    if (why) {
        refuse(fd, name, why);
        ret->refused++;
        return 0;
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->refs = 1;
    e->socket = s;
    e->passed = true;
    r = describe(e, name);
    if (r >= 0) {
        settle_baseline(e, earlier);
        r = baselines_add(found, e->cookie, &e->baseline);
    }
    if (r >= 0)
        r = qos_observe_arm(&e->socket);
    if (r >= 0)
        r = add_unclaimed(n, e);
    if (r < 0)
        endpoint_unref(e);
    return r;
}

static void adopt_control(int fd, const char *name, struct adopted *ret) {
    if (ret->control_fd >= 0) {
        refuse(fd, name, "a second control socket");
        ret->refused++;
    } else if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
        refuse(fd, name, "the name is for the control socket, a listening Unix stream socket");
        ret->refused++;
    } else {
        ret->control_fd = fd;
    }
}

static void free_names(char ***names) {
    for (char **name = *names; name && *name; name++)
        free(*name);
    free(*names);
}

int adopt_sockets(struct net *n, struct adopted *ret) {
    _cleanup_(free_names) char **names = NULL;
    int n_fds = sd_listen_fds_with_names(1, &names), baselines_fd = -EBADF, r = 0;
    json_t *earlier, *found = json_object();

    *ret = (struct adopted){ .control_fd = -EBADF };
    if (n_fds < 0) {
        json_decref(found);
        return n_fds;
    }
    for (int i = 0; i < n_fds; i++)
        if (streq(names[i], ADOPT_BASELINES_NAME))
            baselines_fd = SD_LISTEN_FDS_START + i;
    earlier = baselines_read(baselines_fd);
    if (!earlier || !found)
        r = -ENOMEM;
    for (int i = 0; i < n_fds && r >= 0; i++) {
        int fd = SD_LISTEN_FDS_START + i;

        if (streq(names[i], ADOPT_BASELINES_NAME))
            close_fd(fd);
        else if (streq(names[i], ADOPT_CONTROL_NAME))
            adopt_control(fd, names[i], ret);
        else
            r = adopt_socket(n, fd, names[i], earlier, found, ret);
    }
    if (r >= 0 && n->n_unclaimed > 0)
        r = baselines_store(found, ADOPT_BASELINES_NAME);
    json_decref(earlier);
    json_decref(found);
    return r;
}
