/* SPDX-License-Identifier: MIT */
#include "datagram.h"

#include <errno.h>
#include <netinet/ip.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "datagram_control.h"
#include "event.h"
#include "stream.h"

/* How long a send rests after ENOBUFS: the device queue is full and no event tells when it is not. */
#define ENOBUFS_RETRY_USEC (10 * USEC_PER_MSEC)

/* Blocks of a worker, one slot a datagram; the large ones are made at first use. */
struct datagram_batch {
    struct mmsghdr rx[DATAGRAM_BATCH], tx[DATAGRAM_BATCH];
    struct iovec rx_iov[DATAGRAM_BATCH], tx_iov[DATAGRAM_BATCH];
    struct sockaddr_storage peer[DATAGRAM_BATCH];
    union datagram_control rx_control[DATAGRAM_BATCH], tx_control[DATAGRAM_BATCH];
    unsigned n_tx;
    uint8_t (*received)[DATAGRAM_SIZE_MAX], (*decoded)[DATAGRAM_SIZE_MAX], (*encoded)[DATAGRAM_SIZE_MAX];
};

/* Replies that wait, in order. */
struct datagram_queue {
    unsigned n, next;
    struct {
        struct sockaddr_storage peer;
        socklen_t peer_size;
        union datagram_control control;
        size_t control_size;
        struct iovec iov;
    } items[DATAGRAM_BATCH];
};

struct datagram_batch *datagram_batch_free(struct datagram_batch *b) {
    if (b) {
        free(b->received);
        free(b->decoded);
        free(b->encoded);
        free(b);
    }
    return NULL;
}

static struct datagram_batch *batch_of(struct worker *w) {
    struct datagram_batch *b = w->batch;

    if (b)
        return b;
    b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->received = malloc(DATAGRAM_BATCH * sizeof(*b->received));
    b->decoded = malloc(DATAGRAM_BATCH * sizeof(*b->decoded));
    b->encoded = malloc(DATAGRAM_BATCH * sizeof(*b->encoded));
    if (!b->received || !b->decoded || !b->encoded)
        return datagram_batch_free(b);
    return w->batch = b;
}

static void count_send_error(struct endpoint_source *s, const struct msghdr *msg, int error) {
    const char *name = s->view->listener->name;
    char text[ADDRESS_TEXT_MAX] = "?";
    struct address peer;

    stats_add(worker_stats(s->worker, s->view), error == EMSGSIZE ? STAT_TX_TOO_LARGE : STAT_TX_DROPPED, 1);
    if (address_from_sockaddr(msg->msg_name, msg->msg_namelen, &peer) >= 0)
        address_format(&peer, text);
    event_log(EVENT_DATAGRAM_FAILED, EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_PEER, text }),
              "%s: reply of %zu bytes to %s was not sent: %s", name, msg->msg_iov->iov_len, text, strerror(error));
}

/* Sends from `at`; returns how many of the messages are done with (sent, or failed for good and counted). */
static unsigned send_some(struct endpoint_source *s, struct mmsghdr *messages, unsigned n) {
    struct stats *stats = worker_stats(s->worker, s->view);
    unsigned at = 0;

    while (at < n) {
        int r = sendmmsg(s->source.fd, messages + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);

        for (int i = 0; i < r; i++)
            stats_add(stats, STAT_TX_BYTES, messages[at + (unsigned) i].msg_len);
        if (r > 0) {
            stats_add(stats, STAT_TX_DATAGRAMS, (uint64_t) r);
            at += (unsigned) r;
        } else if (errno == EAGAIN) {
            loop_modify(&s->worker->loop, &s->source, EPOLLOUT);
            break;
        } else if (errno == ENOBUFS || errno == ENOMEM) {
            loop_modify(&s->worker->loop, &s->source, 0);
            wheel_arm(&s->worker->loop.wheel, &s->retry, s->worker->loop.now_usec + ENOBUFS_RETRY_USEC);
            break;
        } else if (errno != EINTR) {
            count_send_error(s, &messages[at].msg_hdr, errno);
            at++;
        }
    }
    return at;
}

