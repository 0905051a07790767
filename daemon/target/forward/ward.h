/* SPDX-License-Identifier: MIT */
/*
 * An upstream as the helper looks after it, shared by its files: helper.c (the thread, who is looked after), resolve.c
 * (its name), check.c (connections that check). All on the helper's thread.
 */
#pragma once

#include "loop.h"
#include "upstream.h"

struct ares_channeldata;
struct ares_addrinfo;

#define RESOLVE_SOCKETS_MAX 16

/* One of c-ares' sockets; free while it is not watched. */
struct resolving_socket {
    struct loop_source source;
    struct ward *ward;
};

/* A name that is asked for, again and again. */
struct resolving {
    struct timer timer;               /* the next question, or the next look at the one under way */
    struct ares_channeldata *channel; /* the question under way; NULL: none is */
    struct resolving_socket sockets[RESOLVE_SOCKETS_MAX];
    uint64_t deadline_usec;
    bool answered; /* by c-ares: what follows is valid */
    int status;
    struct ares_addrinfo *answer;
    bool asked;        /* a first time, whatever has come of it */
    unsigned failures; /* in a row */
};

struct checking {
    struct timer timer;        /* the next connection, or the end of the one under way */
    struct loop_source source; /* the connection under way; fd negative: none is */
    uint64_t began_usec;
    unsigned turn; /* of addresses */
};

struct helper {
    struct loop loop;
    pthread_t thread;
    struct ward *wards;
    struct ward *dead;     /* freed at the end of the turn */
    unsigned n_questions;  /* under way */
    struct timer patience; /* of who waits for names */
    struct mailbox *settle_to;
    struct message *settled; /* NULL: nobody waits */
};

struct ward {
    struct ward *next, **link;
    struct helper *helper;
    struct upstream *upstream; /* one reference */
    char *listener;
    struct upstream_health health;
    uint64_t check_interval_usec;
    bool rests;
    struct resolving resolving;
    struct checking checking;
};

/* helper.c: a name has been asked for. */
void ward_asked(struct ward *w);

/* resolve.c. Begins to ask for the name, if there is one and that has not begun; ends what is under way. */
void resolve_begin(struct ward *w);
void resolve_end(struct ward *w);

/* check.c. Follows the interval; ends what is under way. */
void check_begin(struct ward *w);
void check_end(struct ward *w);
