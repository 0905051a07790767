/* SPDX-License-Identifier: MIT */
#include "wheel.h"

#include <stddef.h>

#include "macro.h"

static unsigned slot_of(uint64_t tick) {
    return (unsigned) (tick % WHEEL_SLOTS);
}

void wheel_init(struct wheel *w, uint64_t now_usec) {
    *w = (struct wheel){ .tick = now_usec / WHEEL_TICK_USEC };
}

void wheel_disarm(struct wheel *w, struct timer *t) {
    if (!t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->link = NULL;
    t->next = NULL;
}

static void insert(struct wheel *w, struct timer *t) {
    /* Rounded up: never early. At least the next tick: the current one has been run. */
    uint64_t tick = MAX(t->deadline_usec / WHEEL_TICK_USEC + 1, w->tick + 1);
    unsigned slot = slot_of(tick);

    t->next = w->slots[slot];
    t->link = &w->slots[slot];
    if (t->next)
        t->next->link = &t->next;
    w->slots[slot] = t;
    w->used[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void wheel_arm(struct wheel *w, struct timer *t, uint64_t deadline_usec) {
    wheel_disarm(w, t);
    t->deadline_usec = deadline_usec;
    insert(w, t);
}

/* Moves the slot to a private list first, so that callbacks may arm and disarm anything. */
static void run_slot(struct wheel *w, unsigned slot, uint64_t now_usec) {
    struct timer *list = w->slots[slot], *t;

    w->slots[slot] = NULL;
    w->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    if (list)
        list->link = &list;
    while ((t = list)) {
        wheel_disarm(w, t);
        if (t->deadline_usec <= now_usec)
            t->on_expire(t);
        else
            insert(w, t); /* a later revolution, or the rest of this tick */
    }
}

void wheel_run(struct wheel *w, uint64_t now_usec) {
    uint64_t last = now_usec / WHEEL_TICK_USEC, from = w->tick + 1;

    if (last < from)
        return;
    /* After a long pause one revolution visits every slot. */
    if (last - from >= WHEEL_SLOTS)
        from = last - WHEEL_SLOTS + 1;
    w->tick = last;
    for (uint64_t tick = from; tick <= last; tick++)
        if (w->used[slot_of(tick) / 64] & UINT64_C(1) << slot_of(tick) % 64)
            run_slot(w, slot_of(tick), now_usec);
}

uint64_t wheel_wait_usec(const struct wheel *w, uint64_t now_usec) {
    unsigned start = slot_of(w->tick + 1);

    /* The used bits are a superset: a slot whose timers were disarmed costs one early look. */
    for (unsigned i = 0; i < WHEEL_SLOTS;) {
        unsigned slot = (start + i) % WHEEL_SLOTS;
        uint64_t word = w->used[slot / 64] >> (slot % 64);

        if (word) {
            uint64_t at = (w->tick + 1 + i + (unsigned) __builtin_ctzll(word)) * WHEEL_TICK_USEC;

            return at > now_usec ? at - now_usec : 0;
        }
        i += 64 - slot % 64;
    }
    return UINT64_MAX;
}
