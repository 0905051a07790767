/* SPDX-License-Identifier: MIT */
/*
 * A directory with configuration files for one test, and what loading them says.
 */
#pragma once

#include "config.h"

struct scratch {
    char directory[64];
    struct config *config; /* NULL: faults */
    struct config_faults faults;
};

/* cmocka's setup and teardown: *state is a struct scratch. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* "DIRECTORY/name"; valid until the next call. */
const char *scratch_path(const struct scratch *s, const char *name);
void scratch_write_bytes(const struct scratch *s, const char *name, const char *bytes, size_t size);
void scratch_write(const struct scratch *s, const char *name, const char *text);

/* Loads DIRECTORY/a.conf with the targets ack, discard, echo, forward, journal. Returns what config_load() does. */
int scratch_load(struct scratch *s);
/* Writes a.conf, loads it and returns the config; fails the test, with the faults, if there are any. */
const struct config *scratch_good(struct scratch *s, const char *text);
/* Loads, and compares all faults with `expected`, one a line, without the directory: "a.conf:1: daemon: text\n". A line
 * of `expected` that ends in "*" stands for any end: where another room chooses the words. */
void scratch_expect(struct scratch *s, const char *expected);
/* Writes a.conf and scratch_expect(). */
void scratch_bad(struct scratch *s, const char *text, const char *expected);
