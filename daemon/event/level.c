/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdatomic.h>

#include "event.h"
#include "level.h"

static atomic_int current_level = LOG_INFO;

void event_set_level(int max_priority) {
    atomic_store(&current_level, MAX(LOG_EMERG, MIN(max_priority, LOG_DEBUG)));
}

int event_level(void) {
    return atomic_load(&current_level);
}

bool event_enabled(enum event_kind kind) {
    return event_kind_priority(kind) <= event_level();
}

const char *event_level_name(int priority) {
    assert(priority >= LOG_EMERG && priority <= LOG_DEBUG);
    return level_names()[priority];
}

int event_level_parse(const char *text) {
    const char *const *names = level_names();

    if (text[0] >= '0' && text[0] <= '7' && !text[1])
        return text[0] - '0';
    for (int level = 0; names[level]; level++)
        if (streq(text, names[level]))
            return level;
    return -EINVAL;
}
