/* SPDX-License-Identifier: MIT */
/*
 * The running state of a small net in this process, changes submitted to it, and copies of the answers.
 */
#pragma once

#include "live.h"

#include "change.h"

struct running {
    struct live live;
    struct change *change;
};

/* Two workers, and the configuration in force. */
void running_begin(struct running *r, const char *config);
void running_end(struct running *r);
/* The same in two halves, for tests that do something in between. */
void running_put_in_force(struct running *r, const char *config);

/* A copy of struct change_answer, texts owned. */
struct answer {
    bool come;
    enum change_status status;
    char *reason;
    uint64_t id, keys;
    unsigned flows, undo_failed;
    struct answer_key {
        unsigned applied_endpoints, applied_flows, deferred, not_applicable, failed;
        int error;
        const char *reason; /* static text */
        char *old, *requested;
        char *values; /* distinct values read back: "EF EF" */
    } key[SETTING_MAX];
};
void answer_done(struct answer *a);

/* Submits and returns at once; the answer comes while the main thread's mailbox is looked after. */
void submit(struct running *r, struct change_request request, const char *settings, struct answer *ret);
/* Waits for it. */
void wait_answer(struct running *r, struct answer *a);

/* `settings`: "dscp=EF ttl=7", for unset "dscp ttl" or "". Waits; release with answer_done(). */
struct answer request_set(struct running *r, const char *target, const char *settings);
struct answer request_unset(struct running *r, const char *target, const char *settings);
/* With more of the request filled in by the caller. */
struct answer request_with(struct running *r, struct change_request request, const char *target, const char *settings);

const struct answer_key *key_of(const struct answer *a, const char *name);
/* Done; fails with the reason otherwise. Releases the answer. */
void must_set(struct running *r, const char *target, const char *settings);
void must_unset(struct running *r, const char *target, const char *settings);

/* What getsockopt() says of every endpoint of the listener (all alike). */
int endpoint_option(struct running *r, const char *listener, int level, int optname);
/* The DSCP that each flow of the listener has, read back, in the order of the listing; returns how many. */
size_t flow_marks(struct running *r, const char *listener, unsigned *marks, size_t max);
/* All flows of the listener have this DSCP, and there are so many. */
void assert_flow_marks(struct running *r, const char *listener, unsigned n, unsigned mark);
/* The text of a setting of each flow, all alike. */
void assert_flow_settings(struct running *r, const char *listener, const char *name, const char *text,
                          enum origin origin);
