/* SPDX-License-Identifier: MIT */
/*
 * An event as bytes: laid out for writing without a copy, and read back in place. No allocation, any thread.
 * The bytes live inside one process only: host byte order, no version.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "event.h"

#define RECORD_MAX ((size_t) 128 * 1024)
#define RECORD_FIELDS_MAX (EVENT_FIELDS_MAX + 1) /* SOCKQ_SUPPRESSED is added here */

struct record_head {
    uint64_t realtime_usec;
    uint32_t message_size;
    uint16_t kind;
    uint8_t priority, n_fields;
};

struct record_field_head {
    uint32_t value_size;
    uint16_t name_size;
};

/* The parts of a record in order. They point into this struct and into what was added. */
struct record_layout {
    struct record_head head;
    struct record_field_head fields[RECORD_FIELDS_MAX];
    struct iovec parts[3 + RECORD_FIELDS_MAX * 4];
    size_t n_parts, bytes;
};

/* Begins a record. `message` is at most EVENT_MESSAGE_MAX bytes long and stays valid. */
void record_begin(struct record_layout *layout, enum event_kind kind, int priority, uint64_t realtime_usec,
                  const char *message);

/* Adds a field, which stays valid; nothing if its value is NULL. Texts are cut at EVENT_VALUE_MAX, bytes at
 * EVENT_PAYLOAD_MAX. A field beyond RECORD_FIELDS_MAX or RECORD_MAX is left out. */
void record_add(struct record_layout *layout, const struct event_field *field);

/* Reads a record back; `ret` and `fields` point into `data`. */
void record_read(const void *data, size_t size, struct event_field fields[static RECORD_FIELDS_MAX],
                 struct event_record *ret);

/* The field of that name, or NULL. */
const struct event_field *record_find(const struct event_record *record, const char *name);
