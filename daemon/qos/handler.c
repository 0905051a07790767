/* SPDX-License-Identifier: MIT */
#include "handler.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "buffers.h"
#include "dscp.h"
#include "option.h"

uint64_t priority_from_tos(uint64_t tos) {
    static const uint8_t map[] = { 0, 2, 6, 4 };

    return map[tos >> 3 & 3];
}

/* An explicit 0 cannot be told from what accepted sockets start with, so it counts as the kernel's. */
uint64_t priority_inherited(const struct qos_baseline *base, uint64_t tos) {
    uint64_t base_tos = base->option[QOS_OPTION_TOS], base_priority = base->option[QOS_OPTION_PRIORITY];

    if (base_tos == tos || (base_priority != 0 && base_priority != priority_from_tos(base_tos)))
        return base_priority;
    return priority_from_tos(tos);
}

static bool known(const struct qos_baseline *raw, enum qos_option o) {
    return raw->known & OPTION_BIT(o);
}

/* The number in the terms of the option, the same for every option that the setting owns. */
static int set_each(const struct qos_socket *s, const struct handler *h, uint64_t value) {
    int r = 0, q;

    for (enum qos_option o = 0; o < QOS_OPTION_MAX; o++)
        if ((h->options & OPTION_BIT(o)) && option_fits(s, o)) {
            q = option_set(s, o, value);
            r = r < 0 ? r : q;
        }
    return r;
}

static int inherit_each(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *base) {
    uint64_t now;
    int r = 0, q;

    for (enum qos_option o = 0; o < QOS_OPTION_MAX; o++)
        if ((h->options & base->known & OPTION_BIT(o)) && option_fits(s, o)) {
            q = option_get(s, o, &now);
            if (q == 0 && !option_equal(s, o, now, base->option[o]))
                q = option_set(s, o, base->option[o]);
            r = r < 0 ? r : q;
        }
    return r;
}

static int set_number(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    return option_set(s, h->option, (uint64_t) ((v->number + h->unit - 1) / h->unit));
}

static int decode_number(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                         union setting_value *ret) {
    if (!known(raw, h->option))
        return -EOPNOTSUPP;
    ret->number = (int64_t) raw->option[h->option] * h->unit;
    return 0;
}

/* Both marks of an AF_INET6 socket: it may carry IPv4, which uses only the IPv4 one. */
static int set_dscp(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    return set_each(s, h, dscp_to_tos((uint8_t) v->number));
}

static int decode_dscp(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                       union setting_value *ret) {
    enum qos_option o = s->domain == AF_INET6 && !s->v4_mapped ? QOS_OPTION_TCLASS : QOS_OPTION_TOS;

    if (!known(raw, o))
        return -EOPNOTSUPP;
    ret->number = dscp_from_tos((uint8_t) raw->option[o]);
    return 0;
}

static int set_ttl(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    return set_each(s, h, (uint64_t) v->number);
}

static int decode_ttl(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                      union setting_value *ret) {
    enum qos_option o = s->domain == AF_INET6 && !s->v4_mapped ? QOS_OPTION_HOPS : QOS_OPTION_TTL;

    if (!known(raw, o))
        return -EOPNOTSUPP;
    ret->number = (int64_t) raw->option[o];
    return 0;
}

static int inherit_priority(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *base) {
    uint64_t tos, now, wanted;
    int r;

    if (!known(base, QOS_OPTION_TOS) || !known(base, QOS_OPTION_PRIORITY))
        return 0;
    r = option_get(s, QOS_OPTION_TOS, &tos);
    if (r < 0)
        return r;
    r = option_get(s, QOS_OPTION_PRIORITY, &now);
    if (r < 0)
        return r;
    wanted = priority_inherited(base, tos);
    return now == wanted ? 0 : option_set(s, QOS_OPTION_PRIORITY, wanted);
}

static int set_buffer(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    return buffer_apply(s, buffer_by_option(h->option), v->number);
}

