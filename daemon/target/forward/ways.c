/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "marks.h"
#include "rate.h"
#include "recode.h"
#include "relay.h"

/* Splicing loses on small pieces and wins on large ones (64K); at some 1400 bytes it ties. */
#define LARGE_BYTES ((size_t) 64 * 1024)
#define SMALL_BYTES ((size_t) 16 * 1024)
#define LARGE_READS 2   /* so many large reads in a row: splice */
#define SMALL_SPLICES 9 /* so many small splices in a row: copy again */

struct run {
    struct worker *w;
    struct flow *f;
    struct relay_way *way;
    struct leg *from, *to;
    int *error;
    bool limited;
    size_t room; /* that the limits leave for this read */
};

static bool is_up(const struct run *r) {
    return r->way == &r->f->relay.to_upstream;
}

static struct relay_way *other_way(const struct run *r) {
    return is_up(r) ? &r->f->relay.to_client : &r->f->relay.to_upstream;
}

static void count_received(const struct run *r, size_t n) {
    struct stats *stats = worker_stats(r->w, r->f->view);

    r->f->active_usec = r->w->loop.now_usec;
    r->from->rx_bytes += n;
    if (r->limited)
        rate_charge(r->w, r->f, n);
    if (is_up(r)) {
        stats_add(stats, STAT_RX_BYTES, n);
        life_on_received(r->f);
    } else {
        upstream_count(&r->f->relay.to->counters[r->w->index].rx_bytes, n);
    }
    marks_follow(r->f, is_up(r));
}

static void count_sent(const struct run *r, size_t n) {
    r->f->active_usec = r->w->loop.now_usec;
    r->to->tx_bytes += n;
    if (is_up(r))
        upstream_count(&r->f->relay.to->counters[r->w->index].tx_bytes, n);
    else
        stats_add(worker_stats(r->w, r->f->view), STAT_TX_BYTES, n);
}

