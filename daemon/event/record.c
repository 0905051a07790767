/* SPDX-License-Identifier: MIT */
#include <assert.h>

#include "escape.h"
#include "record.h"

#define ELLIPSIS "..."

static void add_part(struct record_layout *layout, const void *data, size_t n) {
    assert(layout->n_parts < ARRAY_SIZE(layout->parts));
    layout->parts[layout->n_parts++] = (struct iovec){ (void *) data, n };
    layout->bytes += n;
}

void record_begin(struct record_layout *layout, enum event_kind kind, int priority, uint64_t realtime_usec,
                  const char *message) {
    size_t n = strlen(message);

    assert(n <= EVENT_MESSAGE_MAX);
    layout->head = (struct record_head){
        .realtime_usec = realtime_usec,
        .message_size = (uint32_t) n,
        .kind = (uint16_t) kind,
        .priority = (uint8_t) priority,
    };
    layout->n_parts = layout->bytes = 0;
    add_part(layout, &layout->head, sizeof(layout->head));
    add_part(layout, message, n + 1);
}

void record_add(struct record_layout *layout, const struct event_field *field) {
    size_t name_size, value_size, shown;
    const char *end = "";

    if (!field->value || layout->head.n_fields == RECORD_FIELDS_MAX)
        return;
    name_size = strlen(field->name);
    if (field->size > 0) {
        shown = value_size = MIN(field->size, EVENT_PAYLOAD_MAX);
    } else {
        shown = value_size = strlen(field->value);
        if (value_size > EVENT_VALUE_MAX) {
            end = ELLIPSIS;
            shown = escape_cut(field->value, value_size, EVENT_VALUE_MAX - strlen(ELLIPSIS));
            value_size = shown + strlen(ELLIPSIS);
        }
    }
    if (name_size > UINT16_MAX ||
        layout->bytes + sizeof(struct record_field_head) + name_size + 1 + value_size + 1 > RECORD_MAX)
        return;

    struct record_field_head *head = &layout->fields[layout->head.n_fields++];
    *head = (struct record_field_head){ .value_size = (uint32_t) value_size, .name_size = (uint16_t) name_size };
    add_part(layout, head, sizeof(*head));
    add_part(layout, field->name, name_size + 1);
    add_part(layout, field->value, shown);
    add_part(layout, end, strlen(end) + 1);
}

/* Steps over `n` bytes of the record. */
static const void *step(const uint8_t **at, const uint8_t *end, size_t n) {
    const uint8_t *from = *at;

    assert(n <= (size_t) (end - from));
    *at += n;
    return from;
}

void record_read(const void *data, size_t size, struct event_field fields[static RECORD_FIELDS_MAX],
                 struct event_record *ret) {
    const uint8_t *at = data, *end = at + size;
    struct record_head head;

    memcpy(&head, step(&at, end, sizeof(head)), sizeof(head));
    assert(head.kind < EVENT_KIND_MAX && head.n_fields <= RECORD_FIELDS_MAX);
    *ret = (struct event_record){
        .kind = head.kind,
        .priority = head.priority,
        .realtime_usec = head.realtime_usec,
        .message = step(&at, end, (size_t) head.message_size + 1),
        .fields = fields,
        .n_fields = head.n_fields,
    };
    for (size_t i = 0; i < head.n_fields; i++) {
        struct record_field_head field;

        memcpy(&field, step(&at, end, sizeof(field)), sizeof(field));
        fields[i].name = step(&at, end, (size_t) field.name_size + 1);
        fields[i].value = step(&at, end, (size_t) field.value_size + 1);
        fields[i].size = field.value_size;
    }
}

const struct event_field *record_find(const struct event_record *record, const char *name) {
    for (size_t i = 0; i < record->n_fields; i++)
        if (streq(record->fields[i].name, name))
            return &record->fields[i];
    return NULL;
}
