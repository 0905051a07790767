/* SPDX-License-Identifier: MIT */
#include "ratio.h"

#include <stdio.h>

#include "field.h"
#include "macro.h"

const char *ratio_format(const char *coding, const json_t *numbers, const char *direction,
                         char buf[static RATIO_TEXT_MAX]) {
    char name[32];
    int64_t wire, payload;

    snprintf(name, sizeof(name), "%s_bytes", direction);
    wire = field_number(numbers, name);
    snprintf(name, sizeof(name), "%s_payload_bytes", direction);
    payload = field_number(numbers, name);
    if (streq(coding, "off") || wire <= 0)
        snprintf(buf, RATIO_TEXT_MAX, "%s", coding);
    else
        snprintf(buf, RATIO_TEXT_MAX, "%s %.1fx", coding, (double) payload / (double) wire);
    return buf;
}
