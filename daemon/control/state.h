/* SPDX-License-Identifier: MIT */
/*
 * What the families of methods share: the daemon that they look at, and the calls that they have kept. Main thread.
 */
#pragma once

#include "control.h"
#include "methods.h"
#include "sweep.h"

struct monitors;

/* A call that waits for another room; embedded in what the handler needs meanwhile. */
struct job {
    struct job *next, **link;
    struct control *control;
    struct call *call; /* to be ended by whoever ends the job */
    void (*free)(struct job *job);
};

struct control {
    struct net *net;
    struct change *change;
    struct server *server;
    struct methods methods;
    struct monitors *monitors;
    struct job *jobs;
    enum control_state state;
    unsigned reloads; /* under way */
    uint64_t started_usec;
};

/* From here on control_free() ends what is left: it drops the call and calls `free`. */
void job_begin(struct job *job, struct control *control, struct call *call, void (*free)(struct job *job));
/* Takes the job out and calls `free`. Its call has been ended, or taken. */
void job_end(struct job *job);

/* The flow and the source of a call's parameters, each may be NULL, into a selector. False: the call was ended with an
 * error. */
bool selector_parse(struct call *call, const char *flow, const char *source, struct flow_selector *ret) _must_check_;
