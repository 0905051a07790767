/* SPDX-License-Identifier: MIT */
#include "control.h"

#include "access.h"
#include "handlers.h"
#include "monitors.h"
#include "state.h"

static void on_call(struct call *call, void *userdata) {
    struct control *c = userdata;

    methods_dispatch(&c->methods, call);
}

int control_new(sd_event *event, const struct limits *limits, struct net *net, struct change *change,
                struct control **ret) {
    struct server_config config = { .limits = *limits, .dispatch = on_call };
    struct control *c = malloc(sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    *c = (struct control){
        .net = net,
        .change = change,
        .methods = { .table = control_methods, .userdata = c },
        .started_usec = loop_clock_usec(),
    };
    config.userdata = c;
    r = access_policy_load(&config.policy);
    if (r >= 0)
        r = monitors_new(event, &c->monitors);
    if (r >= 0)
        r = server_new(event, &config, &c->server);
    if (r < 0) {
        control_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

struct server *control_server(struct control *c) {
    return c->server;
}

void control_set_state(struct control *c, enum control_state state) {
    c->state = state;
}

struct control *control_free(struct control *c) {
    if (!c)
        return NULL;
    server_free(c->server);
    while (c->jobs) {
        struct job *job = c->jobs;

        call_drop(job->call);
        job_end(job);
    }
    monitors_free(c->monitors);
    free(c);
    return NULL;
}
