/* SPDX-License-Identifier: MIT */
#include "service.h"

#include "interfaces.h"

struct description_parameters {
    const char *interface;
};

static const struct parameter description_parameters[] = {
    PARAMETER(struct description_parameters, interface, PARAMETER_STRING, true),
    PARAMETERS_END,
};

static const struct interface *find(const char *name, size_t size) {
    for (const struct interface *i = interfaces; i->name; i++)
        if (strlen(i->name) == size && memcmp(i->name, name, size) == 0)
            return i;
    return NULL;
}

bool service_has_interface(const char *name, size_t size) {
    return find(name, size);
}

static void get_info(struct call *call, _unused_ const void *parameters, _unused_ void *userdata) {
    json_t *names = json_array();

    for (const struct interface *i = interfaces; i->name; i++)
        if (json_array_append_new(names, json_string(i->name)) < 0) {
            json_decref(names);
            names = NULL;
            break;
        }
    call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", "sockq", "product", "sockqd", "version",
                               SOCKQ_VERSION, "url", "", "interfaces", names));
}

static void get_interface_description(struct call *call, const void *parameters, _unused_ void *userdata) {
    const struct description_parameters *p = parameters;
    const struct interface *interface = find(p->interface, strlen(p->interface));

    if (!interface) {
        call_error_interface_not_found(call, p->interface, strlen(p->interface));
        return;
    }
    call_reply(call, json_pack("{s:s}", "description", interface->description));
}

const struct method service_methods[] = {
    { "org.varlink.service.GetInfo", ACCESS_ANY, 0, get_info, NULL },
    { "org.varlink.service.GetInterfaceDescription", ACCESS_ANY, 0, get_interface_description, description_parameters },
    { NULL, ACCESS_ANY, 0, NULL, NULL },
};
