/* SPDX-License-Identifier: MIT */
/*
 * The settings table: the only place that knows which settings exist, what they accept and where they apply.
 * Configuration parser, protocol, `sockqctl set`, `help settings`, completion and man page are made from it; how a
 * setting reaches a socket is in the qos room, keyed by id. Pure data and functions, any thread.
 *
 * To add a setting: one id here, one row in setting.c, one handler in daemon/qos/, or for one of the daemon itself the masks
 * of what has no use for it (struct engine). A new type: setting-type.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "coding.h"
#include "macro.h"

enum setting_id {
    /* Each leg of a flow has these. */
    SETTING_DSCP,
    SETTING_PRIORITY,
    SETTING_MARK,
    SETTING_TTL,
    SETTING_RECEIVE_BUFFER,
    SETTING_SEND_BUFFER,
    SETTING_NODELAY,
    SETTING_QUICKACK,
    SETTING_KEEPALIVE,
    SETTING_USER_TIMEOUT,
    SETTING_CONGESTION,
    SETTING_PACING_RATE,
    SETTING_NOTSENT_LOWAT,
    SETTING_BUSY_POLL,
    SETTING_COMPRESSION,
    SETTING_DECOMPRESSION,
    SETTING_DECOMPRESSION_MAX_RATIO,
    SETTING_DECOMPRESSION_MAX_OUTPUT,
    SETTING_LEG_MAX,
    /* The flow or its listener as a whole. */
    SETTING_IO_BUFFER = SETTING_LEG_MAX,
    SETTING_IDLE_TIMEOUT,
    SETTING_COMPRESSION_UNIT,
    SETTING_PAYLOAD_LIMIT,
    SETTING_FRAME_TIMEOUT,
    SETTING_CONNECT_TIMEOUT,
    SETTING_HALF_CLOSE_TIMEOUT,
    SETTING_SESSION_TIMEOUT,
    SETTING_DEFER_ACCEPT,
    SETTING_RATE_LIMIT, /* these three in a row: whose limit it is */
    SETTING_RATE_LIMIT_PER_SOURCE,
    SETTING_RATE_LIMIT_PER_FLOW,
    SETTING_MAX_CONNECTIONS,
    SETTING_MAX_CONNECTIONS_PER_SOURCE,
    SETTING_ALLOW,
    SETTING_DENY,
    SETTING_OWN_MAX,
    /* SETTING_UPSTREAM + an id of the first group: that setting of the upstream leg. */
    SETTING_UPSTREAM = SETTING_OWN_MAX,
    SETTING_MAX = SETTING_UPSTREAM + SETTING_LEG_MAX,
    SETTING_INVALID = -22,
};

/* What a name is about: "dscp" is the setting of both legs, where there are two. */
enum setting_leg {
    SETTING_LEG_ALL,
    SETTING_LEG_CLIENT,   /* "client.dscp" */
    SETTING_LEG_UPSTREAM, /* "upstream.dscp" */
};

enum setting_type {
    SETTING_TYPE_DSCP,      /* number: 0-63, DSCP_REFLECT or DSCP_PASSTHROUGH */
    SETTING_TYPE_TOS,       /* the same number, spelt as a byte */
    SETTING_TYPE_INTEGER,   /* number */
    SETTING_TYPE_MARK,      /* number, spelt in hexadecimal */
    SETTING_TYPE_SIZE,      /* number: bytes */
    SETTING_TYPE_RATE,      /* number: bytes per second */
    SETTING_TYPE_DURATION,  /* number: microseconds */
    SETTING_TYPE_BOOL,      /* number: 0 or 1 */
    SETTING_TYPE_WORD,      /* number: which of `words` */
    SETTING_TYPE_KEEPALIVE, /* keepalive; idle_sec 0 is off */
    SETTING_TYPE_NAME,      /* name: [a-z0-9_-], for congestion */
    SETTING_TYPE_CODING,    /* coding; the level is 0 where it means nothing */
    SETTING_TYPE_LIMIT,     /* limit; per_sec 0 is off */
    SETTING_TYPE_CIDR_LIST, /* cidrs, never NULL in a value that is set */
    SETTING_TYPE_MAX,
};

/* Numbers of dscp that are no mark. */
#define DSCP_REFLECT 64     /* "reflect": answer with the mark received on this leg */
#define DSCP_PASSTHROUGH 65 /* "passthrough": send with the mark received on the other leg */

/* What a setting can be applied to. */
enum {
    CARRIER_LISTENING = 1 << 0, /* a listening TCP socket */
    CARRIER_STREAM = 1 << 1,    /* an established TCP socket */
    CARRIER_DATAGRAM = 1 << 2,  /* a UDP socket */
    CARRIER_PACKET = 1 << 3,    /* each datagram sent, by control message */
    CARRIER_DAEMON = 1 << 4,    /* the daemon itself: its buffers, timers, codecs, tables */
};

enum setting_live {
    SETTING_LIVE,      /* acts on established flows */
    SETTING_LIVE_SOME, /* acts on established flows within limits that the result names */
    SETTING_NEW_FLOWS, /* holds for new flows */
};

/* The words of compression_unit. */
enum compression_unit {
    COMPRESSION_UNIT_STREAM,
    COMPRESSION_UNIT_PAYLOAD,
};

/* So much a second, and so much at once after a silence. */
struct rate_limit {
    uint64_t per_sec : 63; /* bytes or payloads; 0: no limit */
    uint64_t payloads : 1; /* they are counted, not their bytes */
    uint64_t burst;        /* never 0 where there is a limit */
};

