/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "deadline.h"
#include "escape.h"
#include "event.h"
#include "limit.h"
#include "monitor.h"
#include "record.h"
#include "ring.h"
#include "sink.h"

#define THREAD_NAME "sockq-event"
#define DROPS_INTERVAL_USEC USEC_PER_SEC /* between two lines on records that a full lane still drops */
#define DIRECT_WAIT_MSEC 1000

enum { LANE_EVENTS, LANE_PAYLOADS, LANE_MAX };

static const struct lane_row {
    size_t bytes;
    enum event_kind note;
    const char *what;
} lanes[LANE_MAX] = {
    [LANE_EVENTS] = { EVENT_RING_BYTES, EVENT_EVENTS_SUPPRESSED, "events" },
    [LANE_PAYLOADS] = { EVENT_PAYLOAD_RING_BYTES, EVENT_PAYLOADS_SUPPRESSED, "payloads" },
};

static const struct sink *const sinks[] = { &sink_journal, &sink_stderr };

/* What the thread works with. The thread keeps it alive, and so does whoever logs just now: an abandoned thread may come
 * back from its sink long after event_stop(). */
struct engine {
    unsigned n_refs; /* guarded by current_lock */
    struct ring *ring;
    struct limit limit;
    const struct sink *sink;
    void *context;
    pthread_t thread;
    atomic_bool abandoned;
    atomic_uint_fast64_t n_in_hand; /* records that the sink is being told of */
    uint64_t next_drops_usec;

    pthread_mutex_t lock;
    pthread_cond_t ended_cond;
    bool ended;

    uint8_t record[RECORD_MAX];
};

static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine *current;

static atomic_bool stderr_stuck;
static atomic_uint_fast64_t n_told, n_dropped, n_suppressed;

static struct engine *engine_free(struct engine *engine) {
    if (!engine)
        return NULL;
    if (engine->sink)
        engine->sink->close(engine->context);
    ring_free(engine->ring);
    limit_done(&engine->limit);
    pthread_cond_destroy(&engine->ended_cond);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
    return NULL;
}
DEFINE_CLEANUP(struct engine *, engine_free)

static struct engine *engine_ref_current(void) {
    struct engine *engine;

    pthread_mutex_lock(&current_lock);
    engine = current;
    if (engine)
        engine->n_refs++;
    pthread_mutex_unlock(&current_lock);
    return engine;
}

static struct engine *engine_unref(struct engine *engine) {
    bool last;

    if (!engine)
        return NULL;
    pthread_mutex_lock(&current_lock);
    last = --engine->n_refs == 0;
    pthread_mutex_unlock(&current_lock);
    return last ? engine_free(engine) : NULL;
}

static int open_sink(struct engine *engine, const char *identifier) {
    for (size_t i = 0; i < ARRAY_SIZE(sinks); i++) {
        int r;

        if (!sinks[i]->usable())
            continue;
        r = sinks[i]->open(identifier, &engine->context);
        if (r < 0)
            return r;
        engine->sink = sinks[i];
        return 0;
    }
    return -ENXIO;
}

static int engine_new(const char *identifier, struct engine **ret) {
    _cleanup_(engine_freep) struct engine *engine = NULL;
    size_t lane_bytes[LANE_MAX];
    int r;

    engine = calloc(1, sizeof(*engine));
    if (!engine)
        return -ENOMEM;
    limit_init(&engine->limit);
    pthread_mutex_init(&engine->lock, NULL);
    deadline_cond_init(&engine->ended_cond);

    for (size_t i = 0; i < LANE_MAX; i++)
        lane_bytes[i] = lanes[i].bytes;
    r = ring_new(lane_bytes, LANE_MAX, RECORD_MAX, &engine->ring);
    if (r < 0)
        return r;
    r = open_sink(engine, identifier);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(engine);
    return 0;
}

/* The monitor goes first: a sink that never returns does not keep the record from it. */
static void tell(struct engine *engine, const struct event_record *record, uint64_t n_records) {
    int r;

    atomic_store(&engine->n_in_hand, n_records);
    monitor_call(record);

    r = engine->sink->tell(engine->context, record);
    atomic_fetch_add(r < 0 ? &n_dropped : &n_told, 1);
    atomic_store(&engine->n_in_hand, 0);
}

