/* SPDX-License-Identifier: MIT */
/* A daemon of cardboard: one serving and one draining listener, one profile; changes and sweeps are remembered, and
 * answered by the test. It stands in for the rooms net and change;
 * the upstreams are real. */
#pragma once

#include "change.h"
#include "control.h"
#include "fixture.h"
#include "forward.h"
#include "net.h"
#include "sweep.h"
#include "upstream_change.h"

struct change {
    struct config config;
    struct config_profile profile;
    struct config_listener conf;
    struct settings profile_settings;
    /* what was asked for last */
    unsigned submitted, reloads;
    struct change_request request;
    change_done_fn done;
    reload_done_fn reload_done;
    struct upstream_request upstream_request; /* its texts live as long as the call */
    upstream_done_fn upstream_done;
    void *userdata;
};

struct fake {
    struct fixture client;
    struct net net;
    struct change change;
    struct listener listeners[2], *list[2];
    struct listener_view views[2];
    struct endpoint endpoint, *endpoints[1];
    struct target_ops ops;
    const struct target_ops *targets[2];
    struct target target;
    struct forward forward; /* the listener's, once target.state points to it */
    struct control *control;
};

/* The sweep that was asked for last. */
struct fake_sweep {
    unsigned asked;
    bool waiting, orderly;
    struct flow_selector selector;
    struct listing_cursor at;
    listing_fn list;
    sweep_done_fn close;
    void *userdata;
};
extern struct fake_sweep fake_sweep;

void fake_begin(struct fake *f);
void fake_end(struct fake *f);
/* A second client, of which only `client` is used; end it with fixture_end(). */
void fake_join(struct fake *f, struct fake *other);
/* Calls a method of org.sockq.Control; the parameters are JSON, or NULL. */
void fake_call(struct fake *f, const char *method, const char *parameters, bool more);
/* The parameters of the next answer, which must be one of `method`'s. The caller releases. */
json_t *fake_answer(struct fake *f, const char *method, bool continues);
/* The next answer is this error, and of the form that the description gives. The caller releases its parameters. */
json_t *fake_error(struct fake *f, const char *error);
void fake_expect_invalid_parameter(struct fake *f, const char *name);

/* An upstream of the listener, whose target is forward from now on. fake_end() frees it. */
struct upstream *fake_add_upstream(struct fake *f, const char *text);

/* The text at "a.b.0.c", where numbers index lists. */
const char *fake_text(const json_t *from, const char *path);
int64_t fake_number(const json_t *from, const char *path);
const json_t *fake_at(const json_t *from, const char *path);

/* A row of the serving listener. */
void fake_fill_row(struct fake *f, struct flow_row *row, unsigned slot);
/* The listing comes back with `n` rows. */
void fake_list_rows(struct fake *f, size_t n, bool more);
