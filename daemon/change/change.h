/* SPDX-License-Identifier: MIT */
/*
 * Running state = files + runtime changes on top. Every change of it goes through here, one after the other: checked,
 * tried, applied with an undo record, committed or undone, told to the journal. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "effective.h"
#include "net.h"
#include "sweep.h"
#include "tally.h"

struct change; /* the running state and the changes under way */

/* Who asks: for the journal. */
struct change_who {
    uid_t uid;
    pid_t pid;
};

/* What a change is for: a listener, or a profile. */
struct change_target {
    bool profile;
    const char *name;
};

/* "orders" or "profile:voice"; points into `text`. -EINVAL. */
int change_target_parse(const char *text, struct change_target *ret) _must_check_;

struct change_request {
    struct change_who who;
    struct change_target target;
    bool unset; /* drop runtime values of `keys` instead of setting `settings` */
    bool new_only;
    bool has_flow, has_source;
    struct flow_id flow;
    struct cidr source;
    struct settings settings; /* what to set; taken over by change_submit() */
    uint64_t keys;            /* which keys; for unset 0 means all that have runtime values */
};

enum change_status {
    CHANGE_DONE,
    CHANGE_FAILED, /* undone; tally says why */
    CHANGE_NO_SUCH_LISTENER,
    CHANGE_NO_SUCH_PROFILE,
    CHANGE_NO_SUCH_FLOW,
    CHANGE_NO_SUCH_UPSTREAM,
    CHANGE_BUSY,
    CHANGE_NO_MEMORY,
    CHANGE_CONFLICT, /* reason says what does not go together (for example new_only with a flow) */
};

/* Valid during the callback. */
struct change_answer {
    enum change_status status;
    const char *reason; /* for CONFLICT and BUSY; static */
    uint64_t id;        /* of this change, as in the journal */
    unsigned flows;     /* visited */
    unsigned undo_failed;
    uint64_t keys; /* what was asked for */
    const struct settings *old,
            *requested; /* values of `keys` before and now, of the first listener concerned; `old` of a change of some
                         * flows: of the first flow. `requested` may say inherit */
    const struct tally *tally;
};

typedef void (*change_done_fn)(const struct change_answer *answer, void *userdata);

#define CHANGE_WAITING_MAX 64

/* Nothing is in force before change_begin(); reloads read `config_path`. */
int change_new(struct net *net, const char *config_path, const struct config_schema *schema,
               struct change **ret) _must_check_;
struct change *change_free(struct change *c); /* accepts NULL, returns NULL */

/* Puts the first configuration in force (a reference of its own): makes all listeners, starts serving. Workers must be
 * running. 0; -EINVAL with faults; -errno. */
int change_begin(struct change *c, struct config *config, struct config_faults *faults) _must_check_;
/* Is told when a reload begins and when it has ended, whoever asked for it. One observer. */
void change_observe_reload(struct change *c, void (*fn)(bool begins, void *userdata), void *userdata);

/* Queues a change; `done` is called exactly once, perhaps before this returns. */
void change_submit(struct change *c, struct change_request *request, change_done_fn done, void *userdata);

/* What a reload did; valid during the callback. */
struct reload_answer {
    enum change_status status; /* DONE; FAILED (faults, or keys that could not be applied); BUSY; NO_MEMORY */
    const char *reason;
    const struct config_faults *faults;
    const struct tally *tally; /* failed keys, or NULL */
    uint64_t keys;
    const struct settings *requested;
    const char *const *added, *const *removed, *const *changed; /* names, NULL-terminated */
    const char *const *restart;                                 /* keys that take effect at the next restart */
};
typedef void (*reload_done_fn)(const struct reload_answer *answer, void *userdata);
void change_reload(struct change *c, const struct change_who *who, reload_done_fn done, void *userdata);

/* Nothing new is taken any more (the daemon is stopping). */
void change_stop(struct change *c);

/* Looking. */
/* No change is under way. */
bool change_idle(const struct change *c);
const struct config *change_config(const struct change *c);
/* What a profile says, runtime values included: only keys that it has are set. -ENOENT. `origin` has SETTING_MAX places, or is NULL. */
int change_profile(const struct change *c, const char *name, struct settings *ret, uint8_t *origin) _must_check_;
/* How many runtime changes are in force or waiting for their listener: values, and what was done to upstreams. */
unsigned change_runtime_values(const struct change *c);
