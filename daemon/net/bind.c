/* SPDX-License-Identifier: MIT */
#include "bind.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "event.h"

#define BACKLOG 4096

static void explain(char **ret_reason, const char *what, int error, const char *hint) {
    if (asprintf(ret_reason, "%s: %s%s%s", what, strerror(-error), hint ? "; " : "", hint ? hint : "") < 0)
        *ret_reason = NULL;
}

static const char *bind_hint(int error) {
    switch (error) {
    case -EADDRINUSE:
        return "another program or listener has this address";
    case -EACCES:
        return "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket unit";
    case -EADDRNOTAVAIL:
        return "no interface has this address";
    default:
        return NULL;
    }
}

static int open_socket(const struct config_listen *l) {
    const int on = 1, off = 0;
    int fd = socket(l->address.sa.sa_family, l->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (l->type == SOCK_STREAM)
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (l->address.sa.sa_family == AF_INET6)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    return fd;
}

struct preparing {
    struct endpoint *endpoint;
    const char *listener;
    enum setting_id id; /* of the first failure */
    int error;
};

/* Without its capability the daemon serves all the same, and says what is missing. */
static void go_without(struct preparing *p, const struct setting *row, int error) {
    p->endpoint->lacks_capability = true;
    event_log(EVENT_SETTING_FAILED, EVENT_FIELDS({ FIELD_LISTENER, p->listener }, { FIELD_SETTING, row->name }),
              "%s: %s goes without %s: %s; %s", p->listener, p->endpoint->text, row->name,
              qos_failure_cause(row->id, error), qos_failure_remedy(row->id, error));
}

static void on_each(enum setting_id id, const struct qos_result *result, void *userdata) {
    const struct setting *row = setting_by_id(id);
    struct preparing *p = userdata;

    if (result->outcome != QOS_FAILED)
        return;
    if (result->error == -EPERM && row->capability)
        go_without(p, row, result->error);
    else if (p->error == 0) {
        p->id = id;
        p->error = result->error;
    }
}

int endpoint_prepare(struct endpoint *e, const char *listener, const struct settings *set, char **ret_reason) {
    struct preparing p = { .endpoint = e, .listener = listener };
    uint64_t keys = set->set_mask & ~set->inherit_mask; /* inherited ones keep what the socket came with */
    char what[128];

    endpoint_touch(e, keys);
    (void) qos_apply(&e->socket, set, keys, &e->baseline, on_each, &p);
    if (p.error == 0)
        return 0;
    snprintf(what, sizeof(what), "%s cannot be applied to %s", setting_by_id(p.id)->name, e->text);
    explain(ret_reason, what, p.error, qos_failure_remedy(p.id, p.error));
    return p.error;
}

static int set_up(struct endpoint *e, const struct config_listen *l, const char *listener, const struct settings *set,
                  char **ret_reason) {
    socklen_t size = sizeof(e->cookie), address_size = l->address.size;
    int r;

    if (bind(e->socket.fd, &l->address.sa, l->address.size) < 0) {
        r = -errno;
        explain(ret_reason, "cannot bind", r, bind_hint(r));
        return r;
    }
    /* Port 0 was any: the one that it became. */
    (void) getsockname(e->socket.fd, &e->address.sa, &address_size);
    qos_baseline_capture(&e->socket, &e->baseline);
    (void) getsockopt(e->socket.fd, SOL_SOCKET, SO_COOKIE, &e->cookie, &size);
    r = qos_observe_arm(&e->socket);
    if (r < 0) {
        explain(ret_reason, "cannot arm the reception of marks", r, NULL);
        return r;
    }
    r = endpoint_prepare(e, listener, set, ret_reason);
    if (r < 0 || l->type == SOCK_DGRAM)
        return r;
    if (listen(e->socket.fd, BACKLOG) < 0) {
        r = -errno;
        explain(ret_reason, "cannot listen", r, bind_hint(r));
        return r;
    }
    return 0;
}

int endpoint_bind(const struct config_listen *l, const char *listener, const struct settings *set,
                  struct endpoint **ret, char **ret_reason) {
    struct endpoint *e = calloc(1, sizeof(*e));
    int r;

    *ret_reason = NULL;
    if (!e)
        return -ENOMEM;
    e->refs = 1;
    e->fresh = true;
    e->address = l->address;
    e->text = strdup(l->text);
    e->socket = (struct qos_socket){
        .fd = open_socket(l),
        .domain = l->address.sa.sa_family,
        .type = l->type,
        /* From the first option on: what is set before listen() is what connections inherit. */
        .listening = l->type == SOCK_STREAM,
    };
    r = e->socket.fd < 0 ? e->socket.fd : e->text ? 0 : -ENOMEM;
    if (r < 0)
        explain(ret_reason, "cannot open a socket", r, NULL);
    else
        r = set_up(e, l, listener, set, ret_reason);
    if (r < 0) {
        endpoint_unref(e);
        return r;
    }
    *ret = e;
    return 0;
}
