/* SPDX-License-Identifier: MIT */
/*
 * Time, waiting and Ctrl-C.
 */
#pragma once

#include <stdint.h>

#include "macro.h"

#define CLOCK_NEVER UINT64_MAX

/* CLOCK_MONOTONIC in microseconds. */
uint64_t clock_now(void);

/* Waits until `fd` (may be -1) shows one of the poll(2) `events`, or an error. 0; -ETIMEDOUT; -EINTR when
 * `interrupt_fd` (may be -1) became readable: that one wins. */
int clock_wait(int fd, short events, int interrupt_fd, uint64_t deadline_usec) _must_check_;

/* From here on SIGINT and SIGTERM do not kill but make the returned fd readable. It belongs to the caller. Negative
 * errno. */
int clock_interrupt_fd(void) _must_check_;
