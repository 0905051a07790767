/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <errno.h>

#include "event.h"

static bool unref(unsigned *refs) {
    return __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL) == 1;
}

static void ref(unsigned *refs) {
    __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}

int listener_new(const char *name, unsigned n_workers, struct listener **ret) {
    struct listener *l = calloc(1, sizeof(*l));
    int r = -ENOMEM;

    if (!l)
        return -ENOMEM;
    l->refs = 1;
    l->n_stats = n_workers;
    l->name = strdup(name);
    l->stats = aligned_alloc(_Alignof(struct stats), n_workers * sizeof(*l->stats));
    if (!l->name || !l->stats)
        goto fail;
    memset(l->stats, 0, n_workers * sizeof(*l->stats));
    r = admission_init(&l->admission);
    if (r < 0)
        goto fail;
    *ret = l;
    return 0;

fail:
    free(l->name);
    free(l->stats);
    free(l);
    return r;
}

struct listener *listener_ref(struct listener *l) {
    ref(&l->refs);
    return l;
}

struct listener *listener_unref(struct listener *l) {
    if (l && unref(&l->refs)) {
        admission_done(&l->admission);
        free(l->endpoints);
        free(l->stats);
        free(l->name);
        free(l);
    }
    return NULL;
}

unsigned listener_flows(const struct listener *l) {
    return atomic_load(&l->admission.flows);
}

void listener_stats(const struct listener *l, struct stats_snapshot *ret) {
    *ret = (struct stats_snapshot){ 0 };
    for (unsigned i = 0; i < l->n_stats; i++)
        stats_merge(ret, &l->stats[i]);
}

struct listener_view *listener_view_new(struct listener *l, struct effective *set, struct target *target,
                                        const struct frame_ops *framing) {
    struct listener_view *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    *v = (struct listener_view){ 1, listener_ref(l), effective_ref(set), target_ref(target), framing };
    return v;
}

struct listener_view *listener_view_ref(struct listener_view *v) {
    ref(&v->refs);
    return v;
}

struct listener_view *listener_view_unref(struct listener_view *v) {
    if (v && unref(&v->refs)) {
        listener_unref(v->listener);
        effective_unref(v->set);
        target_unref(v->target);
        free(v);
    }
    return NULL;
}

struct endpoint *endpoint_ref(struct endpoint *e) {
    ref(&e->refs);
    return e;
}

struct endpoint *endpoint_unref(struct endpoint *e) {
    if (e && unref(&e->refs)) {
        endpoint_close(e);
        free(e->groups);
        free(e->name);
        free(e->text);
        free(e);
    }
    return NULL;
}

void endpoint_restore(const struct endpoint *e, const char *which) {
    unsigned failed = 0, restored = qos_baseline_restore(&e->socket, &e->baseline, &failed);

    if (restored || failed)
        event_log(EVENT_SOCKET_RESTORED, EVENT_FIELDS({ FIELD_LISTENER, e->name }),
                  "%s (%s): put back %u option%s that %s%s", e->name, e->text, restored, restored == 1 ? "" : "s",
                  which, failed ? "; some could not be put back" : "");
}

void endpoint_close(struct endpoint *e) {
    e->socket.fd = close_fd(e->socket.fd);
}

void endpoint_touch(struct endpoint *e, uint64_t keys) {
    atomic_fetch_or(&e->touched, keys);
}
