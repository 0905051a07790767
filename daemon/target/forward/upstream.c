/* SPDX-License-Identifier: MIT */
#include "upstream.h"

static int copy_conf(const struct config_upstream *from, struct config_upstream *ret) {
    *ret = (struct config_upstream){ .type = from->type, .address = from->address, .port = from->port };
    ret->text = strdup(from->text);
    ret->host = from->host ? strdup(from->host) : NULL;
    ret->path = from->path ? strdup(from->path) : NULL;
    return ret->text && (ret->host || !from->host) && (ret->path || !from->path) ? 0 : -ENOMEM;
}

static struct upstream *upstream_free(struct upstream *u) {
    config_upstream_done(&u->conf);
    free(u->counters);
    pthread_mutex_destroy(&u->lock);
    free(u);
    return NULL;
}

int upstream_new(const struct config_upstream *conf, unsigned n_workers, struct upstream **ret) {
    struct upstream *u = calloc(1, sizeof(*u));

    if (!u)
        return -ENOMEM;
    u->refs = 1;
    u->n_workers = n_workers;
    pthread_mutex_init(&u->lock, NULL);
    u->counters = aligned_alloc(64, n_workers * sizeof(*u->counters));
    if (!u->counters || copy_conf(conf, &u->conf) < 0) {
        upstream_free(u);
        return -ENOMEM;
    }
    memset(u->counters, 0, n_workers * sizeof(*u->counters));
    if (conf->address.size > 0)
        u->addresses[u->n_addresses++] = conf->address;
    *ret = u;
    return 0;
}

struct upstream *upstream_ref(struct upstream *u) {
    __atomic_fetch_add(&u->refs, 1, __ATOMIC_RELAXED);
    return u;
}

struct upstream *upstream_unref(struct upstream *u) {
    if (u && __atomic_fetch_sub(&u->refs, 1, __ATOMIC_ACQ_REL) == 1)
        upstream_free(u);
    return NULL;
}

enum upstream_use upstream_use(struct upstream *u, const struct upstream_health *health, uint64_t now_usec, bool take) {
    enum upstream_use use = UPSTREAM_USABLE;

    pthread_mutex_lock(&u->lock);
    if (u->order != UPSTREAM_ENABLED || (u->n_addresses == 0 && !u->conf.path))
        use = UPSTREAM_UNUSABLE;
    else if (u->aside_until_usec > now_usec)
        use = UPSTREAM_ASIDE;
    else if (u->aside_until_usec > 0)
        use = UPSTREAM_TRIAL;
    if (use == UPSTREAM_TRIAL && take)
        u->aside_until_usec = now_usec + health->retry_after_usec;
    pthread_mutex_unlock(&u->lock);
    return use;
}

int upstream_address(struct upstream *u, struct address *ret) {
    int r = -EHOSTUNREACH;

    pthread_mutex_lock(&u->lock);
    if (u->n_addresses > 0) {
        *ret = u->addresses[u->next_address++ % u->n_addresses];
        r = 0;
    }
    pthread_mutex_unlock(&u->lock);
    return r;
}

void upstream_set_addresses(struct upstream *u, const struct address *addresses, unsigned n) {
    pthread_mutex_lock(&u->lock);
    u->n_addresses = MIN(n, (unsigned) UPSTREAM_ADDRESSES_MAX);
    memcpy(u->addresses, addresses, u->n_addresses * sizeof(*addresses));
    pthread_mutex_unlock(&u->lock);
}

enum upstream_turn upstream_succeeded(struct upstream *u) {
    enum upstream_turn turn;

    pthread_mutex_lock(&u->lock);
    turn = u->aside_until_usec > 0 ? UPSTREAM_CAME_UP : UPSTREAM_AS_BEFORE;
    u->aside_until_usec = 0;
    u->failures = 0;
    pthread_mutex_unlock(&u->lock);
    return turn;
}

enum upstream_turn upstream_failed(struct upstream *u, const struct upstream_health *health, uint64_t now_usec) {
    enum upstream_turn turn = UPSTREAM_AS_BEFORE;

    pthread_mutex_lock(&u->lock);
    if (u->failures == 0 || u->failures_since_usec + health->window_usec < now_usec) {
        u->failures = 0;
        u->failures_since_usec = now_usec;
    }
    u->failures++;
    if (u->aside_until_usec > 0) {
        u->aside_until_usec = now_usec + health->retry_after_usec;
    } else if (u->failures >= health->max_failures) {
        u->aside_until_usec = now_usec + health->retry_after_usec;
        turn = UPSTREAM_WENT_DOWN;
    }
    pthread_mutex_unlock(&u->lock);
    return turn;
}

void upstream_order(struct upstream *u, enum upstream_order order) {
    pthread_mutex_lock(&u->lock);
    u->order = order;
    pthread_mutex_unlock(&u->lock);
}

int upstream_describe(struct upstream *u, struct upstream_row *ret) {
    struct upstream_row row = { .text = strdup(u->conf.text), .flows = atomic_load(&u->flows) };

    if (!row.text)
        return -ENOMEM;
    pthread_mutex_lock(&u->lock);
    row.order = u->order;
    row.aside = u->aside_until_usec > 0;
    row.failures = u->failures;
    row.n_addresses = u->n_addresses;
    pthread_mutex_unlock(&u->lock);
    for (unsigned i = 0; i < u->n_workers; i++) {
        row.connected += atomic_load_explicit(&u->counters[i].connected, memory_order_relaxed);
        row.failed += atomic_load_explicit(&u->counters[i].failed, memory_order_relaxed);
        row.connect_usec += atomic_load_explicit(&u->counters[i].connect_usec, memory_order_relaxed);
        row.rx_bytes += atomic_load_explicit(&u->counters[i].rx_bytes, memory_order_relaxed);
        row.tx_bytes += atomic_load_explicit(&u->counters[i].tx_bytes, memory_order_relaxed);
    }
    *ret = row;
    return 0;
}

void upstream_row_done(struct upstream_row *row) {
    free(row->text);
    row->text = NULL;
}
