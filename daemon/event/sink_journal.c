/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "record.h"
#include "sink.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define OWN_FIELDS 4 /* MESSAGE, PRIORITY, MESSAGE_ID, SYSLOG_IDENTIFIER */
#define OWN_NAMES_MAX 128

/* Every field is copied to "NAME=value" in `entry`, which takes less than the record did, but for the own names. */
struct journal {
    char *identifier;
    char entry[RECORD_MAX + OWN_NAMES_MAX];
    size_t used;
    struct iovec parts[OWN_FIELDS + RECORD_FIELDS_MAX];
    int n_parts;
};

/* sd_journal_sendv() says success when there is no journal to be seen (another root directory, say). */
static bool usable(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    snprintf(own, sizeof(own), "%" PRIuMAX ":%" PRIuMAX, (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
    return streq(stream, own) && access(JOURNAL_SOCKET, W_OK) == 0;
}

static void close_journal(void *context) {
    struct journal *journal = context;

    free(journal->identifier);
    free(journal);
}

static int open_journal(const char *identifier, void **ret_context) {
    struct journal *journal = calloc(1, sizeof(*journal));

    if (!journal)
        return -ENOMEM;
    if (asprintf(&journal->identifier, "SYSLOG_IDENTIFIER=%s", identifier) < 0) {
        free(journal);
        return -ENOMEM;
    }
    *ret_context = journal;
    return 0;
}

static void add(struct journal *journal, const char *name, const void *value, size_t size) {
    size_t n = strlen(name) + 1 + size;
    char *to = journal->entry + journal->used;

    assert(n <= sizeof(journal->entry) - journal->used);
    to = stpcpy(to, name);
    *to++ = '=';
    memcpy(to, value, size);
    journal->parts[journal->n_parts++] = (struct iovec){ journal->entry + journal->used, n };
    journal->used += n;
}

static int tell_journal(void *context, const struct event_record *record) {
    struct journal *journal = context;
    const char priority = (char) ('0' + record->priority);
    const char *message_id = event_message_id(record->kind);

    journal->used = 0;
    journal->parts[0] = (struct iovec){ journal->identifier, strlen(journal->identifier) };
    journal->n_parts = 1;
    add(journal, "MESSAGE", record->message, strlen(record->message));
    add(journal, "PRIORITY", &priority, 1);
    add(journal, "MESSAGE_ID", message_id, strlen(message_id));
    for (size_t i = 0; i < record->n_fields; i++)
        add(journal, record->fields[i].name, record->fields[i].value, record->fields[i].size);
    return sd_journal_sendv(journal->parts, journal->n_parts);
}

const struct sink sink_journal = {
    .name = "the journal",
    .usable = usable,
    .open = open_journal,
    .tell = tell_journal,
    .close = close_journal,
};
