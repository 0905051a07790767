/* SPDX-License-Identifier: MIT */
/*
 * One handler a setting: which raw options it owns, how its value gets there, and what they mean in its terms. The rows
 * stand in the order in which settings must be applied. Private to this room. Any thread.
 */
#pragma once

#include "qos.h"

struct handler {
    enum setting_id id;
    enum qos_option option; /* of a setting that is one number */
    int64_t unit;           /* of that number, in the option: 1000 makes microseconds milliseconds */
    uint32_t options;       /* OPTION_BIT of every raw option that it owns; 0: nothing to go back to */
    bool congestion;        /* it owns the congestion control */
    /* Sets a value. 0 or -errno. */
    int (*set)(const struct qos_socket *s, const struct handler *h, const union setting_value *v);
    /* Goes back to the baseline. 0 or -errno. */
    int (*inherit)(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *base);
    /* The value that raw options of this socket stand for. 0, -EOPNOTSUPP when they are not known, -errno. */
    int (*decode)(const struct qos_socket *s, const struct handler *h, const struct qos_baseline *raw,
                  union setting_value *ret);
};

/* In order; NULL after the last one. */
const struct handler *handler_row(size_t i);
/* NULL: a setting of the daemon itself. */
const struct handler *handler_by_id(enum setting_id id);

/* Whether the setting has a carrier that fits the socket. */
bool handler_fits(const struct qos_socket *s, const struct handler *h);
/* Whether `set` leaves the setting to the baseline: "inherit", and the base mark of "reflect". */
bool handler_inherits(const struct handler *h, const struct settings *set);
/* The value or the baseline's, as `set` says; `base` may be NULL. 0 or -errno. */
int handler_apply(const struct qos_socket *s, const struct handler *h, const struct settings *set,
                  const struct qos_baseline *base) _must_check_;
int handler_read(const struct qos_socket *s, const struct handler *h, union setting_value *ret) _must_check_;

/* The SO_PRIORITY that the kernel gives a socket whose TOS changes. */
uint64_t priority_from_tos(uint64_t tos);
/* The priority to inherit beside this TOS: the kernel's mapping, unless the baseline's was set explicitly. */
uint64_t priority_inherited(const struct qos_baseline *base, uint64_t tos);
