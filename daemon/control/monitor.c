/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "build.h"
#include "event.h"
#include "handlers.h"
#include "mailbox.h"
#include "monitors.h"
#include "record.h"
#include "state.h"

struct monitor_request {
    const char *level;
};

const struct parameter monitor_parameters[] = {
    PARAMETER(struct monitor_request, level, PARAMETER_STRING, false),
    PARAMETERS_END,
};

struct monitor {
    struct monitor *next, **link;
    struct monitors *all;
    struct call *call;
    int max_priority;
    bool slow;
    uint64_t dropped; /* since the last reply */
};

struct monitors {
    struct monitor *list;
    struct mailbox mailbox; /* from the event thread */
    sd_event_source *source;
    _Atomic size_t queued_bytes;
    _Atomic uint64_t dropped; /* because the queue was full; not yet counted for each client */
    _Atomic int max_priority; /* of the most curious client */
};

/* A record on its way to the main thread. */
struct queued {
    struct message message;
    size_t size;
    char data[];
};

static json_t *build_record(const struct event_record *record) {
    json_t *fields = json_object();

    for (size_t i = 0; i < record->n_fields; i++)
        fields = build_member(fields, record->fields[i].name,
                              build_bytes(record->fields[i].value, record->fields[i].size));
    return json_pack("{s:o, s:s, s:s, s:o, s:o}", "time_usec", build_number(record->realtime_usec), "kind",
                     event_kind_name(record->kind), "level", event_level_name(record->priority), "message",
                     build_text(record->message), "fields", fields);
}

static void tell(struct monitor *m, const json_t *record) {
    json_t *event;

    if (m->slow) {
        m->dropped++;
        return;
    }
    event = build_member(json_copy((json_t *) record), "dropped", build_number(m->dropped));
    m->dropped = 0;
    m->slow = !call_reply_more(m->call, event);
}

static void on_queued(struct message *message, void *owner) {
    struct queued *queued = CONTAINER_OF(message, struct queued, message);
    struct event_field fields[RECORD_FIELDS_MAX];
    struct event_record record;
    struct monitors *all = owner;
    uint64_t dropped = atomic_exchange(&all->dropped, 0);
    json_t *json;

    record_read(queued->data, queued->size, fields, &record);
    json = build_record(&record);
    for (struct monitor *m = all->list; m; m = m->next) {
        m->dropped += dropped;
        if (record.priority <= m->max_priority)
            tell(m, json);
    }
    json_decref(json);
    atomic_fetch_sub(&all->queued_bytes, queued->size);
    free(queued);
}

static int on_mailbox(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents, void *userdata) {
    struct monitors *all = userdata;

    (void) mailbox_take(&all->mailbox, all);
    return 0;
}

/* Event thread. */
static void on_event(const struct event_record *record, void *userdata) {
    struct monitors *all = userdata;
    struct record_layout layout;
    struct queued *queued;
    char *at;

    if (record->kind == EVENT_PAYLOAD || record->priority > atomic_load(&all->max_priority))
        return;
    record_begin(&layout, record->kind, record->priority, record->realtime_usec, record->message);
    for (size_t i = 0; i < record->n_fields; i++)
        record_add(&layout, &record->fields[i]);
    if (atomic_fetch_add(&all->queued_bytes, layout.bytes) + layout.bytes > MONITORS_QUEUE_BYTES ||
        !(queued = malloc(sizeof(*queued) + layout.bytes))) {
        atomic_fetch_sub(&all->queued_bytes, layout.bytes);
        atomic_fetch_add(&all->dropped, 1);
        return;
    }
    queued->message.handle = on_queued;
    queued->size = layout.bytes;
    at = queued->data;
    for (size_t i = 0; i < layout.n_parts; i++)
        at = mempcpy(at, layout.parts[i].iov_base, layout.parts[i].iov_len);
    mailbox_post(&all->mailbox, &queued->message);
}

/* After the list has changed. */
static void subscribe(struct monitors *all) {
    int max_priority = -1;

    for (const struct monitor *m = all->list; m; m = m->next)
        max_priority = MAX(max_priority, m->max_priority);
    atomic_store(&all->max_priority, max_priority);
    event_set_monitor(all->list ? on_event : NULL, all);
}

static void on_drained(_unused_ struct call *call, void *userdata) {
    struct monitor *m = userdata;

    m->slow = false;
}

static void on_gone(struct call *call, void *userdata) {
    struct monitor *m = userdata;

    *m->link = m->next;
    if (m->next)
        m->next->link = m->link;
    subscribe(m->all);
    call_drop(call);
    free(m);
}

void monitors_add(struct monitors *all, struct call *call, int max_priority) {
    struct monitor *m = malloc(sizeof(*m));

    if (!m) {
        call_drop(call);
        return;
    }
    *m = (struct monitor){
        .next = all->list,
        .link = &all->list,
        .all = all,
        .call = call,
        .max_priority = max_priority,
    };
    if (m->next)
        m->next->link = &m->next;
    all->list = m;
    call_watch(call, on_drained, on_gone, m);
    subscribe(all);
}

int monitors_new(sd_event *event, struct monitors **ret) {
    struct monitors *all = calloc(1, sizeof(*all));
    int r;

    if (!all)
        return -ENOMEM;
    r = mailbox_init(&all->mailbox);
    if (r < 0) {
        free(all);
        return r;
    }
    r = sd_event_add_io(event, &all->source, all->mailbox.event_fd, EPOLLIN, on_mailbox, all);
    if (r < 0) {
        monitors_free(all);
        return r;
    }
    *ret = all;
    return 0;
}

struct monitors *monitors_free(struct monitors *all) {
    if (!all)
        return NULL;
    assert(!all->list);
    sd_event_source_disable_unref(all->source);
    (void) mailbox_take(&all->mailbox, all);
    mailbox_done(&all->mailbox);
    free(all);
    return NULL;
}

void handle_monitor(struct call *call, const void *parameters, void *userdata) {
    const struct monitor_request *p = parameters;
    struct control *c = userdata;
    int level = p->level ? event_level_parse(p->level) : LOG_DEBUG;

    if (level < 0)
        call_error_invalid_parameter(call, "level");
    else
        monitors_add(c->monitors, call, level);
}
