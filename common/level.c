/* SPDX-License-Identifier: MIT */
#include "level.h"

#include <stddef.h>

const char *const *level_names(void) {
    static const char *const names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", NULL };

    return names;
}
