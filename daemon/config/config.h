/* SPDX-License-Identifier: MIT */
/*
 * The files, read into one immutable, reference-counted struct config. Main thread. Does not log: faults are
 * collected, and whoever asked tells them. sockqd.conf(5).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "frame.h"
#include "setting.h"

#define CONFIG_FILE_DEFAULT SOCKQ_SYSCONFDIR "/sockq/sockqd.conf"
#define CONFIG_NAME_MAX 64 /* length of a profile's or listener's name */
#define CONFIG_LISTENERS_MAX 256
#define CONFIG_PROFILES_MAX 256
#define CONFIG_LISTEN_MAX 64 /* entries of one `listen` list */
#define CONFIG_FILE_BYTES_MAX (4 * 1024 * 1024)
#define CONFIG_REPLY_MAX 4096
#define CONFIG_WORKERS_MAX 256
#define CONFIG_DRAIN_TIMEOUT_USEC_MAX (INT64_C(3600) * 1000000)
#define CONFIG_STATS_INTERVAL_USEC_MIN (INT64_C(1) * 1000000)
#define CONFIG_STATS_INTERVAL_USEC_MAX (INT64_C(86400) * 1000000)
#define CONFIG_EXIT_ON_IDLE_USEC_MIN (INT64_C(1) * 1000000)
#define CONFIG_EXIT_ON_IDLE_USEC_MAX (INT64_C(86400) * 1000000)
#define CONFIG_JOURNAL_RATE_DEFAULT 100
#define CONFIG_JOURNAL_RATE_MAX 100000
#define CONFIG_JOURNAL_SIZE_DEFAULT 4096
#define CONFIG_JOURNAL_SIZE_MAX (64 * 1024)
#define CONFIG_UPSTREAMS_MAX 64
#define CONFIG_HOST_MAX 253 /* of a host name, RFC 1035 */

/* Where something was said. `file` points into the config (or the fault list). */
struct config_where {
    const char *file;
    unsigned line;
};

struct config_profile {
    char *name;
    struct settings settings;
    struct config_where where;
};

/* One entry of `listen`. */
struct config_listen {
    char *text; /* canonical: "tcp:127.0.0.1:7000" */
    int type;   /* SOCK_STREAM or SOCK_DGRAM */
    struct address address;
    struct config_where where;
};

/* One upstream of target forward. */
struct config_upstream {
    char *text;             /* canonical: "tcp:10.0.0.5:9000", "udp:app.example:53", "unix:/run/app.sock" */
    int type;               /* SOCK_STREAM or SOCK_DGRAM */
    struct address address; /* size 0: `host` or `path` says where */
    char *host;             /* a name to be resolved, with `port` */
    uint16_t port;
    char *path; /* of a Unix socket */
    struct config_where where;
};

/* "tcp:HOST:PORT", "udp:HOST:PORT", "unix:/PATH". 0, -EINVAL (with *ret_reason, one clause, owned by the caller), -ENOMEM. */
int config_upstream_parse(const char *text, struct config_upstream *ret, char **ret_reason) _must_check_;
void config_upstream_done(struct config_upstream *u);

/* Which upstream takes the next flow. */
enum balance {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_FLOWS,
    BALANCE_SOURCE_HASH, /* the same source keeps its upstream as long as that is up */
    BALANCE_FIRST,       /* the first one in the list that is up */
};
const char *const *config_balance_names(void); /* by enum balance, NULL-terminated */

/* What tells an upstream the client's address (PROXY protocol, versions 1 and 2). */
enum proxy_protocol { PROXY_OFF, PROXY_V1, PROXY_V2 };

/* Whose address the upstream sees. */
enum forward_source {
    FORWARD_SOURCE_ANY,     /* as the routes say */
    FORWARD_SOURCE_ADDRESS, /* `source_address` */
    FORWARD_SOURCE_CLIENT,  /* the client's own: IP_TRANSPARENT, needs CAP_NET_ADMIN */
};

