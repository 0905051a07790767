/* SPDX-License-Identifier: MIT */
/*
 * A net with real workers in this process, listeners on loopback ports that the kernel chooses, and real clients.
 */
#pragma once

#include "sockets.h"

#include "config.h"
#include "net.h"
#include "sweep.h"

struct live {
    struct net *net;
    struct config *config;        /* in force: what live_apply() took last */
    char directory[64], path[96]; /* of the configuration file */
    char *faults;                 /* why live_apply() failed, one a line, the directory left out */
    struct endpoint *passed[8];   /* by live_pass(), one reference each */
    unsigned n_passed;
};

/* Targets: "echo", "ack" (answers with `reply`), "discard", and "forward", which has its configuration but sends back. */
extern const struct target_ops *const live_targets[];
extern const struct config_schema live_schema;

void live_begin(struct live *l, unsigned n_workers);
void live_end(struct live *l);

/* Writes the configuration file. */
void live_write(struct live *l, const char *text);
/* Writes and loads it, and brings the net there as a reload does. 0, or -EINVAL with faults. */
int live_apply(struct live *l, const char *text) _must_check_;
/* The same; fails the test with the faults. */
void live_must_apply(struct live *l, const char *text);

/* A socket as the service manager would have passed it, still unclaimed. */
struct endpoint *live_pass(struct live *l, const char *name, enum path path, int type);

/* The endpoint of a listener, by kind and number. */
struct endpoint *live_endpoint(const struct live *l, const char *listener, int type, unsigned i);
/* Where clients reach an endpoint on the loopback. */
struct address live_address(const struct endpoint *e);

/* A connection to `to` from the loopback address that `from` says (NULL: any). Its reads fail after a while. */
int live_connect_from(const struct address *to, const char *from);
/* A connection to the first TCP endpoint of a listener. */
int live_connect(const struct live *l, const char *listener);
/* -ECONNREFUSED: nobody listens there. */
int live_try_connect(const struct address *to);
/* A UDP socket that is connected to the first UDP endpoint of a listener. */
int live_datagram(const struct live *l, const char *listener);

void live_send(int fd, const void *data, size_t size);
/* Receives exactly these bytes. */
void live_expect(int fd, const void *data, size_t size);
void live_expect_text(int fd, const char *text);
/* The other side has finished (the bytes before it are an error), or has reset the connection. */
void live_expect_end(int fd);
void live_expect_reset(int fd);
/* Closes with a reset. */
void live_reset(int fd);

/* Every worker has been through its loop, and what they sent to the main thread is handled. */
void live_turn(struct live *l);
/* Lets the workers run until the condition holds. */
#define LIVE_UNTIL(l, condition)                                                                                       \
    do {                                                                                                               \
        uint64_t until_usec_ = loop_clock_usec() + 20 * USEC_PER_SEC;                                                  \
        while (!(condition)) {                                                                                         \
            live_turn(l);                                                                                              \
            if (loop_clock_usec() > until_usec_)                                                                       \
                fail_msg("never: %s", #condition);                                                                     \
        }                                                                                                              \
    } while (0)

/* Flows that have been opened and not yet closed, those of removed listeners too. Unlike net_flows() without what is
 * just being accepted. */
unsigned live_flows(const struct live *l);
uint64_t live_counter(const struct live *l, const char *listener, enum counter id);

/* All flows that the selector names, in the order of the listing; each released by flow_row_done(). */
size_t live_list(struct live *l, const struct flow_selector *selector, struct flow_row *rows, size_t max);
/* Closes them; returns how many. */
unsigned live_close(struct live *l, const struct flow_selector *selector, bool orderly);
