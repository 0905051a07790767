/* SPDX-License-Identifier: MIT */
#include "deadline.h"

void deadline_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

int deadline_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_usec) {
    struct timespec until = { .tv_sec = (time_t) (deadline_usec / USEC_PER_SEC),
                              .tv_nsec = (long) (deadline_usec % USEC_PER_SEC * NSEC_PER_USEC) };

    if (deadline_usec == UINT64_MAX)
        return -pthread_cond_wait(cond, lock);
    return -pthread_cond_timedwait(cond, lock, &until);
}
