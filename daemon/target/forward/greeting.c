/* SPDX-License-Identifier: MIT */
/* The PROXY header with which connections from accept_proxy begin. */
#include <errno.h>
#include <sys/socket.h>

#include "relay.h"

bool relay_is_trusted(const struct flow *f) {
    uint8_t key[16];

    if (forward_of(f)->accept_proxy->n == 0)
        return false;
    address_key(&f->peer, key);
    return cidr_list_match(forward_of(f)->accept_proxy, key) >= 0;
}

/* From here on the flow is the client's that the header names, and counts as such. */
static int take_peer(struct flow *f, const struct address *peer) {
    struct admission *a = &f->view->listener->admission;
    unsigned limit = (unsigned) flow_setting(f, SETTING_MAX_CONNECTIONS_PER_SOURCE).number;
    struct admission_source *source;
    uint8_t key[16];

    address_key(peer, key);
    source = admission_source_enter(a, key, limit);
    if (!source)
        return -EDQUOT;
    admission_source_leave(a, f->source);
    f->source = source;
    f->peer = *peer;
    return 0;
}

/* A header that is not whole stays in the socket, which is to be silent until there is more of it. */
static int await_more(struct flow *f, size_t size) {
    int more = (int) size + 1;

    if (size == f->relay.setup->n_peeked)
        return -ECONNRESET; /* nothing has come but the end */
    f->relay.setup->n_peeked = size;
    return setsockopt(f->client.source.fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof(more)) < 0 ? -errno : 0;
}

int relay_read_proxy_header(struct flow *f) {
    struct relay_setup *setup = f->relay.setup;
    struct address from, to;
    uint8_t data[PROXY_READ_MAX];
    ssize_t n = recv(f->client.source.fd, data, sizeof(data), MSG_PEEK);
    bool known;
    int r, any = 1;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    r = proxy_read(data, (size_t) n, &known, &from, &to);
    if (r == -EAGAIN)
        return await_more(f, (size_t) n);
    if (r < 0)
        return r;
    if (recv(f->client.source.fd, data, (size_t) r, 0) != r ||
        setsockopt(f->client.source.fd, SOL_SOCKET, SO_RCVLOWAT, &any, sizeof(any)) < 0)
        return -EBADMSG;
    if (!known)
        return 1;
    setup->destination = to;
    setup->has_destination = true;
    r = take_peer(f, &from);
    return r < 0 ? r : 1;
}

void relay_refuse_proxy_header(struct worker *w, struct flow *f) {
    const char *name = f->view->listener->name;
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    stats_add(worker_stats(w, f->view), STAT_FRAME_ERRORS, 1);
    event_log(EVENT_FRAME_FAILED,
              EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_FLOW, flow_id_format(f->id, id) },
                           { FIELD_PEER, address_format(&f->peer, peer) }),
              "%s: flow %s from %s does not begin with a PROXY header, as connections from accept_proxy must; the flow "
              "is "
              "closed",
              name, id, peer);
    life_end(w, f, LIFE_END_ERROR, -EBADMSG);
}
