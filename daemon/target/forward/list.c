/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "forward.h"
#include "helper.h"

static int attend(const struct forward *f, struct upstream *u) {
    const struct care care = { .listener = f->listener,
                               .health = f->health,
                               .check_interval_usec = f->check_interval_usec };

    return helper_attend(u, &care);
}

static void neglect(const struct forward *f, struct upstream *u) {
    const struct care none = { .listener = f->listener, .rests = true };

    (void) !helper_attend(u, &none);
}

/* ---- an upstream in a list holds a reference ---- */

static struct upstream *enter(struct upstream *u) {
    atomic_fetch_add(&u->n_lists, 1);
    return upstream_ref(u);
}

static void leave(struct upstream *u) {
    if (atomic_fetch_sub(&u->n_lists, 1) == 1)
        helper_leave(u);
    upstream_unref(u);
}

static size_t place_of(struct upstream *const *list, size_t n, const struct upstream *u) {
    size_t i = 0;

    while (i < n && list[i] != u)
        i++;
    return i;
}

static struct upstream *find(struct upstream *const *list, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++)
        if (streq(list[i]->conf.text, text))
            return list[i];
    return NULL;
}

static void insert(struct forward *f, size_t at, struct upstream *u) {
    pthread_mutex_lock(&f->lock);
    memmove(&f->upstreams[at + 1], &f->upstreams[at], (f->n_upstreams - at) * sizeof(u));
    f->upstreams[at] = u;
    f->n_upstreams++;
    pthread_mutex_unlock(&f->lock);
}

/* ---- from one state to the next ---- */

/* What the listener forwarded to so far: its counters and its state go on. */
static int take_or_make(struct forward *f, const struct config_upstream *conf, const struct forward *before) {
    struct upstream *removed = before ? find(before->removed, before->n_removed, conf->text) : NULL;
    struct upstream *known = before ? find(before->upstreams, before->n_upstreams, conf->text) : NULL;
    struct upstream *made;
    int r;

    if (removed) {
        f->removed[f->n_removed++] = enter(removed);
        return 0;
    }
    if (known) {
        f->upstreams[f->n_upstreams++] = enter(known);
        return 0;
    }
    r = upstream_new(conf, f->n_workers, &made);
    if (r < 0)
        return r;
    f->upstreams[f->n_upstreams++] = enter(made);
    upstream_unref(made);
    return attend(f, made);
}

/* What was taken out must not leave nothing. */
static void put_back_if_empty(struct forward *f) {
    if (f->n_upstreams > 0)
        return;
    memcpy(f->upstreams, f->removed, f->n_removed * sizeof(*f->removed));
    f->n_upstreams = f->n_of_files = f->n_removed;
    f->n_removed = 0;
}

int forward_fill(struct forward *f, const struct config_forward *conf, const struct forward *before) {
    for (size_t i = 0; i < conf->n_upstreams; i++) {
        int r = take_or_make(f, &conf->upstreams[i], before);

        if (r < 0)
            return r;
    }
    f->n_of_files = f->n_upstreams;
    for (size_t i = before ? before->n_of_files : 0; before && i < before->n_upstreams; i++)
        if (place_of(f->upstreams, f->n_of_files, before->upstreams[i]) == f->n_of_files)
            f->upstreams[f->n_upstreams++] = enter(before->upstreams[i]);
    put_back_if_empty(f);
    return 0;
}

void forward_drop_all(struct forward *f) {
    while (f->n_upstreams > 0)
        leave(f->upstreams[--f->n_upstreams]);
    while (f->n_removed > 0)
        leave(f->removed[--f->n_removed]);
}

void forward_begin(struct forward *f) {
    for (size_t i = 0; i < f->n_upstreams; i++)
        (void) !attend(f, f->upstreams[i]);
}

/* ---- at runtime ---- */

size_t forward_n_upstreams(struct forward *f) {
    size_t n;

    pthread_mutex_lock(&f->lock);
    n = f->n_upstreams;
    pthread_mutex_unlock(&f->lock);
    return n;
}

struct upstream *forward_find(const struct forward *f, const char *text) {
    return find(f->upstreams, f->n_upstreams, text);
}

bool forward_is_added(const struct forward *f, const struct upstream *u) {
    return place_of(f->upstreams, f->n_upstreams, u) >= f->n_of_files;
}

static void put_back(struct forward *f, struct upstream *u) {
    size_t at = place_of(f->removed, f->n_removed, u);

    memmove(&f->removed[at], &f->removed[at + 1], (f->n_removed - at - 1) * sizeof(u));
    f->n_removed--;
    (void) upstream_set_order(u, UPSTREAM_ENABLED);
    insert(f, f->n_of_files++, u);
}

int forward_add(struct forward *f, const struct config_upstream *conf) {
    struct upstream *u = find(f->removed, f->n_removed, conf->text);
    int r;

    if (forward_find(f, conf->text))
        return -EEXIST;
    if (u) {
        put_back(f, u);
        return attend(f, u);
    }
    if (f->n_upstreams - f->n_of_files >= FORWARD_ADDED_MAX)
        return -ENOSPC;
    r = upstream_new(conf, f->n_workers, &u);
    if (r < 0)
        return r;
    r = attend(f, u);
    if (r >= 0)
        insert(f, f->n_upstreams, enter(u));
    upstream_unref(u);
    return r;
}

static bool is_only_one(const struct forward *f, const struct upstream *u) {
    for (size_t i = 0; i < f->n_upstreams; i++)
        if (f->upstreams[i] != u && f->upstreams[i]->conf.type == u->conf.type)
            return false;
    return true;
}

int forward_remove(struct forward *f, struct upstream *u) {
    size_t at = place_of(f->upstreams, f->n_upstreams, u);

    if (is_only_one(f, u))
        return -EBUSY;
    pthread_mutex_lock(&f->lock);
    memmove(&f->upstreams[at], &f->upstreams[at + 1], (f->n_upstreams - at - 1) * sizeof(u));
    f->n_upstreams--;
    f->next %= f->n_upstreams;
    pthread_mutex_unlock(&f->lock);
    if (at >= f->n_of_files) {
        leave(u);
        return 0;
    }
    f->n_of_files--;
    f->removed[f->n_removed++] = u;
    neglect(f, u);
    return 0;
}

unsigned forward_runtime_changes(const struct forward *f) {
    size_t n = f->n_removed + f->n_upstreams - f->n_of_files;

    for (size_t i = 0; i < f->n_upstreams; i++)
        n += upstream_order(f->upstreams[i]) != UPSTREAM_ENABLED;
    return (unsigned) n;
}