/* Tells that `n` records were not told. */
_printf_(4, 5) static void tell_note(struct engine *engine, enum event_kind kind, uint64_t n, const char *format, ...) {
    char message[EVENT_MESSAGE_MAX], count[24];
    struct event_field field = { FIELD_SUPPRESSED, count, 0 };
    va_list args;

    if (!event_enabled(kind))
        return;
    field.size = (size_t) snprintf(count, sizeof(count), "%" PRIu64, n);
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    tell(engine,
         &(struct event_record){
                 .kind = kind,
                 .priority = event_kind_priority(kind),
                 .realtime_usec = clock_usec(CLOCK_REALTIME),
                 .message = message,
                 .fields = &field,
                 .n_fields = 1,
         },
         n);
}

/* A lane that empties is spoken of at once; one that goes on dropping, now and then. */
static void tell_drops(struct engine *engine, uint64_t now) {
    bool only_if_empty = now < engine->next_drops_usec;

    for (size_t i = 0; i < LANE_MAX && !atomic_load(&engine->abandoned); i++) {
        uint64_t n = ring_take_drops(engine->ring, i, only_if_empty);

        if (n == 0)
            continue;
        engine->next_drops_usec = now + DROPS_INTERVAL_USEC;
        tell_note(engine, lanes[i].note, n, "%" PRIu64 " %s dropped: %s did not keep up", n, lanes[i].what,
                  engine->sink->name);
    }
}

static void tell_held(struct engine *engine, uint64_t now) {
    enum event_kind kind;
    uint64_t n;

    while (!atomic_load(&engine->abandoned) && limit_take_due(&engine->limit, now, &kind, &n))
        tell_note(engine, EVENT_EVENTS_SUPPRESSED, n, "%" PRIu64 " events of kind %s held back", n,
                  event_kind_name(kind));
}

static void *run(void *userdata) {
    struct engine *engine = userdata;
    struct event_field fields[RECORD_FIELDS_MAX];
    struct event_record record;
    ssize_t n = 0;

    while (n != -ESHUTDOWN) {
        uint64_t now = clock_usec(CLOCK_MONOTONIC);

        tell_drops(engine, now);
        tell_held(engine, now);
        n = ring_take(engine->ring, engine->record, limit_next(&engine->limit));
        if (n < 0)
            continue;
        record_read(engine->record, (size_t) n, fields, &record);
        tell(engine, &record, 1);
    }
    tell_drops(engine, UINT64_MAX);
    tell_held(engine, UINT64_MAX);

    pthread_mutex_lock(&engine->lock);
    engine->ended = true;
    pthread_cond_signal(&engine->ended_cond);
    pthread_mutex_unlock(&engine->lock);
    engine_unref(engine);
    return NULL;
}

static int start_thread(struct engine *engine) {
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&engine->thread, NULL, run, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return r;
    pthread_setname_np(engine->thread, THREAD_NAME);
    return 0;
}

int event_start(const char *identifier, int max_priority) {
    _cleanup_(engine_freep) struct engine *engine = NULL;
    int r;

    if (current)
        return -EALREADY;
    r = engine_new(identifier, &engine);
    if (r < 0)
        return r;
    engine->n_refs = 2; /* the thread and `current` */
    r = start_thread(engine);
    if (r < 0)
        return r;
    event_set_level(max_priority);
    pthread_mutex_lock(&current_lock);
    current = TAKE_PTR(engine);
    pthread_mutex_unlock(&current_lock);
    return 0;
}

static bool wait_ended(struct engine *engine, uint64_t timeout_usec) {
    uint64_t deadline_usec = clock_usec(CLOCK_MONOTONIC) + MIN(timeout_usec, UINT64_MAX / 2);
    bool ended;
    int r = 0;

    pthread_mutex_lock(&engine->lock);
    while (!engine->ended && r == 0)
        r = deadline_wait(&engine->ended_cond, &engine->lock, deadline_usec);
    ended = engine->ended;
    pthread_mutex_unlock(&engine->lock);
    return ended;
}

/* A reader that does not read makes one caller wait a little, not all of them. */
static void tell_directly(enum event_kind kind, int priority, const char *message) {
    int r = sink_stderr_try(
            &(struct event_record){
                    .kind = kind,
                    .priority = priority,
                    .realtime_usec = clock_usec(CLOCK_REALTIME),
                    .message = message,
            },
            atomic_load(&stderr_stuck) ? 0 : DIRECT_WAIT_MSEC);

    atomic_store(&stderr_stuck, r == -EAGAIN);
    atomic_fetch_add(r < 0 ? &n_dropped : &n_told, 1);
}

