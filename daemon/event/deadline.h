/* SPDX-License-Identifier: MIT */
/*
 * Waiting on a condition until a point of CLOCK_MONOTONIC, in microseconds; UINT64_MAX is never. Any thread.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "macro.h"

static inline uint64_t clock_usec(clockid_t clock) {
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / NSEC_PER_USEC;
}

/* For conditions that deadline_wait() waits on. */
void deadline_cond_init(pthread_cond_t *cond);

/* 0 (signalled, or woken for nothing) or -ETIMEDOUT. */
int deadline_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_usec);
