/* SPDX-License-Identifier: MIT */
/*
 * Where events are told. A sink is opened, told and closed by its owner, one call at a time; telling may block for as
 * long as the reader on the other side likes.
 */
#pragma once

#include <stdbool.h>

#include "event.h"

struct sink {
    const char *name; /* for messages: "the journal" */
    /* Is this the place that whoever started the program reads? Main thread. */
    bool (*usable)(void);
    /* 0 and a context, or negative errno. */
    int (*open)(const char *identifier, void **ret_context);
    /* 0, or negative errno if the record was lost. */
    int (*tell)(void *context, const struct event_record *record);
    void (*close)(void *context);
};

extern const struct sink sink_journal, sink_stderr;

/* Like sink_stderr's tell(), but waits at most `wait_msec` for the reader: -EAGAIN, nothing written. Any thread. */
int sink_stderr_try(const struct event_record *record, int wait_msec) _must_check_;
