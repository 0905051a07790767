/* SPDX-License-Identifier: MIT */
#include "target_ops.h"

#include <errno.h>

int target_new(const struct target_ops *ops, const struct config_listener *conf, unsigned n_workers,
               const struct target *before, struct target **ret) {
    struct target *t = calloc(1, sizeof(*t));
    int r = 0;

    if (!t)
        return -ENOMEM;
    t->refs = 1;
    t->ops = ops;
    if (ops->start)
        r = ops->start(conf, &t->state);
    if (r < 0) {
        free(t);
        return r;
    }
    if (ops->take_over)
        r = ops->take_over(t->state, conf, n_workers, before && before->ops == ops ? before->state : NULL);
    if (r < 0) {
        target_unref(t);
        return r;
    }
    *ret = t;
    return 0;
}

struct target *target_ref(struct target *t) {
    __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
    return t;
}

struct target *target_unref(struct target *t) {
    if (t && __atomic_fetch_sub(&t->refs, 1, __ATOMIC_ACQ_REL) == 1) {
        if (t->ops->stop)
            t->ops->stop(t->state);
        free(t);
    }
    return NULL;
}