/* Keeps copies of what the socket did not take. */
static int queue(struct endpoint_source *s, const struct mmsghdr *messages, unsigned n) {
    struct datagram_queue *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    for (; q->n < n; q->n++) {
        const struct msghdr *msg = &messages[q->n].msg_hdr;

        memcpy(&q->items[q->n].peer, msg->msg_name, msg->msg_namelen);
        q->items[q->n].peer_size = msg->msg_namelen;
        memcpy(&q->items[q->n].control, msg->msg_control, msg->msg_controllen);
        q->items[q->n].control_size = msg->msg_controllen;
        q->items[q->n].iov.iov_len = msg->msg_iov->iov_len;
        q->items[q->n].iov.iov_base = malloc(MAX(msg->msg_iov->iov_len, (size_t) 1));
        if (!q->items[q->n].iov.iov_base)
            break;
        memcpy(q->items[q->n].iov.iov_base, msg->msg_iov->iov_base, msg->msg_iov->iov_len);
    }
    s->queue = q;
    return q->n < n ? -ENOMEM : 0;
}

static void send_batch(struct endpoint_source *s, struct datagram_batch *b) {
    unsigned done = send_some(s, b->tx, b->n_tx);

    if (done == b->n_tx || queue(s, b->tx + done, b->n_tx - done) >= 0)
        return;
    for (unsigned i = done + (s->queue ? s->queue->n : 0); i < b->n_tx; i++)
        count_send_error(s, &b->tx[i].msg_hdr, ENOMEM);
}

static void free_queue(struct endpoint_source *s) {
    for (unsigned i = 0; i < s->queue->n; i++)
        free(s->queue->items[i].iov.iov_base);
    free(s->queue);
    s->queue = NULL;
}

void datagram_drop_queue(struct endpoint_source *s) {
    if (!s->queue)
        return;
    stats_add(worker_stats(s->worker, s->view), STAT_TX_DROPPED, s->queue->n - s->queue->next);
    free_queue(s);
}

/* True: nothing waits any more. */
static bool send_queued(struct endpoint_source *s) {
    struct datagram_queue *q = s->queue;
    struct mmsghdr messages[DATAGRAM_BATCH] = { 0 };

    for (unsigned i = q->next; i < q->n; i++)
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &q->items[i].peer,
            .msg_namelen = q->items[i].peer_size,
            .msg_iov = &q->items[i].iov,
            .msg_iovlen = 1,
            .msg_control = q->items[i].control_size ? &q->items[i].control : NULL,
            .msg_controllen = q->items[i].control_size,
        };
    q->next += send_some(s, messages + q->next, q->n - q->next);
    if (q->next < q->n)
        return false;
    free_queue(s);
    return true;
}

static void fail_decoding(struct endpoint_source *s, const struct address *peer, enum coding id, size_t size,
                          int error) {
    const char *name = s->view->listener->name;
    char text[ADDRESS_TEXT_MAX];

    stats_add(worker_stats(s->worker, s->view), STAT_DECODE_ERRORS, 1);
    event_log(EVENT_DECODE_FAILED, EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_PEER, address_format(peer, text) }),
              "%s: datagram of %zu bytes from %s dropped: %s%s data%s", name, size, text,
              error == -EMSGSIZE ? "" : "not whole ", coding_info(id)->name,
              error == -EMSGSIZE ? " that inflates to more than 65535 bytes" : "");
}

/* The payload of slot i: decompressed if the settings say so. False: dropped and counted. */
static bool decode(struct endpoint_source *s, struct datagram_batch *b, unsigned i, const struct address *peer,
                   struct span *span) {
    enum coding id = s->view->set->settings.v[SETTING_DECOMPRESSION].coding.id;
    ssize_t n;

    if (id == CODING_OFF)
        return true;
    n = codec_decode_whole(&s->worker->codecs, id, span->data, span->size, b->decoded[i], DATAGRAM_SIZE_MAX);
    if (n < 0) {
        fail_decoding(s, peer, id, span->size, (int) n);
        return false;
    }
    *span = (struct span){ b->decoded[i], (size_t) n };
    return true;
}

static bool encode(struct endpoint_source *s, struct datagram_batch *b, unsigned i, struct span *span) {
    union setting_value v = s->view->set->settings.v[SETTING_COMPRESSION];
    ssize_t n;

    if (v.coding.id == CODING_OFF)
        return true;
    n = codec_encode_whole(&s->worker->codecs, v.coding.id, v.coding.level, span->data, span->size, b->encoded[i],
                           DATAGRAM_SIZE_MAX);
    if (n < 0) {
        stats_add(worker_stats(s->worker, s->view), n == -EMSGSIZE ? STAT_TX_TOO_LARGE : STAT_TX_DROPPED, 1);
        return false;
    }
    *span = (struct span){ b->encoded[i], (size_t) n };
    return true;
}

