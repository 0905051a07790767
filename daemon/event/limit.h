/* SPDX-License-Identifier: MIT */
/*
 * How many records of a kind may pass: EVENT_BURST in an interval of EVENT_INTERVAL_USEC, which begins with the first.
 * Kinds that are not marked rate-limited always pass. Any thread; the caller tells the time, in microseconds of any
 * clock that does not go back.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "event.h"

struct limit {
    pthread_mutex_t lock;
    struct limit_slot {
        uint64_t until_usec; /* end of the interval; 0: none has begun */
        unsigned n_passed;
        uint64_t n_held; /* held back and not told yet */
    } slots[EVENT_KIND_MAX];
};

void limit_init(struct limit *limit);
void limit_done(struct limit *limit);

/* May this record pass? If so, *ret_held is how many were held back before it and are told with it. */
bool limit_pass(struct limit *limit, enum event_kind kind, uint64_t now_usec, uint64_t *ret_held);
/* The record that was to tell of `n_held` was lost: they are told later. */
void limit_return(struct limit *limit, enum event_kind kind, uint64_t n_held);

/* When the next interval ends; UINT64_MAX: none runs. */
uint64_t limit_next(struct limit *limit);
/* Ends an interval that is over. True if records were held back in it; call again until it returns false. */
bool limit_take_due(struct limit *limit, uint64_t now_usec, enum event_kind *ret_kind, uint64_t *ret_held);
