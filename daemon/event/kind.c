/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <ctype.h>
#include <pthread.h>

#include "event.h"

#define NAME_MAX_BYTES 32

static const struct kind_row {
    const char *identifier, *message_id;
    int priority;
} kinds[] = {
#define X(id, prio, message, limited) { .identifier = #id, .message_id = (message), .priority = (prio) },
    EVENT_KINDS(X)
#undef X
};

static char names[EVENT_KIND_MAX][NAME_MAX_BYTES];

static void make_names(void) {
    for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
        const char *from = kinds[kind].identifier;

        assert(strlen(from) < NAME_MAX_BYTES);
        for (char *to = names[kind]; *from; from++)
            *to++ = (char) (*from == '_' ? '-' : tolower((unsigned char) *from));
    }
}

const char *event_kind_name(enum event_kind kind) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    assert(kind < EVENT_KIND_MAX);
    pthread_once(&once, make_names);
    return names[kind];
}

const char *event_message_id(enum event_kind kind) {
    assert(kind < EVENT_KIND_MAX);
    return kinds[kind].message_id;
}

int event_kind_priority(enum event_kind kind) {
    assert(kind < EVENT_KIND_MAX);
    return kinds[kind].priority;
}
