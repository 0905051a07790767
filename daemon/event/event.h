/* SPDX-License-Identifier: MIT */
/*
 * What happened, told to the journal (or stderr) and to monitors. Any thread may call event_log(); it copies a
 * record into a bounded ring and returns: a stuck journal never holds up a worker. One thread empties the ring.
 *
 * Two rings: events, and payload entries of the journal target, so that a flood of payloads never hides a change.
 * When a ring is full the record is dropped and counted, and the count is told as soon as there is room.
 * Kinds marked rate-limited pass at most EVENT_BURST records per EVENT_INTERVAL_USEC each; what was held back is told with the
 * next one (field SOCKQ_SUPPRESSED), or after the interval by an EVENTS_SUPPRESSED line.
 *
 * Sinks: the journal's native protocol if $JOURNAL_STREAM names stderr's device and inode (systemd.exec(5)), with
 * MESSAGE, PRIORITY, MESSAGE_ID, SYSLOG_IDENTIFIER and the fields; otherwise the message on stderr with the sd-daemon
 * prefix "<N>" (sd-daemon(3)) if stderr is not a terminal, plain if it is; one write per line. stderr shows the payload
 * too, escaped and cut. Control characters, bytes that are not UTF-8 and backslashes of a message are C-escaped for all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kinds.h"
#include "macro.h"

#define EVENT_BURST 10
#define EVENT_INTERVAL_USEC (10 * USEC_PER_SEC)
#define EVENT_RING_BYTES ((size_t) 256 * 1024)
#define EVENT_PAYLOAD_RING_BYTES ((size_t) 1024 * 1024)
#define EVENT_MESSAGE_MAX 2048                 /* longer messages are cut and end in "..." */
#define EVENT_FIELDS_MAX 40                    /* further ones are left out */
#define EVENT_VALUE_MAX 8192                   /* longer text values are cut and end in "..." */
#define EVENT_PAYLOAD_MAX ((size_t) 64 * 1024) /* longer values that have a size are cut */

/* Field names beside MESSAGE and friends, as they stand in the journal. Values are UTF-8 text without a newline; SOCKQ_PAYLOAD may
 * be any bytes. Listeners' summaries (EVENT_STATS) add counters by name, SOCKQ_RX_BYTES and so on. */
#define FIELD_LISTENER "SOCKQ_LISTENER"
#define FIELD_FLOW "SOCKQ_FLOW"
#define FIELD_PEER "SOCKQ_PEER"
#define FIELD_SETTING "SOCKQ_SETTING"
#define FIELD_OLD "SOCKQ_OLD"
#define FIELD_NEW "SOCKQ_NEW"
#define FIELD_SCOPE "SOCKQ_SCOPE"
#define FIELD_RESULT "SOCKQ_RESULT"
#define FIELD_UID "SOCKQ_UID"
#define FIELD_PID "SOCKQ_PID"
#define FIELD_METHOD "SOCKQ_METHOD"
#define FIELD_ERRNO "ERRNO"
#define FIELD_FILE "SOCKQ_FILE"
#define FIELD_LINE "SOCKQ_LINE"
#define FIELD_UPSTREAM "SOCKQ_UPSTREAM"
#define FIELD_PAYLOAD "SOCKQ_PAYLOAD"
#define FIELD_SUPPRESSED "SOCKQ_SUPPRESSED"

/* A field; a NULL value leaves it out. size 0: value is a string (so no bytes at all are written as ""). */
struct event_field {
    const char *name;
    const void *value;
    size_t size;
};

#define EVENT_FIELDS(...) ((const struct event_field[]){ __VA_ARGS__, { NULL, NULL, 0 } })
#define EVENT_NO_FIELDS NULL

/* Starts the thread (signals blocked in it). `identifier` is the SYSLOG_IDENTIFIER. Before it and after event_stop(),
 * event_log() writes to stderr from the calling thread, without rate limit and monitor, and gives up on a line when a
 * full pipe stays full for a second. Main thread. 0, -EALREADY or another negative errno. */
int event_start(const char *identifier, int max_priority) _must_check_;
/* Tells what is queued, at most `timeout_usec` long (a stuck journal must not hang the exit), then ends the thread.
 * What could not be told is counted on stderr, if that takes it at once. A thread that hangs in its sink is left behind.
 * Main thread. */
void event_stop(uint64_t timeout_usec);

/* Records of a lower importance than this syslog priority are not made. Any thread. */
void event_set_level(int max_priority);
int event_level(void);
/* Would a record of this kind and its own priority be told? For callers that would have to build costly fields. */
bool event_enabled(enum event_kind kind);

/* Tells an event. `fields` ends with a NULL name. Never blocks on the journal, keeps errno, does not allocate. */
void event_log(enum event_kind kind, const struct event_field *fields, const char *format, ...) _printf_(3, 4);
/* The same with another priority than the kind's own. */
void event_log_at(int priority, enum event_kind kind, const struct event_field *fields, const char *format, ...)
        _printf_(4, 5);

const char *event_kind_name(enum event_kind kind);  /* "setting-changed" */
const char *event_message_id(enum event_kind kind); /* 32 hex digits */
int event_kind_priority(enum event_kind kind);
const char *event_level_name(int priority);           /* "debug" ... "emerg" */
int event_level_parse(const char *text) _must_check_; /* name or 0-7; -EINVAL */

/*
 * Monitors. The callback runs on the event thread with a record that is valid during the call; it must not block, nor call
 * event_set_monitor() or event_stop(). It may call event_log().
 * One subscriber (the control room fans out). NULL ends it: after the call returns, it is not running any more.
 */
struct event_record {
    enum event_kind kind;
    int priority;
    uint64_t realtime_usec; /* CLOCK_REALTIME at event_log() */
    const char *message;
    const struct event_field *fields; /* n_fields; sizes are always set; values of strings are NUL-terminated as well */
    size_t n_fields;
};
typedef void (*event_monitor_fn)(const struct event_record *record, void *userdata);
void event_set_monitor(event_monitor_fn fn, void *userdata);

/* Counters since the program began, for `status`: told (lines on suppressed events included), dropped because a ring
 * was full or the sink failed, held back by the rate limit. Any thread. */
struct event_counts {
    uint64_t told, dropped, suppressed;
};
void event_counts(struct event_counts *ret);
