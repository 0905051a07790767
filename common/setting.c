/* SPDX-License-Identifier: MIT */
#include "setting.h"

#include <assert.h>
#include <stdio.h>

#include "reason.h"
#include "setting-type.h"
#include "suggest.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define MSEC ((int64_t) USEC_PER_MSEC)
#define SEC ((int64_t) USEC_PER_SEC)
#define DAY (24 * 3600 * SEC)
#define KBIT INT64_C(125)
#define TBIT (1000000000 * KBIT)

#define TCP (CARRIER_LISTENING | CARRIER_STREAM)
#define TCP_UDP (TCP | CARRIER_DATAGRAM)

/* Aliases follow the canonical rows: "tos", then each setting of a leg as that of the client leg, then tos on each leg. */
enum {
    ROW_TOS = SETTING_MAX,
    ROW_CLIENT,
    ROW_CLIENT_TOS = ROW_CLIENT + SETTING_LEG_MAX,
    ROW_UPSTREAM_TOS,
    ROW_MAX,
};
static_assert(SETTING_MAX < 64, "a mask has a bit for each");

static const char *const compression_units[] = {
    [COMPRESSION_UNIT_STREAM] = "stream",
    [COMPRESSION_UNIT_PAYLOAD] = "payload",
    NULL,
};

