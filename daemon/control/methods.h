/* SPDX-License-Identifier: MIT */
/*
 * From a call to its handler: one table says who may call a method and what it takes, so that access and parameters are
 * checked in one place. Main thread.
 */
#pragma once

#include "access.h"
#include "call.h"
#include "parameter.h"

enum {
    METHOD_MORE = 1 << 0, /* streams: the caller must ask for more */
};

/* `parameters` is the struct that the method's table describes, NULL without one. It is valid during the call of the
 * handler; what it points to lives as long as `call`, which the handler owns from now on. */
typedef void (*method_fn)(struct call *call, const void *parameters, void *userdata);

struct method {
    const char *name; /* with its interface */
    enum access access;
    unsigned flags;
    method_fn handler;
    const struct parameter *parameters; /* NULL: none */
};

struct methods {
    const struct method *table; /* ends with a NULL name */
    void *userdata;             /* for the handlers */
};

/* Answers with InterfaceNotFound, MethodNotFound, PermissionDenied (told in the log), ExpectedMore or InvalidParameter,
 * or calls the handler. org.varlink.service is served besides the table. */
void methods_dispatch(const struct methods *m, struct call *call);
