/* SPDX-License-Identifier: MIT */
/* Writes each payload as a journal entry, so many a second and so many bytes of each; says how many it left out. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <time.h>

#include "event.h"
#include "targets.h"

struct journal {
    char *listener;
    uint32_t rate;
    size_t size;
    /* Second (upper half) and entries told in it (lower half): shared by all workers. */
    _Atomic uint64_t window;
    _Atomic uint64_t suppressed; /* not yet told */
};

static int start(const struct config_listener *conf, void **ret) {
    struct journal *j = calloc(1, sizeof(*j));

    if (!j)
        return -ENOMEM;
    j->listener = strdup(conf->name);
    j->rate = (uint32_t) conf->journal_rate;
    j->size = (size_t) conf->journal_size;
    if (!j->listener) {
        free(j);
        return -ENOMEM;
    }
    *ret = j;
    return 0;
}

static void tell_suppressed(void *state) {
    struct journal *j = state;
    uint64_t n = atomic_exchange(&j->suppressed, 0);
    char text[24];

    if (n == 0)
        return;
    snprintf(text, sizeof(text), "%" PRIu64, n);
    event_log(EVENT_PAYLOADS_SUPPRESSED, EVENT_FIELDS({ FIELD_LISTENER, j->listener }, { FIELD_SUPPRESSED, text }),
              "%s: %" PRIu64 " payloads were left out: more than journal_rate (%u a second)", j->listener, n, j->rate);
}

static void stop(void *state) {
    struct journal *j = state;

    tell_suppressed(j);
    free(j->listener);
    free(j);
}

static bool may_tell(struct journal *j) {
    uint64_t window = atomic_load_explicit(&j->window, memory_order_relaxed), next;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    do {
        /* Later only: a worker that looked at the clock before another one opened this second counts in it. */
        if ((int32_t) ((uint32_t) ts.tv_sec - (uint32_t) (window >> 32)) > 0)
            next = (uint64_t) ts.tv_sec << 32 | 1;
        else if ((uint32_t) window < j->rate)
            next = window + 1;
        else
            return false;
    } while (!atomic_compare_exchange_weak(&j->window, &window, next));
    return true;
}

static void on_payload(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
    struct journal *j = state;
    size_t size = MIN(payload->span.size, j->size);
    char peer[ADDRESS_TEXT_MAX], flow[FLOW_ID_TEXT_MAX];

    if (!may_tell(j)) {
        atomic_fetch_add_explicit(&j->suppressed, 1, memory_order_relaxed);
        stats_add(stats, STAT_SUPPRESSED, 1);
        return;
    }
    event_log(EVENT_PAYLOAD,
              EVENT_FIELDS({ FIELD_LISTENER, j->listener }, { FIELD_PEER, address_format(payload->peer, peer) },
                           { FIELD_FLOW, payload->flow ? flow_id_format(*payload->flow, flow) : NULL },
                           { FIELD_PAYLOAD, size > 0 ? payload->span.data : "", size }),
              "%s: payload of %zu bytes from %s%s", j->listener, payload->span.size, peer,
              size < payload->span.size ? ", cut" : "");
}

const struct target_ops target_journal = {
    .name = "journal",
    .start = start,
    .stop = stop,
    .payload = on_payload,
    .tick = tell_suppressed,
};