static bool is_for_later(int error) {
    return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* Bytes sent, 0 when the socket takes none now, or a negative errno. */
static ssize_t send_some(const struct run *r, const void *data, size_t size) {
    ssize_t n = send(r->to->source.fd, data, size, MSG_NOSIGNAL);

    if (n < 0)
        return is_for_later(errno) ? 0 : -errno;
    count_sent(r, (size_t) n);
    return n;
}

/* The same out of the pipe. */
static ssize_t send_from_pipe(const struct run *r) {
    struct pipe *pipe = r->way->pipe;
    ssize_t n = splice(pipe->read_fd, NULL, r->to->source.fd, NULL, pipe->filled, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (n < 0)
        return is_for_later(errno) ? 0 : -errno;
    pipe->filled -= (size_t) n;
    count_sent(r, (size_t) n);
    return n;
}

static enum way_result receiver_gone(const struct run *r, ssize_t error) {
    *r->error = (int) error;
    return WAY_RECEIVER_GONE;
}

static enum way_result sender_gone(const struct run *r, int error) {
    *r->error = error;
    return WAY_SENDER_GONE;
}

/* What an earlier run had to keep. */
static enum way_result flush(const struct run *r) {
    struct relay_way *way = r->way;
    ssize_t n;

    if (way->in_pipe) {
        n = send_from_pipe(r);
        if (n >= 0 && way->pipe->filled == 0)
            way->pipe = pipe_return(&r->w->pipes, way->pipe);
    } else {
        n = send_some(r, way->held->data + way->held->start, buf_size(way->held));
        if (n >= 0)
            way->held->start += (size_t) n;
        if (buf_size(way->held) == 0)
            way->held = pool_return(&r->w->pool, way->held);
    }
    return n < 0 ? receiver_gone(r, n) : WAY_ON;
}

/* ---- ways that decompress or compress ---- */

/* Sends what fits and holds the rest: recode_write_fn. */
static int write_coded(void *userdata, const void *data, size_t size) {
    const struct run *r = userdata;
    ssize_t sent = 0;

    if (!way_blocked(r->way)) {
        r->way->in_pipe = false;
        sent = send_some(r, data, size);
        if (sent < 0)
            return (int) sent;
    }
    if (pool_append(&r->w->pool, &r->way->held, (const uint8_t *) data + sent, size - (size_t) sent) < 0)
        return -ENOMEM;
    return way_blocked(r->way);
}

static enum way_result refuse_coded(const struct run *r, const char *reason) {
    const char *name = r->f->view->listener->name;
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    r->way->ended = true;
    stats_add(worker_stats(r->w, r->f->view), STAT_DECODE_ERRORS, 1);
    event_log(EVENT_DECODE_FAILED,
              EVENT_FIELDS({ FIELD_LISTENER, name }, { FIELD_FLOW, flow_id_format(r->f->id, id) },
                           { FIELD_PEER, address_format(&r->f->peer, peer) }),
              "%s: flow %s from %s: %s compressed data from the %s, after %llu bytes; the flow is closed", name, id,
              peer, reason, is_up(r) ? "client" : "upstream", (unsigned long long) r->from->rx_bytes);
    return sender_gone(r, -EBADMSG);
}

static enum way_result code(const struct run *r, struct way_coding *c, const uint8_t *data, size_t size) {
    const struct effective *set = r->f->client.set;
    const struct settings *client = &set->settings, *upstream = &set->upstream;
    const char *reason = NULL;
    int result = recode_run(r->w, c, is_up(r) ? client : upstream, is_up(r) ? upstream : client, data, size,
                            r->from->rx_bytes, r->way->ended, write_coded, (void *) r, &reason);

    if (result == -EBADMSG)
        return refuse_coded(r, reason);
    if (result < 0)
        return receiver_gone(r, result);
    if (recode_has_kept(c) && !way_blocked(r->way))
        worker_ready(r->w, r->f);
    return WAY_ON;
}

/* The sender has sent all it will: the receiver is told when all of it has gone. */
static enum way_result pass_end(const struct run *r) {
    struct way_coding *c = recode_of_way(r->f, r->way);

    if (!r->way->ended || r->way->shut || way_blocked(r->way) || recode_has_kept(c) || (c && !c->finished))
        return WAY_ON;
    /* The second way to end ends the flow: its close tells the receiver. */
    if (!(r->f->state == FLOW_OPEN && other_way(r)->shut) && shutdown(r->to->source.fd, SHUT_WR) < 0)
        return receiver_gone(r, -errno);
    r->way->shut = true;
    return WAY_ON;
}

bool way_splices(const struct relay_way *way) {
    return way->large >= LARGE_READS;
}

static void count_switch(struct relay_way *way) {
    if (way->switches < UINT16_MAX)
        way->switches++;
}

/* On to splicing when pieces are large. */
static void judge_copy(struct relay_way *way, bool large) {
    bool spliced = way_splices(way);

    way->large = large ? MIN(way->large + 1, LARGE_READS) : 0;
    if (way_splices(way) != spliced)
        count_switch(way);
}

static enum way_result copy(const struct run *r, struct way_coding *c) {
    size_t room = (size_t) flow_setting(r->f, SETTING_IO_BUFFER).number;
    uint8_t *data = worker_scratch(r->w, SCRATCH_IN, room);
    ssize_t n, sent;

    if (!data)
        return WAY_ON; /* level-triggered: it comes again */
    n = recv(r->from->source.fd, data, MIN(room, r->room), 0);
    if (n < 0)
        return is_for_later(errno) ? WAY_ON : sender_gone(r, -errno);
    if (n == 0) {
        r->way->ended = true;
        return c ? code(r, c, NULL, 0) : WAY_ON;
    }
    count_received(r, (size_t) n);
    if (c)
        return code(r, c, data, (size_t) n);
    judge_copy(r->way, (size_t) n >= MIN(LARGE_BYTES, room));
    sent = send_some(r, data, (size_t) n);
    if (sent < 0)
        return receiver_gone(r, sent);
    r->way->in_pipe = false;
    if (sent < n && pool_append(&r->w->pool, &r->way->held, data + sent, (size_t) (n - sent)) < 0)
        return receiver_gone(r, -ENOMEM);
    return WAY_ON;
}

/* Back to copying when pieces are small. */
static void judge_splice(struct relay_way *way, size_t n) {
    way->small = n < SMALL_BYTES ? way->small + 1 : 0;
    if (way->small < SMALL_SPLICES)
        return;
    way->small = way->large = 0;
    count_switch(way);
}

static enum way_result splice_through(const struct run *r, struct pipe *pipe) {
    ssize_t n = splice(r->from->source.fd, NULL, pipe->write_fd, NULL, MIN(pipe->capacity, r->room),
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    ssize_t sent;

    if (n <= 0) {
        int error = errno;

        pipe_return(&r->w->pipes, pipe);
        if (n < 0)
            return is_for_later(error) ? WAY_ON : sender_gone(r, -error);
        r->way->ended = true;
        return WAY_ON;
    }
    pipe->filled = (size_t) n;
    r->way->in_pipe = true;
    r->way->pipe = pipe;
    count_received(r, (size_t) n);
    judge_splice(r->way, (size_t) n);
    sent = send_from_pipe(r);
    if (sent < 0)
        return receiver_gone(r, sent);
    if (pipe->filled == 0)
        r->way->pipe = pipe_return(&r->w->pipes, pipe);
    return WAY_ON;
}

/* What the sender has sent, as far as the limits let it. */
static enum way_result take_in(struct run *r, struct way_coding *c) {
    bool rested = r->f->rests;
    struct pipe *pipe;

    r->room = SIZE_MAX;
    r->limited = rate_applies(r->f);
    if (r->limited)
        r->room = rate_room(r->w, r->f, r->room);
    if (r->room == 0) {
        if (!rested)
            r->f->relay.down_first = !is_up(r);
        return WAY_ON;
    }
    pipe = way_splices(r->way) ? pipe_borrow(&r->w->pipes, r->w->loop.now_usec) : NULL;
    return pipe ? splice_through(r, pipe) : copy(r, c);
}

enum way_result way_run(struct worker *w, struct flow *f, struct relay_way *way, bool readable, int *error) {
    bool up = way == &f->relay.to_upstream;
    struct run r = {
        .w = w,
        .f = f,
        .way = way,
        .from = up ? &f->client : &f->relay.upstream,
        .to = up ? &f->relay.upstream : &f->client,
        .error = error,
    };
    struct way_coding *c = recode_of_way(f, way);
    enum way_result result = way_blocked(way) ? flush(&r) : WAY_ON;

    if (result == WAY_ON && !way_blocked(way) && (recode_has_kept(c) || (c && way->ended && !c->finished)))
        result = code(&r, c, NULL, 0);
    if (result == WAY_ON && readable && !way->ended && !way_blocked(way) && !recode_has_kept(c))
        result = take_in(&r, c);
    return result == WAY_ON ? pass_end(&r) : result;
}

uint64_t way_held(const struct relay_way *way) {
    if (!way_blocked(way))
        return 0;
    return way->in_pipe ? way->pipe->filled : buf_size(way->held);
}

uint64_t way_drop(struct worker *w, struct relay_way *way) {
    uint64_t lost = way_held(way);

    if (way->in_pipe)
        way->pipe = pipe_return(&w->pipes, way->pipe);
    else
        way->held = pool_return(&w->pool, way->held);
    return lost;
}

void way_set_compression(struct worker *w, struct flow *f, struct relay_way *way, const union setting_value *v,
                         struct qos_result *ret) {
    bool up = way == &f->relay.to_upstream;
    int error = 0;
    struct run r = {
        .w = w,
        .f = f,
        .way = way,
        .from = up ? &f->client : &f->relay.upstream,
        .to = up ? &f->relay.upstream : &f->client,
        .error = &error,
    };

    recode_apply(w, recode_of_way(f, way), v, write_coded, &r, ret);
}
