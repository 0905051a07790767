/* SPDX-License-Identifier: MIT */
/*
 * A hashed timer wheel: arming and disarming are O(1) and touch nothing else. Resolution WHEEL_TICK_USEC; a timer never
 * fires early. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_SLOTS 512
#define WHEEL_TICK_USEC UINT64_C(8192)

struct timer {
    struct timer *next, **link; /* link: what points here; NULL when not armed */
    uint64_t deadline_usec;
    void (*on_expire)(struct timer *timer);
};

struct wheel {
    struct timer *slots[WHEEL_SLOTS];
    uint64_t used[WHEEL_SLOTS / 64]; /* bit per slot that may hold timers */
    uint64_t tick;                   /* the last tick that was run */
};

void wheel_init(struct wheel *w, uint64_t now_usec);
/* Arms, or moves if armed. */
void wheel_arm(struct wheel *w, struct timer *t, uint64_t deadline_usec);
void wheel_disarm(struct wheel *w, struct timer *t);
static inline bool timer_armed(const struct timer *t) {
    return t->link != NULL;
}
/* Fires what is due. */
void wheel_run(struct wheel *w, uint64_t now_usec);
/* When to look again: an upper bound in usec from now, or UINT64_MAX when nothing is armed. */
uint64_t wheel_wait_usec(const struct wheel *w, uint64_t now_usec);
