/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <sys/un.h>

#include "config.h"
#include "reason.h"

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const struct scheme {
    const char *prefix;
    int type;
} schemes[] = { { "tcp:", SOCK_STREAM }, { "udp:", SOCK_DGRAM } };

const char *const *config_balance_names(void) {
    static const char *const names[] = {
        [BALANCE_ROUND_ROBIN] = "round_robin",
        [BALANCE_LEAST_FLOWS] = "least_flows",
        [BALANCE_SOURCE_HASH] = "source_hash",
        [BALANCE_FIRST] = "first",
        NULL,
    };

    return names;
}

static bool same_upstreams(const struct config_forward *a, const struct config_forward *b) {
    if (a->n_upstreams != b->n_upstreams)
        return false;
    for (size_t i = 0; i < a->n_upstreams; i++)
        if (!streq(a->upstreams[i].text, b->upstreams[i].text))
            return false;
    return true;
}

static bool same_source(const struct config_forward *a, const struct config_forward *b) {
    const struct address *x = &a->source_address, *y = &b->source_address;

    return a->source == b->source && x->size == y->size && memcmp(&x->in6, &y->in6, x->size) == 0;
}

static const char *profile_name(const struct config_forward *f) {
    return f->profile ? f->profile->name : "";
}

bool config_forward_equal(const struct config_forward *a, const struct config_forward *b) {
    if (!a || !b)
        return a == b;
    return same_upstreams(a, b) && same_source(a, b) && streq(profile_name(a), profile_name(b)) &&
           a->balance == b->balance && a->proxy_protocol == b->proxy_protocol &&
           cidr_list_equal(a->accept_proxy, b->accept_proxy) && a->check_interval_usec == b->check_interval_usec &&
           a->max_failures == b->max_failures && a->failure_window_usec == b->failure_window_usec &&
           a->retry_after_usec == b->retry_after_usec;
}

void config_upstream_done(struct config_upstream *u) {
    free(u->text);
    free(u->host);
    free(u->path);
    *u = (struct config_upstream){ 0 };
}

static int refuse(const char *text, char **ret_reason) {
    char quoted[REASON_QUOTE_MAX];

    return reason_set(ret_reason, -EINVAL,
                      "%s is no upstream, write for example tcp:127.0.0.1:9000, tcp:app.example:80, udp:[::1]:53 or "
                      "unix:/run/app.sock",
                      reason_quote(text, quoted));
}

/* It is told in the journal, in answers and in faults. */
static bool is_printable(const char *text) {
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static int parse_unix(const char *text, const char *path, struct config_upstream *u, char **ret_reason) {
    const size_t max = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1;
    char quoted[REASON_QUOTE_MAX];

    if (path[0] != '/' || strlen(path) > max || !is_printable(path))
        return reason_set(
                ret_reason, -EINVAL,
                "%s is no upstream: the path of a Unix socket begins with '/', is printable ASCII, and has at most %zu "
                "bytes",
                reason_quote(text, quoted), max);
    u->type = SOCK_STREAM;
    u->path = strdup(path);
    u->text = strdup(text);
    return u->path && u->text ? 0 : -ENOMEM;
}

/* A name of letters, digits, dots and hyphens, then a port. Addresses have been tried before. */
static int parse_name(const char *rest, struct config_upstream *u) {
    size_t size = strspn(rest, LETTERS_AND_DIGITS ".-_");
    unsigned long port;
    char *end;

    if (size == 0 || size > CONFIG_HOST_MAX || rest[0] == '-' || rest[0] == '.' || rest[size] != ':' ||
        rest[size + 1] < '1' || rest[size + 1] > '9' || strspn(rest, "0123456789.") == size)
        return -EINVAL;
    port = strtoul(rest + size + 1, &end, 10);
    if (*end != '\0' || port > UINT16_MAX)
        return -EINVAL;
    u->port = (uint16_t) port;
    u->host = strndup(rest, size);
    return u->host ? 0 : -ENOMEM;
}

static bool has_port(const struct address *a) {
    return (a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port) != 0;
}

static int parse_network(const char *text, const struct scheme *scheme, struct config_upstream *u, char **ret_reason) {
    const char *rest = text + strlen(scheme->prefix);
    char canonical[ADDRESS_TEXT_MAX];
    int r;

    u->type = scheme->type;
    if (address_parse(rest, &u->address) >= 0) {
        if (!has_port(&u->address))
            return refuse(text, ret_reason);
        rest = address_format(&u->address, canonical);
    } else {
        u->address = (struct address){ 0 };
        r = parse_name(rest, u);
        if (r < 0)
            return r == -EINVAL ? refuse(text, ret_reason) : r;
    }
    if (asprintf(&u->text, "%s%s", scheme->prefix, rest) < 0) {
        u->text = NULL;
        return -ENOMEM;
    }
    return 0;
}

int config_upstream_parse(const char *text, struct config_upstream *ret, char **ret_reason) {
    struct config_upstream u = { 0 };
    int r = -EINVAL;

    if (strncmp(text, "unix:", 5) == 0) {
        r = parse_unix(text, text + 5, &u, ret_reason);
    } else {
        const struct scheme *scheme = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(schemes) && !scheme; i++)
            if (strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
                scheme = &schemes[i];
        r = scheme ? parse_network(text, scheme, &u, ret_reason) : refuse(text, ret_reason);
    }
    if (r < 0) {
        config_upstream_done(&u);
        return r;
    }
    *ret = u;
    return 0;
}