static struct setting rows[ROW_MAX] = {
    [SETTING_DSCP] = { .id = SETTING_DSCP,
                       .name = "dscp",
                       .help = "mark of outgoing packets, by name or number",
                       .type = SETTING_TYPE_DSCP,
                       .max = DSCP_REFLECT - 1,
                       .syntax = "NAME|0-63|reflect|passthrough",
                       .dflt = "inherit",
                       .carriers = TCP_UDP | CARRIER_PACKET,
                       .may_inherit = true,
                       .restorable = true },
    [SETTING_PRIORITY] = { .id = SETTING_PRIORITY,
                           .name = "priority",
                           .help = "queueing priority inside this host (SO_PRIORITY)",
                           .type = SETTING_TYPE_INTEGER,
                           .max = 7,
                           .syntax = "0-7",
                           .dflt = "inherit",
                           .carriers = TCP_UDP,
                           .may_inherit = true,
                           .restorable = true,
                           .capability = "CAP_NET_ADMIN",
                           .capability_when = "priority 7" },
    [SETTING_MARK] = { .id = SETTING_MARK,
                       .name = "mark",
                       .help = "firewall mark for routing and filtering on this host (SO_MARK)",
                       .type = SETTING_TYPE_MARK,
                       .max = UINT32_MAX,
                       .syntax = "0-0xffffffff",
                       .dflt = "inherit",
                       .carriers = TCP_UDP,
                       .may_inherit = true,
                       .capability = "CAP_NET_ADMIN" },
    [SETTING_TTL] = { .id = SETTING_TTL,
                      .name = "ttl",
                      .help = "hops that outgoing packets may make",
                      .type = SETTING_TYPE_INTEGER,
                      .min = 1,
                      .max = 255,
                      .syntax = "1-255",
                      .dflt = "inherit",
                      .carriers = TCP_UDP,
                      .may_inherit = true,
                      .restorable = true },
    [SETTING_RECEIVE_BUFFER] = { .id = SETTING_RECEIVE_BUFFER,
                                 .name = "receive_buffer",
                                 .help = "kernel receive buffer of the socket, auto lets the kernel tune it",
                                 .type = SETTING_TYPE_SIZE,
                                 .min = 2 * KIB,
                                 .max = GIB,
                                 .syntax = "SIZE|auto",
                                 .zero_word = "auto",
                                 .dflt = "inherit",
                                 .carriers = TCP_UDP,
                                 .live = SETTING_LIVE_SOME,
                                 .may_inherit = true,
                                 .restorable = true },
    [SETTING_SEND_BUFFER] = { .id = SETTING_SEND_BUFFER,
                              .name = "send_buffer",
                              .help = "kernel send buffer of the socket, auto lets the kernel tune it",
                              .type = SETTING_TYPE_SIZE,
                              .min = 2 * KIB,
                              .max = GIB,
                              .syntax = "SIZE|auto",
                              .zero_word = "auto",
                              .dflt = "inherit",
                              .carriers = TCP_UDP,
                              .may_inherit = true,
                              .restorable = true },
    [SETTING_NODELAY] = { .id = SETTING_NODELAY,
                          .name = "nodelay",
                          .help = "send small segments at once (TCP_NODELAY)",
                          .type = SETTING_TYPE_BOOL,
                          .max = 1,
                          .syntax = "true|false",
                          .dflt = "true",
                          .carriers = TCP,
                          .may_inherit = true,
                          .restorable = true },
    [SETTING_QUICKACK] = { .id = SETTING_QUICKACK,
                           .name = "quickack",
                           .help = "acknowledge received segments without delay (TCP_QUICKACK)",
                           .type = SETTING_TYPE_BOOL,
                           .max = 1,
                           .syntax = "true|false",
                           .dflt = "inherit",
                           .carriers = CARRIER_STREAM,
                           .may_inherit = true,
                           .restorable = true },
    [SETTING_KEEPALIVE] = { .id = SETTING_KEEPALIVE,
                            .name = "keepalive",
                            .help = "probe silent peers: after IDLE, every INTERVAL, give up after COUNT",
                            .type = SETTING_TYPE_KEEPALIVE,
                            .syntax = "IDLE,INTERVAL,COUNT|off",
                            .zero_word = "off",
                            .dflt = "inherit",
                            .carriers = TCP,
                            .may_inherit = true,
                            .restorable = true },
    [SETTING_USER_TIMEOUT] = { .id = SETTING_USER_TIMEOUT,
                               .name = "user_timeout",
                               .help = "give up when sent data stays unacknowledged for so long (RFC 5482)",
                               .type = SETTING_TYPE_DURATION,
                               .min = MSEC,
                               .max = DAY,
                               .step = MSEC,
                               .syntax = "DURATION|off",
                               .zero_word = "off",
                               .dflt = "inherit",
                               .carriers = TCP,
                               .may_inherit = true,
                               .restorable = true },
    [SETTING_CONGESTION] = { .id = SETTING_CONGESTION,
                             .name = "congestion",
                             .help = "congestion control algorithm, as the kernel names it",
                             .type = SETTING_TYPE_NAME,
                             .syntax = "NAME",
                             .dflt = "inherit",
                             .carriers = TCP,
                             .may_inherit = true,
                             .restorable = true,
                             .capability = "CAP_NET_ADMIN",
                             .capability_when = "the algorithm is not in net.ipv4.tcp_allowed_congestion_control" },
    [SETTING_PACING_RATE] = { .id = SETTING_PACING_RATE,
                              .name = "pacing_rate",
                              .help = "most that one flow sends a second, evenly spaced (SO_MAX_PACING_RATE)",
                              .type = SETTING_TYPE_RATE,
                              .min = KBIT,
                              .max = TBIT,
                              .syntax = "RATE|unlimited",
                              .zero_word = "unlimited",
                              .dflt = "inherit",
                              .carriers = TCP,
                              .may_inherit = true,
                              .restorable = true },
    [SETTING_NOTSENT_LOWAT] = { .id = SETTING_NOTSENT_LOWAT,
                                .name = "notsent_lowat",
                                .help = "unsent bytes the kernel takes from the daemon (TCP_NOTSENT_LOWAT)",
                                .type = SETTING_TYPE_SIZE,
                                .min = 1,
                                .max = GIB,
                                .syntax = "SIZE|off",
                                .zero_word = "off",
                                .dflt = "inherit",
                                .carriers = TCP,
                                .may_inherit = true,
                                .restorable = true },
    [SETTING_BUSY_POLL] = { .id = SETTING_BUSY_POLL,
                            .name = "busy_poll",
                            .help = "spin on the device queue for so long before sleeping (SO_BUSY_POLL)",
                            .type = SETTING_TYPE_DURATION,
                            .min = 1,
                            .max = SEC,
                            .syntax = "DURATION|off",
                            .zero_word = "off",
                            .dflt = "inherit",
                            .carriers = TCP_UDP,
                            .may_inherit = true,
                            .capability = "CAP_NET_ADMIN",
                            .capability_when = "raising it above what the socket has (at first net.core.busy_read)" },
    [SETTING_COMPRESSION] = { .id = SETTING_COMPRESSION,
                              .name = "compression",
                              .help = "compress what is sent, with a level",
                              .type = SETTING_TYPE_CODING,
                              .syntax = "off|zlib[:1-9]|gzip[:1-9]",
                              .dflt = "off",
                              .carriers = CARRIER_DAEMON,
                              .live = SETTING_LIVE_SOME,
                              .restorable = true },
    [SETTING_DECOMPRESSION] = { .id = SETTING_DECOMPRESSION,
                                .name = "decompression",
                                .help = "decompress what is received, a level is accepted and means nothing",
                                .type = SETTING_TYPE_CODING,
                                .syntax = "off|zlib[:1-9]|gzip[:1-9]|auto",
                                .dflt = "off",
                                .carriers = CARRIER_DAEMON,
                                .live = SETTING_NEW_FLOWS,
                                .restorable = true },
    [SETTING_DECOMPRESSION_MAX_RATIO] = { .id = SETTING_DECOMPRESSION_MAX_RATIO,
                                          .name = "decompression_max_ratio",
                                          .help = "most bytes out for each byte in, once more than 1M has come out",
                                          .type = SETTING_TYPE_INTEGER,
                                          .min = 1,
                                          .max = 100000,
                                          .syntax = "1-100000|unlimited",
                                          .zero_word = "unlimited",
                                          .dflt = "200",
                                          .carriers = CARRIER_DAEMON,
                                          .restorable = true },
    [SETTING_DECOMPRESSION_MAX_OUTPUT] = { .id = SETTING_DECOMPRESSION_MAX_OUTPUT,
                                           .name = "decompression_max_output",
                                           .help = "most bytes that one compressed whole may come to",
                                           .type = SETTING_TYPE_SIZE,
                                           .min = 1,
                                           .max = 1024 * GIB,
                                           .syntax = "SIZE|unlimited",
                                           .zero_word = "unlimited",
                                           .dflt = "unlimited",
                                           .carriers = CARRIER_DAEMON,
                                           .restorable = true },
    [SETTING_IO_BUFFER] = { .id = SETTING_IO_BUFFER,
                            .name = "io_buffer",
                            .help = "most bytes that one read or write of the daemon moves",
                            .type = SETTING_TYPE_SIZE,
                            .min = 4 * KIB,
                            .max = MIB,
                            .syntax = "SIZE",
                            .dflt = "64K",
                            .carriers = CARRIER_DAEMON,
                            .restorable = true },
    [SETTING_IDLE_TIMEOUT] = { .id = SETTING_IDLE_TIMEOUT,
                               .name = "idle_timeout",
                               .help = "close a flow that moves no bytes for so long",
                               .type = SETTING_TYPE_DURATION,
                               .min = MSEC,
                               .max = 7 * DAY,
                               .step = MSEC,
                               .syntax = "DURATION|off",
                               .zero_word = "off",
                               .dflt = "off",
                               .carriers = CARRIER_DAEMON,
                               .restorable = true },
    [SETTING_COMPRESSION_UNIT] = { .id = SETTING_COMPRESSION_UNIT,
                                   .name = "compression_unit",
                                   .help = "what is one compressed whole on TCP, the stream or each reply",
                                   .type = SETTING_TYPE_WORD,
                                   .words = compression_units,
                                   .syntax = "stream|payload",
                                   .dflt = "stream",
                                   .carriers = CARRIER_DAEMON,
                                   .live = SETTING_NEW_FLOWS,
                                   .restorable = true },
    [SETTING_PAYLOAD_LIMIT] = { .id = SETTING_PAYLOAD_LIMIT,
                                .name = "payload_limit",
                                .help = "most bytes of one framed payload on TCP",
                                .type = SETTING_TYPE_SIZE,
                                .min = 1,
                                .max = 64 * MIB,
                                .syntax = "SIZE",
                                .dflt = "1M",
                                .carriers = CARRIER_DAEMON,
                                .restorable = true },
    [SETTING_FRAME_TIMEOUT] = { .id = SETTING_FRAME_TIMEOUT,
                                .name = "frame_timeout",
                                .help = "longest time from the first to the last byte of a framed payload on TCP",
                                .type = SETTING_TYPE_DURATION,
                                .min = MSEC,
                                .max = DAY,
                                .step = MSEC,
                                .syntax = "DURATION|off",
                                .zero_word = "off",
                                .dflt = "30s",
                                .carriers = CARRIER_DAEMON,
                                .restorable = true },
    [SETTING_CONNECT_TIMEOUT] = { .id = SETTING_CONNECT_TIMEOUT,
                                  .name = "connect_timeout",
                                  .help = "longest time to reach an upstream before the next one is tried",
                                  .type = SETTING_TYPE_DURATION,
                                  .min = MSEC,
                                  .max = 3600 * SEC,
                                  .step = MSEC,
                                  .syntax = "DURATION",
                                  .dflt = "5s",
                                  .carriers = CARRIER_DAEMON,
                                  .restorable = true },
    [SETTING_HALF_CLOSE_TIMEOUT] = { .id = SETTING_HALF_CLOSE_TIMEOUT,
                                     .name = "half_close_timeout",
                                     .help = "close a relayed flow of which one side has ended and no bytes move for "
                                             "so long",
                                     .type = SETTING_TYPE_DURATION,
                                     .min = MSEC,
                                     .max = 7 * DAY,
                                     .step = MSEC,
                                     .syntax = "DURATION|off",
                                     .zero_word = "off",
                                     .dflt = "off",
                                     .carriers = CARRIER_DAEMON,
                                     .restorable = true },
    [SETTING_SESSION_TIMEOUT] = { .id = SETTING_SESSION_TIMEOUT,
                                  .name = "session_timeout",
                                  .help = "end a forwarded UDP session that moves no datagrams for so long",
                                  .type = SETTING_TYPE_DURATION,
                                  .min = 100 * MSEC,
                                  .max = DAY,
                                  .step = MSEC,
                                  .syntax = "DURATION",
                                  .dflt = "1m",
                                  .carriers = CARRIER_DAEMON,
                                  .restorable = true },
    [SETTING_DEFER_ACCEPT] = { .id = SETTING_DEFER_ACCEPT,
                               .name = "defer_accept",
                               .help = "take connections when they bring data, or after so long (TCP_DEFER_ACCEPT)",
                               .type = SETTING_TYPE_DURATION,
                               .min = SEC,
                               .max = 3600 * SEC,
                               .step = SEC,
                               .syntax = "DURATION|off",
                               .zero_word = "off",
                               .dflt = "inherit",
                               .carriers = CARRIER_LISTENING,
                               .may_inherit = true,
                               .restorable = true },
    [SETTING_MAX_CONNECTIONS] = { .id = SETTING_MAX_CONNECTIONS,
                                  .name = "max_connections",
                                  .help = "connections of the listener at a time, further ones wait in the backlog",
                                  .type = SETTING_TYPE_INTEGER,
                                  .min = 1,
                                  .max = 1000000,
                                  .syntax = "1-1000000|unlimited",
                                  .zero_word = "unlimited",
                                  .dflt = "65536",
                                  .carriers = CARRIER_DAEMON,
                                  .live = SETTING_NEW_FLOWS,
                                  .restorable = true },
    [SETTING_MAX_CONNECTIONS_PER_SOURCE] = { .id = SETTING_MAX_CONNECTIONS_PER_SOURCE,
                                             .name = "max_connections_per_source",
                                             .help = "connections from one address at a time, further ones are reset",
                                             .type = SETTING_TYPE_INTEGER,
                                             .min = 1,
                                             .max = 1000000,
                                             .syntax = "1-1000000|unlimited",
                                             .zero_word = "unlimited",
                                             .dflt = "unlimited",
                                             .carriers = CARRIER_DAEMON,
                                             .live = SETTING_NEW_FLOWS,
                                             .restorable = true },
    [SETTING_ALLOW] = { .id = SETTING_ALLOW,
                        .name = "allow",
                        .help = "addresses that may connect, none lets everybody in",
                        .type = SETTING_TYPE_CIDR_LIST,
                        .syntax = "PREFIX[,PREFIX...]|none",
                        .dflt = "none",
                        .carriers = CARRIER_DAEMON,
                        .live = SETTING_NEW_FLOWS,
                        .restorable = true },
    [SETTING_DENY] = { .id = SETTING_DENY,
                       .name = "deny",
                       .help = "addresses that may not connect, the longest prefix wins over allow",
                       .type = SETTING_TYPE_CIDR_LIST,
                       .syntax = "PREFIX[,PREFIX...]|none",
                       .dflt = "none",
                       .carriers = CARRIER_DAEMON,
                       .live = SETTING_NEW_FLOWS,
                       .restorable = true },
    [ROW_TOS] = { .id = SETTING_DSCP,
                  .name = "tos",
                  .help = "dscp spelt as the TOS byte, without ECN bits",
                  .type = SETTING_TYPE_TOS,
                  .max = DSCP_REFLECT - 1,
                  .syntax = "0x00-0xfc|0-252|reflect|passthrough",
                  .dflt = "inherit",
                  .carriers = TCP_UDP | CARRIER_PACKET,
                  .may_inherit = true,
                  .restorable = true,
                  .alias = true },
};