static void add_reply(struct endpoint_source *s, struct datagram_batch *b, unsigned i, const struct span *span,
                      const struct datagram_meta *meta) {
    const struct settings *set = &s->view->set->settings;
    bool reflect = !settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT;
    unsigned at = b->n_tx++;

    b->tx_iov[at] = (struct iovec){ (void *) span->data, span->size };
    b->tx[at].msg_hdr = (struct msghdr){
        .msg_name = &b->peer[i],
        .msg_namelen = b->rx[i].msg_hdr.msg_namelen,
        .msg_iov = &b->tx_iov[at],
        .msg_iovlen = 1,
    };
    datagram_control_write(&b->tx[at].msg_hdr, &b->tx_control[at], meta, reflect);
}

static void count_received(struct endpoint_source *s, const struct datagram_meta *meta, size_t size) {
    struct stats *stats = worker_stats(s->worker, s->view);

    stats_add(stats, STAT_RX_DATAGRAMS, 1);
    stats_add(stats, STAT_RX_BYTES, size);
    if (meta->has_tos)
        stats_mark(stats, meta->tos);
    if (meta->has_drops && meta->drops != s->kernel_drops) {
        stats_add(stats, STAT_KERNEL_DROPS, (uint32_t) (meta->drops - s->kernel_drops));
        s->kernel_drops = meta->drops;
    }
}

static void handle(struct endpoint_source *s, struct datagram_batch *b, unsigned i) {
    struct stats *stats = worker_stats(s->worker, s->view);
    struct target *target = s->view->target;
    struct span span = { b->received[i], b->rx[i].msg_len }, answer = { 0 };
    struct datagram_meta meta;
    struct address peer;
    struct payload payload;
    uint8_t key[16];

    datagram_control_read(&b->rx[i].msg_hdr, &meta);
    count_received(s, &meta, span.size);
    if (address_from_sockaddr((struct sockaddr *) &b->peer[i], b->rx[i].msg_hdr.msg_namelen, &peer) < 0)
        return;
    address_key(&peer, key);
    if (!stream_permits(&s->view->set->settings, key)) {
        stats_add(stats, STAT_REFUSED_DENIED, 1);
        return;
    }
    if (!decode(s, b, i, &peer, &span))
        return;
    stats_add(stats, STAT_PAYLOADS, 1);
    stats_add(stats, STAT_RX_PAYLOAD_BYTES, span.size);
    payload = (struct payload){ .span = span, .listener = s->view->listener->name, .peer = &peer };
    target->ops->payload(target->state, stats, &payload, &answer);
    if (!answer.data)
        return;
    stats_add(stats, STAT_REPLIES, 1);
    stats_add(stats, STAT_TX_PAYLOAD_BYTES, answer.size);
    if (encode(s, b, i, &answer))
        add_reply(s, b, i, &answer, &meta);
}

static int receive(struct endpoint_source *s, struct datagram_batch *b) {
    for (unsigned i = 0; i < DATAGRAM_BATCH; i++) {
        b->rx_iov[i] = (struct iovec){ b->received[i], DATAGRAM_SIZE_MAX };
        b->rx[i].msg_hdr = (struct msghdr){
            .msg_name = &b->peer[i],
            .msg_namelen = sizeof(b->peer[i]),
            .msg_iov = &b->rx_iov[i],
            .msg_iovlen = 1,
            .msg_control = &b->rx_control[i],
            .msg_controllen = sizeof(b->rx_control[i]),
        };
    }
    return recvmmsg(s->source.fd, b->rx, DATAGRAM_BATCH, MSG_DONTWAIT, NULL);
}

void datagram_turn(struct endpoint_source *s, uint32_t events) {
    struct datagram_batch *b = batch_of(s->worker);
    int n;

    if (!s->view || !b)
        return;
    if (s->queue && !send_queued(s))
        return;
    loop_modify(&s->worker->loop, &s->source, EPOLLIN);
    n = receive(s, b);
    b->n_tx = 0;
    for (int i = 0; i < n; i++)
        handle(s, b, (unsigned) i);
    if (b->n_tx > 0)
        send_batch(s, b);
}
