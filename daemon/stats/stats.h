/* SPDX-License-Identifier: MIT */
/*
 * Counters: one block a listener and worker, written only by that worker as bytes move, read by any thread (relaxed
 * atomics, no lock), merged when asked. One table names them for `stats`, the journal and `--json`.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* X(identifier, name, meaning) */
#define STATS(X)                                                                                                       \
    X(ACCEPTED, "accepted", "connections accepted")                                                                    \
    X(CLOSED, "closed", "flows that ended, for whatever reason")                                                       \
    X(REFUSED_DENIED, "refused_denied", "connections and datagrams refused by allow and deny")                         \
    X(REFUSED_SOURCE, "refused_source", "connections refused by max_connections_per_source")                           \
    X(REFUSED_UNAVAILABLE, "refused_unavailable", "connections reset because the daemon lacked descriptors or memory") \
    X(PAUSED_FULL, "paused_full", "times that accepting stopped at max_connections")                                   \
    X(RX_BYTES, "rx_bytes", "bytes received, as they came from the network")                                           \
    X(TX_BYTES, "tx_bytes", "bytes sent, as they went to the network")                                                 \
    X(RX_DATAGRAMS, "rx_datagrams", "datagrams received")                                                              \
    X(TX_DATAGRAMS, "tx_datagrams", "datagrams sent")                                                                  \
    X(RX_PAYLOAD_BYTES, "rx_payload_bytes", "payload bytes received, decompressed")                                    \
    X(TX_PAYLOAD_BYTES, "tx_payload_bytes", "payload bytes of replies, before compression")                            \
    X(PAYLOADS, "payloads", "payloads handed to the target")                                                           \
    X(REPLIES, "replies", "replies of the target")                                                                     \
    X(DECODE_ERRORS, "decode_errors", "flows and datagrams with corrupt or truncated compressed data")                 \
    X(FRAME_ERRORS, "frame_errors", "flows with a wrong, too large, late or truncated frame")                          \
    X(EVICTED, "evicted", "sessions that made room for new ones at max_connections")                                   \
    X(RESETS, "resets", "flows that the peer reset")                                                                   \
    X(TIMEOUTS, "timeouts", "flows closed by idle_timeout")                                                            \
    X(UPSTREAM_ERRORS, "upstream_errors", "flows that no upstream took, or that the upstream reset")                   \
    X(ERRORS, "errors", "flows that ended with another error")                                                         \
    X(LOST_BYTES, "lost_bytes", "reply bytes not known to have arrived when their flow ended")                         \
    X(TX_DROPPED, "tx_dropped", "datagrams that could not be sent")                                                    \
    X(TX_TOO_LARGE, "tx_too_large", "replies that do not fit a datagram")                                              \
    X(KERNEL_DROPS, "kernel_drops", "datagrams that the kernel dropped at a full socket")                              \
    X(ICMP_ERRORS, "icmp_errors", "ICMP errors that came back for datagrams sent")                                     \
    X(SUPPRESSED, "suppressed", "payloads that the journal target left out")

enum counter {
#define X(id, name, help) STAT_##id,
    STATS(X)
#undef X
            STAT_MAX,
};

struct stats {
    _Atomic uint64_t counter[STAT_MAX];
    _Atomic uint64_t dscp[64]; /* received, by DSCP */
    _Atomic uint64_t ecn[4];   /* received, by ECN field */
} __attribute__((aligned(64)));

/* A merged, plain copy. */
struct stats_snapshot {
    uint64_t counter[STAT_MAX];
    uint64_t dscp[64];
    uint64_t ecn[4];
};

/* Adds; only the owning worker may call it for a block. */
static inline void stats_bump(_Atomic uint64_t *c, uint64_t n) {
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void stats_add(struct stats *s, enum counter id, uint64_t n) {
    stats_bump(&s->counter[id], n);
}
/* Counts a received TOS byte, `n` times. */
static inline void stats_marks(struct stats *s, uint8_t tos, uint64_t n) {
    stats_bump(&s->dscp[tos >> 2], n);
    stats_bump(&s->ecn[tos & 3], n);
}
static inline void stats_mark(struct stats *s, uint8_t tos) {
    stats_marks(s, tos, 1);
}

const char *stat_name(enum counter id);
/* "not_ect", "ect1", "ect0", "ce" (RFC 3168). */
const char *stat_ecn_name(unsigned ecn);

/* Adds a block to a snapshot that starts as zeros. Any thread. */
void stats_merge(struct stats_snapshot *into, const struct stats *from);
/* Has anything but the clock moved between two snapshots? */
bool stats_differ(const struct stats_snapshot *a, const struct stats_snapshot *b);
