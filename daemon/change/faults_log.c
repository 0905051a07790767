/* SPDX-License-Identifier: MIT */
#include "faults_log.h"

#include <stdio.h>

#include "event.h"

void faults_log(const struct config_faults *faults) {
    for (size_t i = 0; i < faults->n; i++) {
        const struct config_fault *fault = &faults->items[i];
        _cleanup_free_ char *text = config_fault_format(fault);
        char line[16];

        snprintf(line, sizeof(line), "%u", fault->line);
        event_log(EVENT_CONFIG_FAULT,
                  EVENT_FIELDS({ FIELD_FILE, fault->file }, { FIELD_LINE, fault->line ? line : NULL },
                               { FIELD_SETTING, fault->key }),
                  "%s", text ? text : fault->text);
    }
}
