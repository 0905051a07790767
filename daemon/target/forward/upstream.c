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
    else if (conf->host)
        u->unresolved = "the name is being resolved";
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

unsigned upstream_addresses(struct upstream *u, struct address ret[static UPSTREAM_ADDRESSES_MAX]) {
    unsigned n;

    pthread_mutex_lock(&u->lock);
    n = u->n_addresses;
    memcpy(ret, u->addresses, n * sizeof(*ret));
    pthread_mutex_unlock(&u->lock);
    return n;
}

unsigned upstream_places(struct upstream *u) {
    unsigned n;

    pthread_mutex_lock(&u->lock);
    n = u->conf.path ? 1 : u->n_addresses;
    pthread_mutex_unlock(&u->lock);
    return n;
}

void upstream_set_addresses(struct upstream *u, const struct address *addresses, unsigned n) {
    pthread_mutex_lock(&u->lock);
    u->n_addresses = MIN(n, (unsigned) UPSTREAM_ADDRESSES_MAX);
    memcpy(u->addresses, addresses, u->n_addresses * sizeof(*addresses));
    u->unresolved = NULL;
    pthread_mutex_unlock(&u->lock);
}

void upstream_set_unresolved(struct upstream *u, const char *why) {
    pthread_mutex_lock(&u->lock);
    u->unresolved = why;
    pthread_mutex_unlock(&u->lock);
}

enum upstream_turn upstream_succeeded(struct upstream *u) {
    enum upstream_turn turn;

    pthread_mutex_lock(&u->lock);
    turn = u->aside_until_usec > 0 ? UPSTREAM_CAME_UP : UPSTREAM_AS_BEFORE;
    u->aside_until_usec = 0;
    u->failures = 0;
    u->error = 0;
    pthread_mutex_unlock(&u->lock);
    return turn;
}

enum upstream_turn upstream_failed(struct upstream *u, const struct upstream_health *health, int error,
                                   uint64_t now_usec) {
    enum upstream_turn turn = UPSTREAM_AS_BEFORE;

    pthread_mutex_lock(&u->lock);
    if (u->failures == 0 || u->failures_since_usec + health->window_usec < now_usec) {
        u->failures = 0;
        u->failures_since_usec = now_usec;
    }
    u->failures++;
    u->error = error;
    if (u->aside_until_usec > 0) {
        u->aside_until_usec = now_usec + health->retry_after_usec;
    } else if (u->failures >= health->max_failures) {
        u->aside_until_usec = now_usec + health->retry_after_usec;
        turn = UPSTREAM_WENT_DOWN;
    }
    pthread_mutex_unlock(&u->lock);
    return turn;
}

enum upstream_order upstream_set_order(struct upstream *u, enum upstream_order order) {
    enum upstream_order old;

    pthread_mutex_lock(&u->lock);
    old = u->order;
    u->order = order;
    pthread_mutex_unlock(&u->lock);
    return old;
}

enum upstream_order upstream_order(struct upstream *u) {
    enum upstream_order order;

    pthread_mutex_lock(&u->lock);
    order = u->order;
    pthread_mutex_unlock(&u->lock);
    return order;
}

const char *upstream_order_name(enum upstream_order order) {
    static const char *const names[] = {
        [UPSTREAM_ENABLED] = "enabled",
        [UPSTREAM_DRAINING] = "draining",
        [UPSTREAM_DISABLED] = "disabled",
    };

    return names[order];
}

const char *upstream_state_name(enum upstream_state state) {
    static const char *const names[] = {
        [UPSTREAM_STATE_UP] = "up",
        [UPSTREAM_STATE_ASIDE] = "aside",
        [UPSTREAM_STATE_UNRESOLVED] = "unresolved",
        [UPSTREAM_STATE_DRAINING] = "draining",
        [UPSTREAM_STATE_DISABLED] = "disabled",
    };

    return names[state];
}

/* An order counts before what is found out. */
static enum upstream_state state_of(const struct upstream *u) {
    switch (u->order) {
    case UPSTREAM_ENABLED:
        break;
    case UPSTREAM_DRAINING:
        return UPSTREAM_STATE_DRAINING;
    case UPSTREAM_DISABLED:
        return UPSTREAM_STATE_DISABLED;
    }
    if (u->n_addresses == 0 && !u->conf.path)
        return UPSTREAM_STATE_UNRESOLVED;
    return u->aside_until_usec > 0 ? UPSTREAM_STATE_ASIDE : UPSTREAM_STATE_UP;
}

static uint64_t read_counter(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void upstream_describe(struct upstream *u, struct upstream_row *ret) {
    struct upstream_row row = { .flows = atomic_load(&u->flows) };

    pthread_mutex_lock(&u->lock);
    row.state = state_of(u);
    row.unresolved = u->unresolved;
    row.error = u->error;
    row.n_addresses = u->n_addresses;
    memcpy(row.addresses, u->addresses, sizeof(row.addresses));
    pthread_mutex_unlock(&u->lock);
    for (unsigned i = 0; i < u->n_workers; i++) {
        const struct upstream_counters *c = &u->counters[i];

        row.connected += read_counter(&c->connected);
        row.failed += read_counter(&c->failed);
        row.connect_usec += read_counter(&c->connect_usec);
        row.rx_bytes += read_counter(&c->rx_bytes);
        row.tx_bytes += read_counter(&c->tx_bytes);
    }
    *ret = row;
}
