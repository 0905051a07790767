/* SPDX-License-Identifier: MIT */
#include "dscp.h"

#include <stdio.h>
#include <strings.h>

#include "unit.h"

/* The first name of a value is the canonical one. */
#define NAMES(X)                                                                                                       \
    X("CS0", 0)                                                                                                        \
    X("DF", 0)                                                                                                         \
    X("BE", 0)                                                                                                         \
    X("LE", 1)                                                                                                         \
    X("CS1", 8)                                                                                                        \
    X("AF11", 10)                                                                                                      \
    X("AF12", 12)                                                                                                      \
    X("AF13", 14)                                                                                                      \
    X("CS2", 16)                                                                                                       \
    X("AF21", 18)                                                                                                      \
    X("AF22", 20)                                                                                                      \
    X("AF23", 22)                                                                                                      \
    X("CS3", 24)                                                                                                       \
    X("AF31", 26)                                                                                                      \
    X("AF32", 28)                                                                                                      \
    X("AF33", 30)                                                                                                      \
    X("CS4", 32)                                                                                                       \
    X("AF41", 34)                                                                                                      \
    X("AF42", 36)                                                                                                      \
    X("AF43", 38)                                                                                                      \
    X("CS5", 40)                                                                                                       \
    X("VA", 44)                                                                                                        \
    X("VOICE-ADMIT", 44)                                                                                               \
    X("NQB", 45)                                                                                                       \
    X("EF", 46)                                                                                                        \
    X("CS6", 48)                                                                                                       \
    X("CS7", 56)

#define NAME(name, value) name,
static const char *const names[] = { NAMES(NAME) NULL };
#undef NAME
#define VALUE(name, value) value,
static const uint8_t values[] = { NAMES(VALUE) };
#undef VALUE

int dscp_parse(const char *text) {
    int64_t v;

    for (size_t i = 0; names[i]; i++)
        if (strcasecmp(names[i], text) == 0)
            return values[i];
    if (unit_parse_integer(text, &v) < 0 || v >= DSCP_COUNT)
        return -EINVAL;
    return (int) v;
}

const char *dscp_name(unsigned dscp) {
    for (size_t i = 0; names[i]; i++)
        if (values[i] == dscp)
            return names[i];
    return NULL;
}

const char *dscp_format(unsigned dscp, char buf[static DSCP_TEXT_MAX]) {
    const char *name = dscp_name(dscp);

    if (name)
        snprintf(buf, DSCP_TEXT_MAX, "%s", name);
    else
        snprintf(buf, DSCP_TEXT_MAX, "%u", dscp % DSCP_COUNT);
    return buf;
}

const char *const *dscp_names(void) {
    return names;
}
