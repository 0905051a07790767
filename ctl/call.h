/* SPDX-License-Identifier: MIT */
/*
 * Calls of verbs: connects when needed, reports what goes wrong, gives back what is safe to print.
 */
#pragma once

#include "verb.h"

/* Calls `method` of org.sockq.Control, or of another interface if the name has a dot. `parameters` is consumed; NULL
 * means that they could not be made (an argument is not UTF-8). On STATUS_DONE *ret holds the reply, owned by the
 * caller: every string made safe for a terminal, or, with --json, as it came. Otherwise the failure was reported. */
enum status call_daemon(struct ctl *ctl, const char *method, json_t *parameters, json_t **ret) _must_check_;

/* The same as a stream. Ctrl-C ends it with STATUS_DONE. `fn` may return -EPIPE: the reader of the output has gone,
 * also STATUS_DONE. `endless`: the next reply may take for ever. */
enum status call_stream(struct ctl *ctl, const char *method, json_t *parameters, bool endless, client_reply_fn fn,
                        void *userdata) _must_check_;

/* Waits for `usec` or Ctrl-C: 0 or -EINTR. */
int call_pause(struct ctl *ctl, uint64_t usec) _must_check_;

/* From here on Ctrl-C ends the work in an orderly way. STATUS_DONE, or reported. */
enum status call_catch_interrupt(struct ctl *ctl) _must_check_;

/* Parameters made of --new-only, --flow and --source; verbs add theirs with call_put_text(). NULL when out of memory
 * or not UTF-8. */
json_t *call_selection(const struct ctl *ctl) _must_check_;
/* Adds a string; a NULL `value` adds nothing. `parameters` may be NULL. Returns it, or NULL (then it was freed). */
json_t *call_put_text(json_t *parameters, const char *name, const char *value) _must_check_;
/* Adds any value, consumed. */
json_t *call_put(json_t *parameters, const char *name, json_t *value) _must_check_;

/* Says that memory ran out. */
enum status call_no_memory(void);
