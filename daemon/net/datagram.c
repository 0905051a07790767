/* SPDX-License-Identifier: MIT */
#include "datagram.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "accept.h"
#include "datagram_batch.h"
#include "event.h"
#include "rate.h"
#include "sources.h"

/* How long a turn may compress and decompress before the worker's other sources have theirs. */
#define CODING_USEC (2 * USEC_PER_MSEC)

/* What answering needs, looked up once a batch. */
struct turn {
    struct endpoint_source *s;
    struct datagram_batch *b;
    const struct settings *set;
    struct stats *stats;
    struct target *target;
    bool codes, reflects, limited;
    struct bucket *source; /* of who sent the open message; NULL: none is needed */
    int route;             /* of replies to the open message; -1: not known yet */
    uint64_t until_usec;
};

/* Without memory for the table, sources are not limited. */
static void prepare_sources(const struct turn *t) {
    const struct rate_limit *limit = &t->set->v[SETTING_RATE_LIMIT_PER_SOURCE].limit;

    if (limit->per_sec > 0 && !t->s->own)
        t->s->own = sources_new();
    if (limit->per_sec > 0 && t->s->own)
        sources_use(t->s->own, limit);
}

static void turn_init(struct turn *t, struct endpoint_source *s, struct datagram_batch *b) {
    const struct settings *set = &s->view->set->settings;

    *t = (struct turn){
        .s = s,
        .b = b,
        .set = set,
        .stats = worker_stats(s->worker, s->view),
        .target = s->view->target,
        .codes = set->v[SETTING_COMPRESSION].coding.id != CODING_OFF ||
                 set->v[SETTING_DECOMPRESSION].coding.id != CODING_OFF,
        .reflects = !settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_REFLECT,
        .route = -1,
        .limited = rate_any(set),
    };
    if (t->limited)
        prepare_sources(t);
    if (t->codes)
        t->until_usec = loop_clock_usec() + CODING_USEC;
}

/* The most that a datagram may decompress to. */
static size_t decoded_max(const struct turn *t) {
    size_t most = (size_t) t->set->v[SETTING_DECOMPRESSION_MAX_OUTPUT].number;

    return most ? MIN(most, (size_t) DATAGRAM_SIZE_MAX) : DATAGRAM_SIZE_MAX;
}

/* How far the datagram at hand could be decoded. */
static unsigned long long decoded_until(const struct turn *t, enum coding id) {
    const struct coder *decoder = id < CODING_MAX ? t->s->worker->codecs.decoder[id] : NULL;

    return decoder ? coder_in_bytes(decoder) : 0;
}

static void fail_decoding(const struct turn *t, enum coding id, size_t size, int error) {
    const char *name = t->s->view->listener->name;
    char peer[ADDRESS_TEXT_MAX], what[96];

    if (error == -EMSGSIZE)
        snprintf(what, sizeof(what), "%s data that inflates to more than %zu bytes", coding_info(id)->name,
                 decoded_max(t));
    else
        snprintf(what, sizeof(what), "corrupt or truncated %s data at byte %llu", coding_info(id)->name,
                 decoded_until(t, id));
    stats_add(t->stats, STAT_DECODE_ERRORS, 1);
    address_format(datagram_intake_peer(&t->b->intake), peer);
    event_log(EVENT_DECODE_FAILED, EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_PEER, peer }),
              "%s: datagram of %zu bytes from %s dropped: %s", name, size, peer, what);
}

/* Takes `n` bytes of the room for coded payloads. */
static struct span keep_coded(struct datagram_batch *b, ssize_t n) {
    struct span span = { b->coded.data + b->coded.used, (size_t) n };

    b->coded.used += (size_t) n;
    return span;
}

/* Into `out`. With *id CODING_AUTO, *id becomes what the payload turned out to be. */
static ssize_t decode_into(const struct turn *t, enum coding *id, const struct span *span, void *out) {
    struct codec_pool *codecs = &t->s->worker->codecs;

    if (*id == CODING_AUTO)
        return codec_decode_auto(codecs, span->data, span->size, out, decoded_max(t), id);
    return codec_decode_whole(codecs, *id, span->data, span->size, out, decoded_max(t));
}

/* Decompresses a payload if the settings say so. False: dropped and counted. */
static bool decode(const struct turn *t, struct span *span) {
    enum coding id = t->set->v[SETTING_DECOMPRESSION].coding.id;
    struct datagram_batch *b = t->b;
    ssize_t n;

    if (id == CODING_OFF)
        return true;
    n = decode_into(t, &id, span, b->coded.data + b->coded.used);
    if (id == CODING_OFF)
        return true;
    if (n < 0) {
        fail_decoding(t, id, span->size, (int) n);
        return false;
    }
    *span = keep_coded(b, n);
    return true;
}