/* Written once, before main(): the rows of single legs are those of both legs under other names. */
static char leg_names[2 * (SETTING_LEG_MAX + 1)][40];

static void make_leg_row(size_t to, size_t from, enum setting_leg leg, size_t name) {
    rows[to] = rows[from];
    rows[to].leg = leg;
    rows[to].name = leg_names[name];
    snprintf(leg_names[name], sizeof(leg_names[name]), "%s.%s", leg == SETTING_LEG_CLIENT ? "client" : "upstream",
             rows[from].name);
    if (leg == SETTING_LEG_CLIENT)
        rows[to].alias = true;
    else
        rows[to].id = SETTING_UPSTREAM + rows[from].id;
}

__attribute__((constructor)) static void make_leg_rows(void) {
    size_t n = 0;

    for (size_t i = 0; i < SETTING_LEG_MAX; i++) {
        make_leg_row(SETTING_UPSTREAM + i, i, SETTING_LEG_UPSTREAM, n++);
        make_leg_row(ROW_CLIENT + i, i, SETTING_LEG_CLIENT, n++);
    }
    make_leg_row(ROW_CLIENT_TOS, ROW_TOS, SETTING_LEG_CLIENT, n++);
    make_leg_row(ROW_UPSTREAM_TOS, ROW_TOS, SETTING_LEG_UPSTREAM, n++);
}

