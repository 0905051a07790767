/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages on a byte stream (UAPI.20): one UTF-8 JSON object, then one NUL byte. Both programs use it.
 * No sockets here: bytes go in, messages come out. A struct belongs to one thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "macro.h"

#define VARLINK_INTERFACE "org.sockq.Control"
#define VARLINK_DEPTH_MAX 32

/* Collects bytes until a NUL. Zero-initialise; `limit_bytes` bounds one message. */
struct varlink_reader {
    char *data;
    size_t start, size, allocated, scanned; /* data[start..size) is pending, no NUL in it before `scanned` */
    size_t limit_bytes;
};

/* Room for at least one more read: a pointer and its size in *ret_size; commit with varlink_reader_fill().
 * Take all messages out with varlink_reader_next() first. Never grows past limit_bytes + 4096: NULL when out of memory,
 * or when whole messages were left inside until it was full. */
void *varlink_reader_space(struct varlink_reader *r, size_t *ret_size) _must_check_;
void varlink_reader_fill(struct varlink_reader *r, size_t size);
/* The next whole message. 1: *ret_message holds it (a JSON object, owned by the caller). 0: more bytes are needed.
 * -EMSGSIZE: over the limit. -EBADMSG: not JSON, not an object, too deep, duplicate keys, bad UTF-8. -ENOMEM.
 * After an error the stream is out of step: close it. */
int varlink_reader_next(struct varlink_reader *r, json_t **ret_message) _must_check_;
/* Gives memory back when nothing is pending; call when a session turns idle. */
void varlink_reader_trim(struct varlink_reader *r);
void varlink_reader_done(struct varlink_reader *r);

/* A call, as received and checked. */
struct varlink_call {
    const char *method; /* borrowed from the message */
    json_t *parameters; /* borrowed; NULL when absent, null or {} */
    bool oneway, more;
};

/* Checks the header keys. 0, or -EBADMSG when the connection must be closed: no method, a non-string method, several
 * flags, a non-boolean flag, `upgrade` (not offered), non-object parameters, an unknown key without a dot in it. */
int varlink_call_parse(json_t *message, struct varlink_call *ret) _must_check_;

/* Compact JSON plus the NUL. *ret_size counts the NUL. Owned by the caller, NULL when out of memory. */
char *varlink_encode(const json_t *message, size_t *ret_size) _must_check_;

/* Where the control socket is: `option` (the --control argument) if not NULL, else $SOCKQ_CONTROL, else
 * /run/sockq/org.sockq.Control for root or where that socket exists, else $XDG_RUNTIME_DIR/sockq/org.sockq.Control.
 * Owned by the caller; NULL when out of memory. The path may be too long for a sockaddr_un: the caller says so. */
char *varlink_control_path(const char *option) _must_check_;
