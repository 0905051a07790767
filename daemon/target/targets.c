/* SPDX-License-Identifier: MIT */
#include "targets.h"

const struct target_ops *const targets[] = { &target_ack,     &target_discard, &target_echo,
                                             &target_forward, &target_journal, NULL };

const char *const *target_names(void) {
    static const char *names[ARRAY_SIZE(targets)];

    for (size_t i = 0; targets[i]; i++)
        names[i] = targets[i]->name;
    return names;
}