const struct setting *setting_row(size_t i) {
    return i < ROW_MAX ? &rows[i] : NULL;
}

const struct setting *setting_by_id(enum setting_id id) {
    return &rows[id];
}

const struct setting *setting_find(const char *name) {
    for (size_t i = 0; i < ROW_MAX; i++)
        if (streq(rows[i].name, name))
            return &rows[i];
    return NULL;
}

const struct setting *setting_find_on_leg(const char *name, enum setting_leg leg) {
    const struct setting *plain = setting_find(name);

    if (!plain || plain->leg != SETTING_LEG_ALL)
        return NULL;
    for (size_t i = 0; i < ROW_MAX; i++)
        if (rows[i].leg == leg && rows[i].type == plain->type && setting_client_id(rows[i].id) == plain->id)
            return &rows[i];
    return NULL;
}

uint64_t setting_keys(const struct setting *row) {
    uint64_t keys = SETTING_BIT(row->id);

    if (row->leg == SETTING_LEG_ALL && row->id < SETTING_LEG_MAX)
        keys |= SETTING_BIT(SETTING_UPSTREAM + row->id);
    return keys;
}

const char *setting_suggest(const char *name) {
    const char *names[ROW_MAX + 1] = {};

    for (size_t i = 0; i < ROW_MAX; i++)
        names[i] = rows[i].name;
    return suggest_near(name, names);
}

