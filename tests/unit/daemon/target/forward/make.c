/* SPDX-License-Identifier: MIT */
#include "make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WORKERS 2

extern const struct target_ops target_forward;

static struct config_upstream parse(const char *text) {
    struct config_upstream conf;
    char *reason = NULL;

    if (config_upstream_parse(text, &conf, &reason) < 0)
        fail_msg("%s", reason);
    return conf;
}

struct upstream *make_upstream(const char *text) {
    struct config_upstream conf = parse(text);
    struct upstream *u;

    assert_int_equal(upstream_new(&conf, WORKERS, &u), 0);
    config_upstream_done(&conf);
    return u;
}

struct address make_address(const char *text) {
    struct address a;

    assert_int_equal(address_parse(text, &a), 0);
    return a;
}

void make_key(const char *address, uint8_t ret[static 16]) {
    struct address a;

    assert_int_equal(address_parse_host(address, &a), 0);
    address_key(&a, ret);
}

void make_conf(struct config_forward *ret, const char *upstreams) {
    _cleanup_free_ char *copy = strdup(upstreams);
    char *rest = copy;

    assert_non_null(copy);
    *ret = (struct config_forward){ .max_failures = 3, .failure_window_usec = 10, .retry_after_usec = 5 };
    assert_int_equal(cidr_list_parse("none", &ret->accept_proxy, NULL), 0);
    ret->upstreams = calloc(CONFIG_UPSTREAMS_MAX, sizeof(*ret->upstreams));
    assert_non_null(ret->upstreams);
    for (char *text; (text = strsep(&rest, " "));)
        ret->upstreams[ret->n_upstreams++] = parse(text);
}

void make_conf_done(struct config_forward *conf) {
    for (size_t i = 0; i < conf->n_upstreams; i++)
        config_upstream_done(&conf->upstreams[i]);
    free(conf->upstreams);
    cidr_list_unref(conf->accept_proxy);
}

struct forward *make_forward(const struct config_forward *conf, struct forward *before) {
    const struct config_listener listener = { .name = (char *) "orders", .forward = (struct config_forward *) conf };
    void *state;

    assert_int_equal(target_forward.start(&listener, &state), 0);
    assert_int_equal(target_forward.take_over(state, &listener, WORKERS, before), 0);
    return state;
}

struct forward *make_forward_of(const char *upstreams, struct forward *before) {
    struct config_forward conf;
    struct forward *f;

    make_conf(&conf, upstreams);
    f = make_forward(&conf, before);
    make_conf_done(&conf);
    return f;
}

void drop_forward(struct forward *f) {
    target_forward.stop(f);
}
