/* SPDX-License-Identifier: MIT */
#include "limit.h"

static const bool limited[] = {
#define X(id, priority, message_id, is_limited) is_limited,
    EVENT_KINDS(X)
#undef X
};

void limit_init(struct limit *limit) {
    *limit = (struct limit){ 0 };
    pthread_mutex_init(&limit->lock, NULL);
}

void limit_done(struct limit *limit) {
    pthread_mutex_destroy(&limit->lock);
}

bool limit_pass(struct limit *limit, enum event_kind kind, uint64_t now_usec, uint64_t *ret_held) {
    struct limit_slot *slot = &limit->slots[kind];
    bool pass;

    if (!limited[kind]) {
        *ret_held = 0;
        return true;
    }
    pthread_mutex_lock(&limit->lock);
    if (slot->until_usec <= now_usec) {
        slot->until_usec = now_usec + EVENT_INTERVAL_USEC;
        slot->n_passed = 0;
    }
    pass = slot->n_passed < EVENT_BURST;
    if (pass) {
        slot->n_passed++;
        *ret_held = slot->n_held;
        slot->n_held = 0;
    } else {
        slot->n_held++;
    }
    pthread_mutex_unlock(&limit->lock);
    return pass;
}

void limit_return(struct limit *limit, enum event_kind kind, uint64_t n_held) {
    pthread_mutex_lock(&limit->lock);
    limit->slots[kind].n_held += n_held;
    pthread_mutex_unlock(&limit->lock);
}

static bool is_idle(const struct limit_slot *slot) {
    return slot->until_usec == 0 && slot->n_held == 0;
}

uint64_t limit_next(struct limit *limit) {
    uint64_t next = UINT64_MAX;

    pthread_mutex_lock(&limit->lock);
    for (size_t kind = 0; kind < EVENT_KIND_MAX; kind++)
        if (!is_idle(&limit->slots[kind]))
            next = MIN(next, limit->slots[kind].until_usec);
    pthread_mutex_unlock(&limit->lock);
    return next;
}

bool limit_take_due(struct limit *limit, uint64_t now_usec, enum event_kind *ret_kind, uint64_t *ret_held) {
    bool found = false;

    pthread_mutex_lock(&limit->lock);
    for (size_t kind = 0; kind < EVENT_KIND_MAX && !found; kind++) {
        struct limit_slot *slot = &limit->slots[kind];

        if (is_idle(slot) || slot->until_usec > now_usec)
            continue;
        found = slot->n_held > 0;
        if (found) {
            *ret_kind = kind;
            *ret_held = slot->n_held;
        }
        *slot = (struct limit_slot){ 0 };
    }
    pthread_mutex_unlock(&limit->lock);
    return found;
}
