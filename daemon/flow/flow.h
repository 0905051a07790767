/* SPDX-License-Identifier: MIT */
/*
 * Flows and their legs: slots that are used again (so a pointer stays valid for a turn), ids with a generation (so an
 * old id never names a new flow), life cycle. A flow belongs to its worker's thread.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "admission.h"
#include "codec.h"
#include "effective.h"
#include "frame.h"
#include "loop.h"
#include "pool.h"
#include "qos.h"

struct flow_id {
    uint16_t worker;
    uint32_t slot, generation;
};

#define FLOW_ID_TEXT_MAX 32

/* "WORKER.SLOT.GENERATION", and back (-EINVAL). */
const char *flow_id_format(struct flow_id id, char buf[static FLOW_ID_TEXT_MAX]);
int flow_id_parse(const char *text, struct flow_id *ret) _must_check_;

enum flow_state {
    FLOW_FREE,
    FLOW_OPEN,
    FLOW_FINISHING, /* input has ended; answers are outstanding */
    FLOW_FLUSHING,  /* the compressor's trailer and the last bytes go out */
    FLOW_LINGERING, /* shut down for writing; input is discarded until the peer closes, for a bounded time */
    FLOW_STATE_MAX,
};

const char *flow_state_name(enum flow_state state);

/* One side of a flow. */
struct leg {
    struct loop_source source;
    struct effective *set;       /* in force on this leg; may differ from its listener's; of an upstream leg NULL */
    uint64_t rx_bytes, tx_bytes; /* on the wire */
};

/* Compression of a leg: made at the first byte that needs it. */
struct leg_coding {
    struct coder *encoder, *decoder;
    uint64_t earlier_bytes : 63; /* decoded, of the members before the decoder's */
    uint64_t member_ended : 1;   /* the decoder has read a trailer; the next byte begins a new member */
};

struct worker;
struct listener_view;
struct endpoint;
struct pipe;
struct upstream;
struct session;

/* Bytes of a relayed flow on their way from one leg to the other. What was received and is not sent yet lies in one of the
 * two. */
struct relay_way {
    union {
        struct buf *held;
        struct pipe *pipe;
    };
    bool in_pipe;      /* which of the two it is */
    bool ended;        /* the sender has sent all it will */
    bool shut;         /* and the receiver was told so */
    uint8_t large;     /* reads in a row that a pipe would be worth */
    uint8_t small;     /* splices in a row that it was not */
    uint16_t switches; /* between copying and splicing; not more than it holds */
};

/* What a flow is besides when a target relays it. */
struct relay {
    struct leg upstream;
    struct relay_way to_upstream, to_client;
    struct upstream *to; /* one reference */
    union {
        struct relay_setup *setup;   /* until the upstream is connected */
        struct relay_coding *coding; /* then: of legs that compress; NULL: none does */
    };
    bool connecting : 1;    /* which of the two it is */
    bool half_closed : 1;   /* one way is shut */
    bool client_failed : 1; /* error is that of the client leg */
    bool down_first : 1;    /* after a rest it is the upstream's turn to be read */
    bool has_received : 1;  /* the mark that the upstream's segments carry is known: */
    uint8_t received_tos;
    int error; /* of the leg whose socket failed; 0: none did */
};

/* Thousands of them are idle at a time: fields are ordered so that none is wasted. */
struct flow {
    struct flow_id id;
    uint8_t state; /* enum flow_state */
    bool v4_mapped : 1;
    bool ready : 1;     /* on the worker's ready list */
    bool datagrams : 1; /* a session of UDP: the client leg has no socket of its own (fd negative) */
    bool rests : 1;     /* over a limit: not read from until its timer is due (rate.h) */
    bool paid : 1;      /* what the next read may bring has been taken from the buckets */
    bool unlimited : 1; /* is about to end: limits do not hold it up */
    uint8_t received_tos;
    uint8_t received_label;          /* enum qos_mark_label */
    struct worker *worker;           /* owner */
    struct listener_view *view;      /* one reference */
    struct endpoint *endpoint;       /* one reference: where it came in */
    struct admission_source *source; /* counted there */
    struct bucket bucket;            /* of rate_limit_per_flow */
    struct address peer;
    uint64_t opened_usec, active_usec;
    struct timer timer;
    struct leg client;
    struct flow *next; /* free list, or ready list */
    union {
        /* A flow that ends here: stream.c. */
        struct {
            bool peer_done : 1;      /* the peer has sent all it will */
            bool blocked : 1;        /* the socket did not take all of the output */
            bool decode_pending : 1; /* the decoder has more to say than the output took */
            bool plain_pending : 1;  /* there are whole frames that the output had no room for */
            bool detect_late : 1;    /* the time to decide on decompression = auto is over */
            bool encode_dirty : 1;   /* the encoder holds replies back that must go out before the turn ends */
            bool unit_payload : 1; /* compression_unit, fixed when the flow begins: each reply is a compressed whole */
            uint8_t encode_id,
                    decode_id; /* enum coding; encode_id may change until the first byte; decode_id is CODING_AUTO until decided */
            struct buf *in;    /* received, not yet decoded */
            struct buf *plain; /* decoded, not yet a whole frame or not yet handed over */
            struct buf *out;   /* to be sent */
            uint64_t payloads, rx_payload_bytes, tx_payload_bytes; /* decompressed */
            uint64_t detect_usec; /* since when bytes wait for decompression = auto to decide; 0: none */
            uint64_t frame_usec;  /* since when a frame is incomplete; 0: none is */
            struct frame_state frame;
            struct leg_coding coding;
        };
        struct relay relay;      /* by the target: its engine (target_ops.h) */
        struct session *session; /* the same for UDP */
    };
};

static_assert(sizeof(struct flow) <= 288, "an idle flow costs little");

/* What applies settings to this flow's client leg. */
struct qos_socket flow_qos_socket(const struct flow *f, int domain);

/* Slots of one worker. */
struct flow_table {
    uint16_t worker;
    struct flow **chunks;
    uint32_t n_chunks, n_used;
    struct flow *free;
};

#define FLOW_CHUNK 64

/* A zeroed flow with its id, state FLOW_FREE until the caller opens it; NULL when out of memory. */
struct flow *flow_table_take(struct flow_table *t) _must_check_;
/* Gives the slot back; its generation moves on. */
void flow_table_give(struct flow_table *t, struct flow *f);
/* NULL when the slot is free, was never used, or holds another generation. */
struct flow *flow_table_find(const struct flow_table *t, struct flow_id id);
/* By slot number, for sweeps: NULL for a free slot. Slots run from 0 to flow_table_slots() - 1. */
struct flow *flow_table_at(const struct flow_table *t, uint32_t slot);
uint32_t flow_table_slots(const struct flow_table *t);
void flow_table_done(struct flow_table *t);
