/* SPDX-License-Identifier: MIT */
/*
 * The one table of verbs: dispatch, checks, help and the man page's list come from it.
 * To add a verb: its function in a family's file, one row in verbs.c.
 */
#pragma once

#include "args.h"
#include "client.h"
#include "output.h"
#include "status.h"

/* What a verb works with. */
struct ctl {
    const struct args *args;
    struct output out;
    uint64_t timeout_usec; /* --timeout; 0: not given */
    int interrupt_fd;      /* owned; -1: Ctrl-C kills */
    bool interrupted;      /* a call ended because of it */
    char *path;            /* of the control socket, owned; NULL before the first call */
    struct client *client; /* owned; NULL before the first call */
};
void ctl_done(struct ctl *ctl);

struct verb {
    const char *name;
    const char *words;             /* the words after it, for the synopsis: "LISTENER [SETTING...]" */
    unsigned words_min, words_max; /* how many */
    uint32_t options;              /* OPTION_BIT()s beside the global ones */
    const char *help;              /* one line */
    const char *details;           /* paragraphs for `help VERB` */
    enum status (*run)(struct ctl *ctl);
};

/* Rows in the order of the help; ends with NULL. */
const struct verb *verb_row(size_t i);
/* NULL if there is none. */
const struct verb *verb_find(const char *name);
/* The nearest name, or NULL. */
const char *verb_suggest(const char *name);
/* Do the options and the number of words fit? 0; -EINVAL with *ret_reason (owned by the caller); -ENOMEM. */
int verb_check(const struct verb *v, const struct args *a, char **ret_reason) _must_check_;

/* look.c */
enum status look_status(struct ctl *ctl);
enum status look_listeners(struct ctl *ctl);
enum status look_show(struct ctl *ctl);
enum status look_get(struct ctl *ctl);
/* change.c */
enum status change_set(struct ctl *ctl);
enum status change_unset(struct ctl *ctl);
enum status change_reload(struct ctl *ctl);
enum status change_log_level(struct ctl *ctl);
/* flows.c */
enum status flows_list(struct ctl *ctl);
enum status flows_close(struct ctl *ctl);
/* upstreams.c */
enum status upstreams_list(struct ctl *ctl);
enum status upstreams_drain(struct ctl *ctl);
enum status upstreams_enable(struct ctl *ctl);
enum status upstreams_disable(struct ctl *ctl);
enum status upstreams_add(struct ctl *ctl);
enum status upstreams_remove(struct ctl *ctl);
/* watch.c */
enum status watch_stats(struct ctl *ctl);
enum status watch_monitor(struct ctl *ctl);
/* send.c */
enum status send_payloads(struct ctl *ctl);
/* complete.c */
enum status complete_words(struct ctl *ctl);
/* help.c */
enum status help_show(struct ctl *ctl);
enum status help_version(struct ctl *ctl);