/* Keys of target forward. */
struct config_forward {
    struct config_upstream *upstreams;
    size_t n_upstreams;
    const struct config_profile *profile; /* of the upstream leg, on top of the listener's; NULL: none */
    enum balance balance;
    enum proxy_protocol proxy_protocol;
    struct cidr_list *accept_proxy; /* sources whose connections begin with a PROXY header; never NULL */
    enum forward_source source;
    struct address source_address;
    uint8_t dscp_map[64];        /* what a mark that is passed on becomes */
    int64_t check_interval_usec; /* between connection attempts that only check; 0: none */
    int64_t max_failures;        /* within failure_window: then an upstream is put aside */
    int64_t failure_window_usec;
    int64_t retry_after_usec; /* then one flow tries it again */
};

/* Do the files say the same? NULL says nothing. */
bool config_forward_equal(const struct config_forward *a, const struct config_forward *b);

struct config_listener {
    char *name;
    const struct config_profile *profile; /* NULL: none */
    const char *target;                   /* one of config_schema.targets; static */
    enum framing framing;                 /* of TCP; default chunk */
    char *reply; /* for `ack`; "Received" unless set, never empty, no NUL byte inside. NULL for other targets */
    int64_t journal_rate;           /* for `journal`: entries a second, 1-CONFIG_JOURNAL_RATE_MAX */
    int64_t journal_size;           /* for `journal`: bytes of a payload kept, 1-CONFIG_JOURNAL_SIZE_MAX */
    struct config_forward *forward; /* NULL for other targets */
    struct config_listen *listen;
    size_t n_listen;
    struct settings settings; /* own overrides */
    struct config_where where;
    struct config_where where_listen;
};

struct config_daemon {
    unsigned workers;             /* 0 ("auto", the default): one a CPU */
    uint64_t drain_timeout_usec;  /* default 10 s, 0: do not wait */
    uint64_t stats_interval_usec; /* default 60 s, 0 ("off"): never */
    uint64_t exit_on_idle_usec;   /* default 0 ("off"): never */
    int log_level;                /* syslog priority, default LOG_INFO */
};

struct config {
    unsigned refs;
    struct config_daemon daemon;
    struct config_profile *profiles;
    size_t n_profiles;
    struct config_listener *listeners;
    size_t n_listeners;
    char **files; /* read, in order; NULL-terminated */
};

/* What an upper floor knows and the check needs. */
struct config_schema {
    const char *const *targets; /* names, NULL-terminated */
};

/* One thing that is wrong. Texts are one clause without full stop, with a suggestion where there is one. */
struct config_fault {
    char *file;
    unsigned line; /* 0: the file as a whole */
    char *key;     /* "listeners.orders.dscp"; NULL: the file as a whole */
    char *text;
};

struct config_faults {
    struct config_fault *items;
    size_t n;
};
#define CONFIG_FAULTS_MAX 200 /* the last one then says that there were more */

/* Reads `path`, then `path`.d/[all]*.conf in name order (strverscmp is not used: plain byte order), dot files left out.
 * Groups merge key by key, arrays replace, the later file wins, also between two spellings of one setting. A missing
 * main file is a fault; a missing .d directory is not. A file that cannot be used is one fault; the others are still
 * checked, but nothing is called missing then. @include is refused.
 * 0; -EINVAL: at least one fault; -ENOMEM. Faults are appended, in the order of files and lines. */
int config_load(const char *path, const struct config_schema *schema, struct config **ret,
                struct config_faults *faults) _must_check_;
struct config *config_ref(struct config *c);
struct config *config_unref(struct config *c); /* accepts NULL, returns NULL */

/* NULL if there is none. */
const struct config_profile *config_profile(const struct config *c, const char *name);
const struct config_listener *config_listener(const struct config *c, const char *name);

/* The keys that mean something to a listener: all, or those without the upstream leg that it does not have. */
uint64_t config_listener_keys(const struct config_listener *l);

/* [A-Za-z][A-Za-z0-9_-]*, at most CONFIG_NAME_MAX. */
bool config_name_valid(const char *name);

/* Adds a fault; used by upper floors for what only they can find (a listener without sockets, a failed bind). */
void config_faults_add(struct config_faults *f, const struct config_where *where, const char *key, const char *format,
                       ...) _printf_(4, 5);
/* "FILE:LINE: key: text", owned by the caller. */
char *config_fault_format(const struct config_fault *f);
void config_faults_done(struct config_faults *f);