int setting_parse(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    union setting_value v = {};
    int r;

    /* Else it would be the name of a congestion control algorithm. */
    if (streq(text, "inherit"))
        return reason_set(ret_reason, -EINVAL, "%s needs a value here%s%s", s->name, s->syntax ? ": " : "",
                          s->syntax ? s->syntax : "");
    r = setting_type_ops(s->type)->parse(s, text, &v, ret_reason);
    if (r < 0)
        return r;

    *ret = v;
    return 0;
}

char *setting_format(const struct setting *s, const union setting_value *v) {
    return setting_type_ops(s->type)->format(s, v);
}

bool setting_value_equal(const struct setting *s, const union setting_value *a, const union setting_value *b) {
    const struct setting_type_ops *ops = setting_type_ops(s->type);

    return ops->equal ? ops->equal(a, b) : a->number == b->number;
}

void setting_value_copy(const struct setting *s, union setting_value *dst, const union setting_value *src) {
    const struct setting_type_ops *ops = setting_type_ops(s->type);

    *dst = *src;
    if (ops->ref)
        ops->ref(dst);
}

void setting_value_done(const struct setting *s, union setting_value *v) {
    const struct setting_type_ops *ops = setting_type_ops(s->type);

    if (ops->done)
        ops->done(v);
}