static int inherit_buffer(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *base) {
    return buffer_inherit(s, buffer_by_option(h->option), base);
}

static int decode_buffer(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                         union setting_value *ret) {
    return buffer_decode(buffer_by_option(h->option), raw, &ret->number);
}

static int set_keepalive(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    const struct {
        enum qos_option option;
        uint64_t value;
    } parts[] = {
        { QOS_OPTION_KEEPIDLE, v->keepalive.idle_sec },
        { QOS_OPTION_KEEPINTVL, v->keepalive.interval_sec },
        { QOS_OPTION_KEEPCNT, v->keepalive.count },
        { QOS_OPTION_KEEPALIVE, 1 },
    };
    int r;

    if (v->keepalive.idle_sec == 0)
        return option_set(s, QOS_OPTION_KEEPALIVE, 0);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        r = option_set(s, parts[i].option, parts[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int decode_keepalive(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                            union setting_value *ret) {
    if ((raw->known & h->options) != h->options)
        return -EOPNOTSUPP;
    ret->keepalive.idle_sec = ret->keepalive.interval_sec = ret->keepalive.count = 0;
    if (raw->option[QOS_OPTION_KEEPALIVE]) {
        ret->keepalive.idle_sec = (uint32_t) raw->option[QOS_OPTION_KEEPIDLE];
        ret->keepalive.interval_sec = (uint32_t) raw->option[QOS_OPTION_KEEPINTVL];
        ret->keepalive.count = (uint32_t) raw->option[QOS_OPTION_KEEPCNT];
    }
    return 0;
}

static int set_congestion(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    return option_set_congestion(s, v->name);
}

static int inherit_congestion(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *base) {
    return base->congestion[0] ? option_set_congestion(s, base->congestion) : 0;
}

static int decode_congestion(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                             union setting_value *ret) {
    if (!raw->congestion[0])
        return -EOPNOTSUPP;
    memcpy(ret->name, raw->congestion, sizeof(ret->name));
    return 0;
}

static int set_pacing_rate(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    return option_set(s, h->option, v->number == 0 ? OPTION_PACING_UNLIMITED : (uint64_t) v->number);
}

static int decode_pacing_rate(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                              union setting_value *ret) {
    if (!known(raw, h->option))
        return -EOPNOTSUPP;
    ret->number = raw->option[h->option] > INT64_MAX ? 0 : (int64_t) raw->option[h->option];
    return 0;
}

/* Not in a baseline: the kernel drops it by itself. */
static int set_quickack(const struct qos_socket *s, const struct handler *h, const union setting_value *v) {
    int on = v->number != 0;

    return setsockopt(s->fd, SOL_TCP, TCP_QUICKACK, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int inherit_nothing(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *base) {
    return 0;
}

static int decode_quickack(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                           union setting_value *ret) {
    socklen_t size = sizeof(int);
    int on;

    if (getsockopt(s->fd, SOL_TCP, TCP_QUICKACK, &on, &size) < 0)
        return -errno;
    ret->number = on != 0;
    return 0;
}

#define NUMBER(setting, raw, per)                                                                                      \
    {                                                                                                                  \
        .id = (setting), .option = (raw), .unit = (per), .options = OPTION_BIT(raw), .set = set_number,                \
        .inherit = inherit_each, .decode = decode_number                                                               \
    }
#define BUFFER(setting, raw)                                                                                           \
    {                                                                                                                  \
        .id = (setting), .option = (raw), .options = OPTION_BIT(raw) | OPTION_BIT(QOS_OPTION_BUF_LOCK),                \
        .set = set_buffer, .inherit = inherit_buffer, .decode = decode_buffer                                          \
    }

static const struct handler handlers[] = {
    { .id = SETTING_DSCP,
      .options = OPTION_BIT(QOS_OPTION_TOS) | OPTION_BIT(QOS_OPTION_TCLASS),
      .set = set_dscp,
      .inherit = inherit_each,
      .decode = decode_dscp },
    NUMBER(SETTING_MARK, QOS_OPTION_MARK, 1),
    { .id = SETTING_TTL,
      .options = OPTION_BIT(QOS_OPTION_TTL) | OPTION_BIT(QOS_OPTION_HOPS),
      .set = set_ttl,
      .inherit = inherit_each,
      .decode = decode_ttl },
    BUFFER(SETTING_RECEIVE_BUFFER, QOS_OPTION_RCVBUF),
    BUFFER(SETTING_SEND_BUFFER, QOS_OPTION_SNDBUF),
    NUMBER(SETTING_NODELAY, QOS_OPTION_NODELAY, 1),
    { .id = SETTING_QUICKACK, .set = set_quickack, .inherit = inherit_nothing, .decode = decode_quickack },
    { .id = SETTING_KEEPALIVE,
      .options = OPTION_BIT(QOS_OPTION_KEEPALIVE) | OPTION_BIT(QOS_OPTION_KEEPIDLE) | OPTION_BIT(QOS_OPTION_KEEPINTVL) |
                 OPTION_BIT(QOS_OPTION_KEEPCNT),
      .set = set_keepalive,
      .inherit = inherit_each,
      .decode = decode_keepalive },
    NUMBER(SETTING_USER_TIMEOUT, QOS_OPTION_USER_TIMEOUT, 1000),
    { .id = SETTING_CONGESTION,
      .congestion = true,
      .set = set_congestion,
      .inherit = inherit_congestion,
      .decode = decode_congestion },
    { .id = SETTING_PACING_RATE,
      .option = QOS_OPTION_PACING_RATE,
      .options = OPTION_BIT(QOS_OPTION_PACING_RATE),
      .set = set_pacing_rate,
      .inherit = inherit_each,
      .decode = decode_pacing_rate },
    NUMBER(SETTING_NOTSENT_LOWAT, QOS_OPTION_NOTSENT_LOWAT, 1),
    NUMBER(SETTING_DEFER_ACCEPT, QOS_OPTION_DEFER_ACCEPT, (int64_t) USEC_PER_SEC),
    NUMBER(SETTING_BUSY_POLL, QOS_OPTION_BUSY_POLL, 1),
    { .id = SETTING_PRIORITY,
      .option = QOS_OPTION_PRIORITY,
      .unit = 1,
      .options = OPTION_BIT(QOS_OPTION_PRIORITY),
      .set = set_number,
      .inherit = inherit_priority,
      .decode = decode_number },
};

const struct handler *handler_row(size_t i) {
    return i < ARRAY_SIZE(handlers) ? &handlers[i] : NULL;
}

const struct handler *handler_by_id(enum setting_id id) {
    for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
        if (handlers[i].id == id)
            return &handlers[i];
    return NULL;
}

bool handler_fits(const struct qos_socket *s, const struct handler *h) {
    unsigned carrier = s->listening ? CARRIER_LISTENING : s->type == SOCK_STREAM ? CARRIER_STREAM : CARRIER_DATAGRAM;

    return setting_by_id(h->id)->carriers & carrier;
}

bool handler_inherits(const struct handler *h, const struct settings *set) {
    return !settings_has(set, h->id) || settings_inherits(set, h->id) ||
           (h->id == SETTING_DSCP && set->v[h->id].number >= DSCP_REFLECT);
}

int handler_apply(const struct qos_socket *s, const struct handler *h, const struct settings *set,
                  const struct qos_baseline *base) {
    if (!handler_inherits(h, set))
        return h->set(s, h, &set->v[h->id]);
    return base ? h->inherit(s, h, base) : 0;
}

int handler_read(const struct qos_socket *s, const struct handler *h, union setting_value *ret) {
    struct qos_baseline raw;

    baseline_capture(s, h->options, h->congestion, &raw);
    return h->decode(s, h, &raw, ret);
}
