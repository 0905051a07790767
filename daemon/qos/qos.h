/* SPDX-License-Identifier: MIT */
/*
 * Settings onto sockets, and back. One handler a setting, keyed by id, in the order in which they must be applied (TOS
 * before priority: IP_TOS overwrites SO_PRIORITY). Does not log. Every function may be used from the thread that owns
 * the socket; they only make system calls.
 *
 * Source: ip(7), ipv6(7), tcp(7), udp(7), socket(7).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "effective.h"
#include "setting.h"

/* What a socket is; fill with qos_socket_init(). */
struct qos_socket {
    int fd;
    int domain;     /* AF_INET or AF_INET6 */
    int type;       /* SOCK_STREAM or SOCK_DGRAM */
    bool listening; /* a listening TCP socket */
    bool v4_mapped; /* an AF_INET6 stream whose peer is IPv4: only IP_TOS counts */
};

/* From getsockopt and getpeername. -ENOTSOCK, -EAFNOSUPPORT (not IPv4 or IPv6), -ESOCKTNOSUPPORT (not TCP or UDP),
 * -errno. */
int qos_socket_init(struct qos_socket *ret, int fd) _must_check_;

/* The raw options of a socket as they were found, before anything was applied: what `inherit` goes back to. */
enum qos_option {
    QOS_OPTION_TOS,
    QOS_OPTION_TCLASS,
    QOS_OPTION_PRIORITY,
    QOS_OPTION_MARK,
    QOS_OPTION_TTL,
    QOS_OPTION_HOPS,
    QOS_OPTION_RCVBUF, /* as the kernel reports it: twice what was asked for */
    QOS_OPTION_SNDBUF,
    QOS_OPTION_BUF_LOCK, /* bit 0 (SOCK_SNDBUF_LOCK), bit 1 (SOCK_RCVBUF_LOCK): set explicitly, no autotuning */
    QOS_OPTION_NODELAY,
    QOS_OPTION_KEEPALIVE,
    QOS_OPTION_KEEPIDLE,
    QOS_OPTION_KEEPINTVL,
    QOS_OPTION_KEEPCNT,
    QOS_OPTION_USER_TIMEOUT,
    QOS_OPTION_NOTSENT_LOWAT,
    QOS_OPTION_BUSY_POLL,
    QOS_OPTION_PACING_RATE,  /* 64 bits, all ones: unlimited */
    QOS_OPTION_DEFER_ACCEPT, /* seconds, rounded up to what retransmissions take */
    QOS_OPTION_GRO,          /* of datagram sockets, from here on: set by qos_serve_datagrams(), by no setting */
    QOS_OPTION_RECVERR,
    QOS_OPTION_RECVERR6,
    QOS_OPTION_MAX,
};

struct qos_baseline {
    uint32_t known; /* bit per enum qos_option */
    uint64_t option[QOS_OPTION_MAX];
    char congestion[16]; /* empty: unknown */
};

/* Reads every option that the socket has. */
void qos_baseline_capture(const struct qos_socket *s, struct qos_baseline *ret);
/* The settings (SETTING_BIT) of which the socket has something else now. */
uint64_t qos_baseline_differs(const struct qos_socket *s, const struct qos_baseline *b);
/* Puts back every option that differs. Returns how many were put back; *ret_failed: how many could not be. */
unsigned qos_baseline_restore(const struct qos_socket *s, const struct qos_baseline *b, unsigned *ret_failed);
/* As a JSON object with the options by name, and back: for the memfd that survives a restart. NULL or -EINVAL. */
json_t *qos_baseline_to_json(const struct qos_baseline *b) _must_check_;
int qos_baseline_from_json(const json_t *j, struct qos_baseline *ret) _must_check_;

enum qos_outcome {
    QOS_APPLIED,
    QOS_DEFERRED, /* holds for new flows */
    QOS_NOT_APPLICABLE,
    QOS_FAILED,
};

/* "applied", "deferred", "not_applicable", "failed": as protocol and journal spell it. */
const char *qos_outcome_name(enum qos_outcome outcome);

struct qos_result {
    enum qos_outcome outcome;
    int error;          /* negative errno for QOS_FAILED, else 0 */
    const char *reason; /* static text: why deferred or limited, or NULL */
    bool has_effective; /* effective was read back from the kernel */
    union setting_value effective;
};

/*
 * Applies one setting of `set` (a value, or inherit: then the baseline's; with `base` NULL inherit does nothing) and
 * reads it back. `set` holds every key. QOS_NOT_APPLICABLE when the setting has no carrier that fits the socket
 * (settings of CARRIER_DAEMON alone always). An error that only says that the connection is gone (ECONNRESET, ENOTCONN,
 * EPIPE, EINVAL of a closed socket) gives QOS_NOT_APPLICABLE. dscp = reflect counts as inherit here: the base mark.
 * A buffer that is already as asked for is left alone, and so is a forced one that without a capability could only get
 * smaller. A buffer is tried with SO_*BUFFORCE first; a cap is no failure: `effective` differs, with a reason.
 * A receive buffer over what the connection's window scale can advertise: QOS_DEFERRED with the reason.
 */
