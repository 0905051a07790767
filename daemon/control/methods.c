/* SPDX-License-Identifier: MIT */
#include "methods.h"

#include "event.h"
#include "service.h"

static const struct method *find(const struct method *table, const char *name) {
    for (const struct method *m = table; m->name; m++)
        if (streq(m->name, name))
            return m;
    return NULL;
}

static void refuse_unknown(struct call *call) {
    const char *method = call_header(call)->method, *dot = strrchr(method, '.');
    size_t size = dot ? (size_t) (dot - method) : strlen(method);

    if (service_has_interface(method, size))
        call_error_method_not_found(call, method);
    else
        call_error_interface_not_found(call, method, size);
}

static void refuse_access(struct call *call, const struct method *method) {
    struct peer_text who = peer_text(call_peer(call));

    event_log(EVENT_ACCESS_DENIED,
              EVENT_FIELDS({ FIELD_UID, who.uid }, { FIELD_PID, who.pid }, { FIELD_METHOD, method->name }),
              "denied %s to uid %s, pid %s: needs %s", method->name, who.uid, who.pid,
              method->access == ACCESS_CHANGE ? "root or group " ACCESS_GROUP_ADMIN
                                              : "root, group " ACCESS_GROUP_ADMIN " or group " ACCESS_GROUP_LOOK);
    call_error_permission_denied(call);
}

void methods_dispatch(const struct methods *m, struct call *call) {
    const struct varlink_call *header = call_header(call);
    union {
        max_align_t align;
        char bytes[PARAMETERS_SIZE_MAX];
    } parameters = { .bytes = { 0 } };
    const struct method *method = find(m->table, header->method);
    const char *fault;

    if (!method)
        method = find(service_methods, header->method);
    if (!method) {
        refuse_unknown(call);
        return;
    }
    if (!access_allowed(call_peer(call)->access, method->access)) {
        refuse_access(call, method);
        return;
    }
    if ((method->flags & METHOD_MORE) && !header->more) {
        call_error_expected_more(call);
        return;
    }
    fault = parameters_read(header->parameters, method->parameters, &parameters);
    if (fault) {
        call_error_invalid_parameter(call, fault);
        return;
    }
    method->handler(call, method->parameters ? &parameters : NULL, m->userdata);
}