union setting_value {
    int64_t number;
    struct {
        uint32_t idle_sec, interval_sec, count;
    } keepalive;
    char name[16];
    struct {
        uint8_t id; /* enum coding */
        int8_t level;
    } coding;
    struct rate_limit limit;
    struct cidr_list *cidrs; /* owned: one reference */
};

struct setting {
    enum setting_id id;
    enum setting_leg leg;
    const char *name;
    const char *help; /* one line, no full stop */
    enum setting_type type;
    int64_t min, max;         /* range of number, in the base unit; the zero word lies outside it */
    int64_t step;             /* number is a multiple of it, in the base unit; 0: any */
    const char *const *words; /* of SETTING_TYPE_WORD, NULL-terminated */
    const char *syntax;       /* for help and man page: "0-7", "SIZE", "zlib[:1-9]"; NULL: no row of this table */
    const char *zero_word;    /* how the value 0 is spelt ("auto", "off", "unlimited"), or NULL */
    const char *dflt;         /* canonical text or "inherit" */
    unsigned carriers;
    enum setting_live live;
    bool may_inherit;            /* accepts "inherit": has a kernel or socket-unit value underneath */
    bool restorable;             /* can be taken back without a capability */
    const char *capability;      /* what a change may need ("CAP_NET_ADMIN"), or NULL */
    const char *capability_when; /* when it needs it ("priority 7"), NULL: always */
    bool alias;                  /* another spelling of `id`: accepted everywhere, shown only when asked for */
};

/* The id that the same setting of the client leg has: what a value means does not depend on the leg. */
static inline enum setting_id setting_client_id(enum setting_id id) {
    return id >= SETTING_UPSTREAM ? (enum setting_id)(id - SETTING_UPSTREAM) : id;
}

/* Rows in table order: the settings, those of the upstream leg, aliases; ends with NULL. */
const struct setting *setting_row(size_t i);
/* The canonical row of an id; never NULL for a valid id. "dscp" is that of both legs and of the client leg. */
const struct setting *setting_by_id(enum setting_id id);
/* By name, aliases included; NULL if there is none. */
const struct setting *setting_find(const char *name);
/* The row of a name on one leg: "dscp" on the upstream leg is "upstream.dscp". NULL if legs have no such setting. */
const struct setting *setting_find_on_leg(const char *name, enum setting_leg leg);
/* Bits of the ids that a row's name is about. */
uint64_t setting_keys(const struct setting *row);
/* The nearest name, for "did you mean", or NULL. */
const char *setting_suggest(const char *name);

/* Parses one value. Returns 0; -EINVAL or -ERANGE with *ret_reason (if not NULL; owned by the caller, one clause without
 * full stop, printable ASCII, with a suggestion where there is one, e.g. "unknown DSCP name 'EFF', did you mean 'EF'?");
 * -ENOMEM.
 * "inherit" is not a value: see settings_set_text(). The value owns what it points to: setting_value_done(). */
int setting_parse(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) _must_check_;

/* The canonical text of a value; parsing it gives the same value. Owned by the caller, NULL only when out of memory. */
char *setting_format(const struct setting *s, const union setting_value *v) _must_check_;

bool setting_value_equal(const struct setting *s, const union setting_value *a, const union setting_value *b);
void setting_value_copy(const struct setting *s, union setting_value *dst, const union setting_value *src);
void setting_value_done(const struct setting *s, union setting_value *v);

/*
 * A set of settings: what a profile, a listener, an overlay or a flow says. A key is absent, "inherit" or a value.
 * Not shared between threads unless immutable.
 */
struct settings {
    uint64_t set_mask;     /* bit per id: says something */
    uint64_t inherit_mask; /* bit per id, subset of set_mask: says "inherit" */
    union setting_value v[SETTING_MAX];
};

#define SETTING_BIT(id) (UINT64_C(1) << (id))
#define SETTINGS_ALL (SETTING_BIT(SETTING_MAX) - 1)
#define SETTINGS_UPSTREAM (SETTINGS_ALL & ~(SETTING_BIT(SETTING_UPSTREAM) - 1)) /* of the upstream leg */

static inline bool settings_has(const struct settings *s, enum setting_id id) {
    return (s->set_mask & SETTING_BIT(id)) != 0;
}
static inline bool settings_inherits(const struct settings *s, enum setting_id id) {
    return (s->inherit_mask & SETTING_BIT(id)) != 0;
}

/* Keys as somebody names them: one for a setting of both legs, not two. */
static inline uint64_t settings_named(uint64_t keys) {
    return keys & ~((keys & (SETTING_BIT(SETTING_LEG_MAX) - 1)) << SETTING_UPSTREAM);
}

/* Parses and stores "inherit" or a value under every id of setting_keys(); errors as setting_parse(). On error nothing is
 * changed. */
int settings_set_text(struct settings *s, const struct setting *row, const char *text, char **ret_reason) _must_check_;
/* Canonical text of what is stored ("inherit" included), spelt as `row` spells it. NULL if absent or out of memory. */
char *settings_get_text(const struct settings *s, const struct setting *row) _must_check_;
/* Copies the keys of `mask` that `src` has; keys that it lacks stay. */
void settings_merge(struct settings *dst, const struct settings *src, uint64_t mask);
/* Forgets the keys of `mask`. */
void settings_clear(struct settings *s, uint64_t mask);
/* Bits of the keys in which the two differ (presence, inherit or value). */
uint64_t settings_diff(const struct settings *a, const struct settings *b);
void settings_done(struct settings *s);
/* The upstream leg's values under the ids that the client leg has, for whoever handles one leg at a time. What `s` does
 * not say stays in `ret`. */
void settings_upstream(const struct settings *s, struct settings *ret);
/* The table's defaults: every key present. */
void settings_defaults(struct settings *ret);