void qos_apply_one(const struct qos_socket *s, enum setting_id id, const struct settings *set,
                   const struct qos_baseline *base, struct qos_result *ret);

/*
 * Applies the keys of `mask` in the right order: for each, `each` is called with the result (may be NULL). When dscp is
 * among them the priority in force is applied again behind it (`each` is called for it only if asked for). An inherited
 * priority follows the kernel's mapping of the new TOS, unless the baseline's priority had been set explicitly (is not
 * 0 and differs from what its TOS maps to). Returns the first error or 0; goes on after an error.
 */
typedef void (*qos_each_fn)(enum setting_id id, const struct qos_result *result, void *userdata);
int qos_apply(const struct qos_socket *s, const struct settings *set, uint64_t mask, const struct qos_baseline *base,
              qos_each_fn each, void *userdata);

/* The fast form for accepted flows: applies every key of `set` that is not inherited and has a stream carrier, without
 * read-back. `base` is the listening socket's: an inherited priority becomes what it is after a live change (accepted
 * sockets start with the listener's TOS, yet with priority 0), if the daemon may set that; NULL: a new socket, whose
 * priority follows its mark by itself. Returns the first error or 0; goes on after an error. */
int qos_apply_accepted(const struct qos_socket *s, const struct settings *set, const struct qos_baseline *base);

/* Reads what is in force, in the setting's own terms (buffers halved, "auto" when the kernel tunes). 0, -EOPNOTSUPP
 * when this socket has no such option, -errno. */
int qos_read(const struct qos_socket *s, enum setting_id id, union setting_value *ret) _must_check_;

/*
 * Before a change touches real sockets: applies the keys of `mask` to a scratch socket that is as `s` is now, then goes
 * back, and so checks that what is on the real socket could be put back without a capability that the daemon lacks (an
 * unprivileged dscp change would lose a priority 7 that the socket unit gave): -EPERM if not. Keys that are already as
 * asked for pass. `each` gets QOS_FAILED results only, of keys in `mask`: a priority lost behind a mark is dscp's.
 * 0 or the first error; without a call of `each` when there is no scratch socket to be had (-EMFILE and the like).
 */
int qos_try(const struct qos_socket *s, const struct settings *set, uint64_t mask, const struct qos_baseline *base,
            qos_each_fn each, void *userdata) _must_check_;

/* Words for a failure: likely cause and remedy, for the answer to a change. Static text, never NULL. */
const char *qos_failure_cause(enum setting_id id, int error);
const char *qos_failure_remedy(enum setting_id id, int error);

/* Arms the reception of marks and drops: IP_RECVTOS, IPV6_RECVTCLASS, and for datagrams SO_RXQ_OVFL, and unless the socket is
 * bound to one address IP_PKTINFO, IPV6_RECVPKTINFO. After bind(), before listen() or on the listening socket, so that the
 * handshake's mark is kept. 0 or -errno. */
int qos_observe_arm(const struct qos_socket *s) _must_check_;

/* For as long as a worker reads and writes a datagram socket: joined datagrams (UDP_GRO), and the errors of what was sent
 * (IP_RECVERR, IPV6_RECVERR), with which a full device queue refuses a send (ENOBUFS) that it would drop silently otherwise.
 * Who else reads the socket expects neither. What the kernel does not know stays off. */
void qos_serve_datagrams(const struct qos_socket *s, bool on);

/* How far a TCP reading can be trusted. */
enum qos_mark_label {
    QOS_MARK_NONE,      /* nothing known */
    QOS_MARK_HANDSHAKE, /* the handshake's last segment (IPv4) */
    QOS_MARK_LATEST,    /* the latest segment (IPv6) */
};
/* The TOS byte received on an established TCP socket, by IP_PKTOPTIONS or IPV6_2292PKTOPTIONS. Only for accepted
 * sockets: over IPv4 the connecting side always reads 0, which says nothing. */
enum qos_mark_label qos_received_tos(const struct qos_socket *s, uint8_t *ret_tos);
const char *qos_mark_label_name(enum qos_mark_label label); /* "handshake", "latest", NULL for none */

/* Sets the mark of one established flow, and behind it the priority that `set` says or that goes with the mark, as
 * qos_apply() does: for reflect. 0 or -errno. */
int qos_set_tos(const struct qos_socket *s, uint8_t tos, const struct settings *set, const struct qos_baseline *base);

/* Re-arms TCP_QUICKACK, which is not sticky. */
void qos_rearm_quickack(int fd, bool on);