static bool encode(const struct turn *t, struct span *span) {
    union setting_value v = t->set->v[SETTING_COMPRESSION];
    struct datagram_batch *b = t->b;
    ssize_t n;

    if (v.coding.id == CODING_OFF)
        return true;
    n = codec_encode_whole(&t->s->worker->codecs, v.coding.id, v.coding.level, span->data, span->size,
                           b->coded.data + b->coded.used, DATAGRAM_SIZE_MAX);
    if (n < 0) {
        stats_add(t->stats, n == -EMSGSIZE ? STAT_TX_TOO_LARGE : STAT_TX_DROPPED, 1);
        return false;
    }
    *span = keep_coded(b, n);
    return true;
}

static void add_reply(struct turn *t, const struct span *span) {
    struct datagram_batch *b = t->b;

    if (t->route < 0)
        t->route =
                (int) datagram_routes_find(&b->routes, datagram_intake_peer(&b->intake), &b->intake.meta, t->reflects);
    datagram_groups_add(&b->groups, &b->routes, (unsigned) t->route, span->data, span->size);
}

/* One payload, through the target. True: there is a reply. */
static bool answer(struct turn *t, struct span span) {
    struct span reply = { 0 };
    struct payload payload;

    if (!decode(t, &span))
        return false;
    stats_add(t->stats, STAT_PAYLOADS, 1);
    stats_add(t->stats, STAT_RX_PAYLOAD_BYTES, span.size);
    payload = (struct payload){
        .span = span,
        .listener = t->s->view->listener->name,
        .peer = datagram_intake_peer(&t->b->intake),
    };
    t->target->ops->payload(t->target->state, t->stats, &payload, &reply);
    if (!reply.data)
        return false;
    stats_add(t->stats, STAT_REPLIES, 1);
    stats_add(t->stats, STAT_TX_PAYLOAD_BYTES, reply.size);
    if (!encode(t, &reply))
        return false;
    add_reply(t, &reply);
    return true;
}

/* The kernel's count goes round, and that of a datagram may be older than the last one that was seen. */
static void count_drops(struct endpoint_source *s, uint32_t drops) {
    int32_t more = (int32_t) (drops - s->kernel_drops);

    if (more <= 0)
        return;
    stats_add(worker_stats(s->worker, s->view), STAT_KERNEL_DROPS, (uint64_t) more);
    s->kernel_drops = drops;
}

void datagram_count_received(struct endpoint_source *s, const struct datagram_intake *in) {
    struct stats *stats = worker_stats(s->worker, s->view);
    const struct datagram_meta *meta = &in->meta;

    stats_add(stats, STAT_RX_DATAGRAMS, in->n_parts);
    stats_add(stats, STAT_RX_BYTES, in->size);
    if (meta->has_tos)
        stats_marks(stats, meta->tos, in->n_parts);
    if (meta->has_drops)
        count_drops(s, meta->drops);
}

/* A flow's limit means nothing here: there are none. */
static bool permits(const struct turn *t, size_t size) {
    struct bucket *const buckets[RATE_LIMITS] = { &t->s->view->listener->bucket, t->source };

    return rate_permits(t->set, buckets, size, t->s->worker->loop.now_usec);
}

/* The next message, counted. False: there is none. */
static bool open_message(struct turn *t) {
    struct datagram_intake *in = &t->b->intake;
    uint8_t key[16];

    if (!datagram_intake_open(in))
        return false;
    t->route = -1;
    datagram_count_received(t->s, in);
    address_key(datagram_intake_peer(in), key);
    if (!accept_permits(t->set, key)) {
        stats_add(t->stats, STAT_REFUSED_DENIED, in->n_parts);
        datagram_intake_skip(in);
    } else if (t->limited && t->s->own) {
        t->source = sources_find(t->s->own, key);
    }
    return true;
}

/* Room for the reply to one more payload, and for the payload itself when it is decompressed. */
static bool has_room(const struct datagram_batch *b) {
    return b->groups.n_replies < DATAGRAM_REPLIES && b->coded.used <= DATAGRAM_CODED_SIZE - 2 * DATAGRAM_SIZE_MAX;
}

/* What is left of the open message. False: the endpoint must wait. */
static bool answer_message(struct turn *t) {
    struct datagram_batch *b = t->b;
    struct span span;

    for (;;) {
        size_t coded;

        if (!has_room(b) && !datagram_send(t->s, b))
            return false;
        if (!datagram_intake_take(&b->intake, &span))
            return true;
        if (t->limited && !permits(t, span.size)) {
            stats_add(t->stats, STAT_RATE_LIMITED, 1);
            continue;
        }
        coded = b->coded.used;
        if (!answer(t, span))
            b->coded.used = coded;
    }
}