static void abandon(struct engine *engine) {
    char message[96];
    uint64_t n;

    atomic_store(&engine->abandoned, true);
    n = ring_discard(engine->ring) + atomic_load(&engine->n_in_hand);
    pthread_detach(engine->thread);
    if (n == 0)
        return;
    snprintf(message, sizeof(message), "%" PRIu64 " events not told: %s did not keep up", n, engine->sink->name);
    atomic_store(&stderr_stuck, true);
    tell_directly(EVENT_EVENTS_SUPPRESSED, event_kind_priority(EVENT_EVENTS_SUPPRESSED), message);
}

void event_stop(uint64_t timeout_usec) {
    struct engine *engine;

    pthread_mutex_lock(&current_lock);
    engine = TAKE_PTR(current);
    pthread_mutex_unlock(&current_lock);
    if (!engine)
        return;
    ring_close(engine->ring);
    if (wait_ended(engine, timeout_usec))
        pthread_join(engine->thread, NULL);
    else
        abandon(engine);
    engine_unref(engine);
}

_printf_(2, 0) static void make_message(char text[static EVENT_MESSAGE_MAX + 1], const char *format, va_list args) {
    /* Escaping never shortens: what this cuts, escape_text() would cut as well. */
    char raw[EVENT_MESSAGE_MAX + 2];

    if (vsnprintf(raw, sizeof(raw), format, args) < 0)
        raw[0] = '\0';
    escape_text(text, EVENT_MESSAGE_MAX + 1, raw, strlen(raw));
}

/* 0 unless the engine is being stopped. */
static int enqueue(struct engine *engine, struct record_layout *layout, enum event_kind kind,
                   const struct event_field *fields, uint64_t n_held) {
    size_t lane = kind == EVENT_PAYLOAD ? LANE_PAYLOADS : LANE_EVENTS;
    char held[24];
    int r;

    for (size_t i = 0; fields && fields[i].name && i < EVENT_FIELDS_MAX; i++)
        record_add(layout, &fields[i]);
    if (n_held > 0) {
        snprintf(held, sizeof(held), "%" PRIu64, n_held);
        record_add(layout, &(struct event_field){ FIELD_SUPPRESSED, held, 0 });
    }
    r = ring_put(engine->ring, lane, layout->parts, layout->n_parts);
    if (r == -ESHUTDOWN)
        return r;
    if (r < 0) {
        atomic_fetch_add(&n_dropped, 1);
        if (n_held > 0)
            limit_return(&engine->limit, kind, n_held);
    }
    return 0;
}

_printf_(4, 0) static void log_args(int priority, enum event_kind kind, const struct event_field *fields,
                                    const char *format, va_list args) {
    int saved_errno = errno;
    struct engine *engine;
    struct record_layout layout;
    char message[EVENT_MESSAGE_MAX + 1];
    uint64_t n_held;

    assert(kind < EVENT_KIND_MAX && priority >= LOG_EMERG && priority <= LOG_DEBUG);
    if (priority > event_level())
        return;
    engine = engine_ref_current();
    if (engine && !limit_pass(&engine->limit, kind, clock_usec(CLOCK_MONOTONIC), &n_held)) {
        atomic_fetch_add(&n_suppressed, 1);
    } else {
        errno = saved_errno;
        make_message(message, format, args);
        record_begin(&layout, kind, priority, clock_usec(CLOCK_REALTIME), message);
        if (!engine || enqueue(engine, &layout, kind, fields, n_held) < 0)
            tell_directly(kind, priority, message);
    }
    engine_unref(engine);
    errno = saved_errno;
}

void event_log_at(int priority, enum event_kind kind, const struct event_field *fields, const char *format, ...) {
    va_list args;

    va_start(args, format);
    log_args(priority, kind, fields, format, args);
    va_end(args);
}

void event_log(enum event_kind kind, const struct event_field *fields, const char *format, ...) {
    va_list args;

    va_start(args, format);
    log_args(event_kind_priority(kind), kind, fields, format, args);
    va_end(args);
}

void event_counts(struct event_counts *ret) {
    *ret = (struct event_counts){
        .told = atomic_load(&n_told),
        .dropped = atomic_load(&n_dropped),
        .suppressed = atomic_load(&n_suppressed),
    };
}
