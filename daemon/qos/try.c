/* SPDX-License-Identifier: MIT */
#include "handler.h"
#include "option.h"

static const char reason_way_back[] = "what the socket has now could not be put back without CAP_NET_ADMIN";

struct trial {
    const struct qos_socket *real;
    struct qos_socket scratch;
    const struct settings *set;
    const struct qos_baseline *base;
    struct qos_baseline now; /* of the real socket */
    uint64_t mask;
    qos_each_fn each;
    void *userdata;
    int first_error;
};

/* A priority that only stands behind a new mark was not asked for: its failure is the mark's. */
static void report(struct trial *t, enum setting_id id, int error, const char *reason) {
    struct qos_result result = { .outcome = QOS_FAILED, .error = error, .reason = reason };

    if (t->first_error == 0)
        t->first_error = error;
    if (t->each)
        t->each(t->mask & SETTING_BIT(id) ? id : SETTING_DSCP, &result, t->userdata);
}

/* Whether the real socket has what is asked for, so that applying it changes nothing. */
static bool settled(const struct trial *t, const struct handler *h) {
    const struct setting *row = setting_by_id(h->id);
    union setting_value now, wanted;

    if (h->decode(t->real, h, &t->now, &now) < 0)
        return false;
    if (!handler_inherits(h, t->set))
        return setting_value_equal(row, &now, &t->set->v[h->id]);
    if (!t->base)
        return true;
    if (h->id == SETTING_PRIORITY)
        return now.number == (int64_t) priority_inherited(t->base, t->now.option[QOS_OPTION_TOS]);
    return h->decode(t->real, h, t->base, &wanted) < 0 || setting_value_equal(row, &now, &wanted);
}

static bool tos_changed(const struct trial *t) {
    uint64_t tos;

    return option_get(&t->scratch, QOS_OPTION_TOS, &tos) == 0 &&
           !option_equal(&t->scratch, QOS_OPTION_TOS, tos, t->now.option[QOS_OPTION_TOS]);
}

/* Applies everything that would change something to the scratch socket; returns the settings that went there. */
static uint64_t try_forward(struct trial *t) {
    const struct handler *h;
    uint64_t changed = 0;
    bool marked = false;
    int r;

    for (size_t i = 0; (h = handler_row(i)); i++) {
        bool behind_mark = h->id == SETTING_PRIORITY && marked;

        if (!handler_fits(t->real, h) || !(behind_mark || (t->mask & SETTING_BIT(h->id))))
            continue;
        if (h->id != SETTING_DSCP && !behind_mark && settled(t, h))
            continue;
        r = handler_apply(&t->scratch, h, t->set, t->base);
        if (h->id == SETTING_DSCP)
            marked = tos_changed(t);
        if (r < 0)
            report(t, h->id, r, NULL);
        else
            changed |= SETTING_BIT(h->id);
    }
    return changed;
}

/* Goes back from there to what the real socket has now, as an undo would. */
static void try_back(struct trial *t, uint64_t changed) {
    const struct handler *h;
    union setting_value was, is;

    for (size_t i = 0; (h = handler_row(i)); i++) {
        if (!(changed & SETTING_BIT(h->id)))
            continue;
        if (h->inherit(&t->scratch, h, &t->now) == 0 &&
            (h->options == 0 || h->decode(t->real, h, &t->now, &was) < 0 ||
             (handler_read(&t->scratch, h, &is) == 0 && setting_value_equal(setting_by_id(h->id), &was, &is))))
            continue;
        report(t, h->id, -EPERM, reason_way_back);
    }
}

int qos_try(const struct qos_socket *s, const struct settings *set, uint64_t mask, const struct qos_baseline *base,
            qos_each_fn each, void *userdata) {
    _cleanup_close_ int fd = option_scratch(s);
    struct trial t = { s, *s, set, base, .mask = mask, .each = each, .userdata = userdata };
    unsigned failed;

    if (fd < 0)
        return fd;
    t.scratch.fd = fd;
    qos_baseline_capture(s, &t.now);
    /* What cannot even be copied is found out on the way back. */
    qos_baseline_restore(&t.scratch, &t.now, &failed);
    try_back(&t, try_forward(&t));
    return t.first_error;
}