static bool time_is_up(const struct turn *t) {
    return t->codes && !t->s->removed && loop_clock_usec() >= t->until_usec;
}

/* All that was received and is not answered yet. False: the endpoint must wait. */
static bool answer_all(struct turn *t) {
    while (answer_message(t)) {
        if (time_is_up(t) && t->b->intake.next < t->b->intake.n) {
            /* Not for room, but signalled as soon as the others have had their turn. */
            if (datagram_send(t->s, t->b))
                datagram_wait_room(t->s);
            return false;
        }
        if (!open_message(t))
            return datagram_send(t->s, t->b);
    }
    return false;
}

/* What an earlier turn left. Its replies go first: they may point into a target that has been replaced since. */
static bool go_on(struct endpoint_source *s, struct datagram_batch *b) {
    struct turn t;

    if (!datagram_send(s, b))
        return false;
    b->view = listener_view_unref(b->view);
    b->routes.n = 0;
    turn_init(&t, s, b);
    return answer_all(&t);
}

static bool answer_once(struct endpoint_source *s, struct datagram_batch *b) {
    struct turn t;

    b->routes.n = 0;
    datagram_intake_receive(&b->intake, s->source.fd, NULL);
    turn_init(&t, s, b);
    return answer_all(&t);
}

static bool answer_new(struct endpoint_source *s, struct datagram_batch *b) {
    for (unsigned i = 0; i < DATAGRAM_BATCHES; i++) {
        if (!answer_once(s, b))
            return false;
        if (!datagram_intake_is_full(&b->intake))
            break;
    }
    return true;
}

static void turn(struct endpoint_source *s) {
    bool kept = s->kept;
    struct datagram_batch *b = datagram_batch_take(s);

    if (!b) {
        datagram_rest(s);
    } else if (kept ? go_on(s, b) : answer_new(s, b)) {
        loop_modify(&s->worker->loop, &s->source, EPOLLIN);
        datagram_batch_give_back(s, b);
    } else {
        datagram_batch_keep(s, b);
    }
}

static void turn_endpoint(struct endpoint_source *s, uint32_t events) {
    if (datagram_has_turn(s, events))
        turn(s);
}

bool datagram_has_turn(struct endpoint_source *s, uint32_t events) {
    if (events & EPOLLERR)
        datagram_take_errors(s);
    /* epoll signals errors also to an endpoint that waits for something else. */
    return events == 0 || events & s->source.events;
}

/* As the next datagram would tell it. */
static uint32_t read_drops(const struct endpoint_source *s) {
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t size = sizeof(info);

    if (getsockopt(s->source.fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0 || size != sizeof(info))
        return s->kernel_drops;
    return info[SK_MEMINFO_DROPS];
}

void datagram_begin(struct endpoint_source *s) {
    s->kernel_drops = read_drops(s);
    qos_serve_datagrams(&s->endpoint->socket, true);
}

void datagram_end(struct endpoint_source *s) {
    count_drops(s, read_drops(s));
    datagram_take_errors(s);
    qos_serve_datagrams(&s->endpoint->socket, false);
}

static void stop(struct endpoint_source *s) {
    if (s->kept) {
        struct datagram_batch *b = datagram_batch_take(s);

        (void) go_on(s, b);
        datagram_batch_give_back(s, b);
    }
    s->own = sources_free(s->own);
    datagram_end(s);
}

const struct datagram_ops datagram_ops = {
    .start = datagram_begin,
    .turn = turn_endpoint,
    .stop = stop,
    /* A datagram is a payload, and there are no flows. */
    .unused = SETTING_BIT(SETTING_DECOMPRESSION_MAX_RATIO) | SETTING_BIT(SETTING_IO_BUFFER) |
              SETTING_BIT(SETTING_IDLE_TIMEOUT) | SETTING_BIT(SETTING_COMPRESSION_UNIT) |
              SETTING_BIT(SETTING_PAYLOAD_LIMIT) | SETTING_BIT(SETTING_FRAME_TIMEOUT) |
              SETTING_BIT(SETTING_CONNECT_TIMEOUT) | SETTING_BIT(SETTING_HALF_CLOSE_TIMEOUT) |
              SETTING_BIT(SETTING_SESSION_TIMEOUT) | SETTING_BIT(SETTING_RATE_LIMIT_PER_FLOW) |
              SETTING_BIT(SETTING_MAX_CONNECTIONS) | SETTING_BIT(SETTING_MAX_CONNECTIONS_PER_SOURCE),
};
