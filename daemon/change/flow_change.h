/* SPDX-License-Identifier: MIT */
/*
 * A change of settings on one flow, and back: what a transaction does on a worker's thread.
 */
#pragma once

#include "transaction.h"

#define DERIVED_MAX 8

/* One worker's part of a transaction. The main thread looks at it when the worker has reported. */
struct transaction_worker {
    struct tally tally;
    struct settings old; /* as in struct transaction */
    unsigned n_flows, undo_failed;
    /* What flows had before, by slot. */
    struct flow_before {
        uint32_t generation;
        struct effective *set; /* one reference; NULL: not touched */
    } * before;
    uint32_t n_before;
    /* Settings made from others by this change: flows that had the same before share the same afterwards. */
    struct derived {
        struct effective *from, *to; /* one reference each */
        uint64_t keys;
    } derived[DERIVED_MAX];
    unsigned next_derived;
    /* What the kernel gives a new socket of a family: what upstream legs inherit. Read when it is needed. */
    int fresh_domain; /* 0: not read yet */
    struct qos_baseline fresh;
};

void flow_change_apply(struct transaction_worker *tw, struct worker *w, struct flow *f,
                       const struct transaction_item *item);
/* Puts a flow back that was changed, or that was born with the new settings. */
void flow_change_undo(struct transaction_worker *tw, struct worker *w, struct flow *f,
                      const struct transaction_item *item);
void transaction_worker_done(struct transaction_worker *tw);
