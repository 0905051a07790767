/* SPDX-License-Identifier: MIT */
#include "fakes.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "schema.h"

struct fake_sweep fake_sweep;
static unsigned rows_out, listener_refs;

/* ---- net ---- */

struct listener *net_listener(const struct net *n, const char *name) {
    for (size_t i = 0; i < n->n_listeners; i++)
        if (!n->listeners[i]->draining && streq(n->listeners[i]->name, name))
            return n->listeners[i];
    return NULL;
}

struct listener *listener_ref(struct listener *l) {
    listener_refs++;
    return l;
}

struct listener *listener_unref(struct listener *l) {
    if (l)
        listener_refs--;
    return NULL;
}

unsigned listener_flows(const struct listener *l) {
    return l->draining ? 1 : 7;
}

void listener_stats(_unused_ const struct listener *l, struct stats_snapshot *ret) {
    *ret = (struct stats_snapshot){ 0 };
    ret->counter[STAT_RX_BYTES] = 12345;
    ret->dscp[46] = 5;
    ret->ecn[2] = 6;
}

void flow_row_done(struct flow_row *row) {
    row->listener = listener_unref(row->listener);
    row->set = effective_unref(row->set);
    free(row->to);
    rows_out--;
}

int sweep_list(_unused_ struct net *n, const struct flow_selector *selector, struct listing_cursor at, listing_fn done,
               void *userdata) {
    assert_false(fake_sweep.waiting);
    fake_sweep = (struct fake_sweep){ .asked = fake_sweep.asked + 1,
                                      .waiting = true,
                                      .selector = *selector,
                                      .at = at,
                                      .list = done,
                                      .userdata = userdata };
    return 0;
}

int sweep_close(_unused_ struct net *n, const struct flow_selector *selector, bool orderly, sweep_done_fn done,
                void *userdata) {
    fake_sweep = (struct fake_sweep){
        .asked = fake_sweep.asked + 1, .orderly = orderly, .selector = *selector, .close = done, .userdata = userdata
    };
    return 0;
}

/* ---- change ---- */

int change_target_parse(const char *text, struct change_target *ret) {
    bool profile = strncmp(text, "profile:", 8) == 0;

    *ret = (struct change_target){ .profile = profile, .name = profile ? text + 8 : text };
    return config_name_valid(ret->name) ? 0 : -EINVAL;
}

const struct config *change_config(const struct change *c) {
    return &c->config;
}

unsigned change_runtime_values(_unused_ const struct change *c) {
    return 3;
}

int change_profile(const struct change *c, const char *name, struct settings *ret, uint8_t *origin) {
    if (!config_profile(&c->config, name))
        return -ENOENT;
    *ret = (struct settings){ 0 };
    settings_merge(ret, &c->profile_settings, UINT64_MAX);
    memset(origin, ORIGIN_PROFILE_RUNTIME, SETTING_MAX);
    return 0;
}

void change_submit(struct change *c, struct change_request *request, change_done_fn done, void *userdata) {
    settings_done(&c->request.settings);
    c->submitted++;
    c->request = *request;
    c->done = done;
    c->userdata = userdata;
}

void change_reload(struct change *c, const struct change_who *who, reload_done_fn done, void *userdata) {
    c->reloads++;
    c->request.who = *who;
    c->reload_done = done;
    c->userdata = userdata;
}

void upstream_change(struct change *c, const struct upstream_request *request, upstream_done_fn done, void *userdata) {
    c->submitted++;
    c->upstream_request = *request;
    c->upstream_done = done;
    c->userdata = userdata;
}

/* ---- forward ---- */

struct forward *forward_of_target(const struct target *t) {
    return t->state;
}

struct upstream *fake_add_upstream(struct fake *f, const char *text) {
    struct config_upstream conf;
    struct upstream *u;

    assert_int_equal(config_upstream_parse(text, &conf, NULL), 0);
    assert_int_equal(upstream_new(&conf, 1, &u), 0);
    config_upstream_done(&conf);
    f->forward.upstreams[f->forward.n_upstreams++] = u;
    f->target.state = &f->forward;
    return u;
}

/* ---- putting it together ---- */

static void set_profile_text(struct settings *settings, const char *name, const char *text) {
    char *reason = NULL;

    assert_int_equal(settings_set_text(settings, setting_find(name), text, &reason), 0);
}

static void begin_listener(struct fake *f, unsigned i, const char *name) {
    f->views[i] = (struct listener_view){ .set = effective_new(), .target = &f->target };
    f->listeners[i].name = (char *) name;
    f->listeners[i].view = &f->views[i];
    f->list[i] = &f->listeners[i];
}

static void begin_change(struct change *c) {
    static char *files[] = { (char *) "/etc/sockq/sockqd.conf", (char *) "/etc/sockq/b\xff.conf", NULL };

    set_profile_text(&c->profile_settings, "dscp", "EF");
    c->profile = (struct config_profile){ .name = (char *) "voice" };
    c->conf = (struct config_listener){ .name = (char *) "orders", .profile = &c->profile, .target = "ack" };
    c->config = (struct config){
        .profiles = &c->profile, .n_profiles = 1, .listeners = &c->conf, .n_listeners = 1, .files = files
    };
}

void fake_begin(struct fake *f) {
    struct limits limits = LIMITS_DEFAULT;

    *f = (struct fake){ .ops = { .name = "ack" } };
    fake_sweep = (struct fake_sweep){ 0 };
    rows_out = listener_refs = 0;
    f->target.ops = f->targets[0] = &f->ops;
    begin_listener(f, 0, "orders");
    begin_listener(f, 1, "former");
    f->listeners[1].draining = true;
    f->endpoint = (struct endpoint){ .socket = { .fd = 5, .type = SOCK_STREAM }, .passed = true };
    assert_int_equal(address_parse("[::1]:8000", &f->endpoint.address), 0);
    f->endpoint.name = (char *) "orders";
    f->endpoints[0] = &f->endpoint;
    f->listeners[0].endpoints = f->endpoints;
    f->listeners[0].n_endpoints = 1;
    f->net = (struct net){ .n_workers = 2, .listeners = f->list, .n_listeners = 2, .targets = f->targets };
    begin_change(&f->change);

    limits.output_bytes = 100000;
    fixture_begin(&f->client, NULL, NULL);
    assert_int_equal(control_new(f->client.event, &limits, &f->net, &f->change, &f->control), 0);
    assert_int_equal(server_add(control_server(f->control), fixture_pair(&f->client)), 0);
}

void fake_end(struct fake *f) {
    control_free(f->control);
    fixture_end(&f->client);
    for (unsigned i = 0; i < ARRAY_SIZE(f->views); i++)
        effective_unref(f->views[i].set);
    settings_done(&f->change.profile_settings);
    settings_done(&f->change.request.settings);
    while (f->forward.n_upstreams > 0)
        upstream_unref(f->forward.upstreams[--f->forward.n_upstreams]);
    assert_int_equal(rows_out, 0);
    assert_int_equal(listener_refs, 0);
}

void fake_join(struct fake *f, struct fake *other) {
    fixture_begin(&other->client, NULL, NULL);
    sd_event_unref(other->client.event);
    other->client.event = sd_event_ref(f->client.event);
    assert_int_equal(server_add(control_server(f->control), fixture_pair(&other->client)), 0);
}

/* ---- the client ---- */

void fake_call(struct fake *f, const char *method, const char *parameters, bool more) {
    char text[2048];

    (void) snprintf(text, sizeof(text), "{\"method\":\"org.sockq.Control.%s\"%s%s%s}", method,
                    parameters ? ",\"parameters\":" : "", parameters ? parameters : "", more ? ",\"more\":true" : "");
    fixture_call(&f->client, text);
    fixture_settle(&f->client);
}

json_t *fake_answer(struct fake *f, const char *method, bool continues) {
    json_t *answer = fixture_answer(&f->client), *parameters;

    assert_non_null(answer);
    if (json_object_get(answer, "error"))
        fail_msg("%s", json_string_value(json_object_get(answer, "error")));
    assert_int_equal(json_is_true(json_object_get(answer, "continues")), continues);
    parameters = json_incref(json_object_get(answer, "parameters"));
    schema_check_answer(method, parameters);
    json_decref(answer);
    return parameters;
}

json_t *fake_error(struct fake *f, const char *error) {
    json_t *answer = fixture_answer(&f->client), *parameters;
    const char *name;

    assert_non_null(answer);
    name = json_string_value(json_object_get(answer, "error"));
    assert_non_null(name);
    assert_memory_equal(name, "org.sockq.Control.", 18);
    assert_string_equal(name + 18, error);
    parameters = json_incref(json_object_get(answer, "parameters"));
    schema_check_error(error, parameters);
    json_decref(answer);
    return parameters;
}

void fake_expect_invalid_parameter(struct fake *f, const char *name) {
    char text[256];

    (void) snprintf(text, sizeof(text),
                    "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"%s\"}}", name);
    fixture_expect(&f->client, text);
}

const json_t *fake_at(const json_t *from, const char *path) {
    char part[64];

    while (*path && from) {
        size_t n = strcspn(path, ".");

        assert_in_range(n, 1, sizeof(part) - 1);
        memcpy(part, path, n);
        part[n] = '\0';
        from = isdigit(part[0]) ? json_array_get(from, strtoul(part, NULL, 10)) : json_object_get(from, part);
        path += n + (path[n] == '.');
    }
    return from;
}

const char *fake_text(const json_t *from, const char *path) {
    return json_string_value(fake_at(from, path));
}

int64_t fake_number(const json_t *from, const char *path) {
    const json_t *j = fake_at(from, path);

    assert_true(json_is_integer(j));
    return json_integer_value(j);
}

/* ---- sweeps ---- */

void fake_fill_row(struct fake *f, struct flow_row *row, unsigned slot) {
    *row = (struct flow_row){
        .id = { 1, slot, 9 },
        .state = FLOW_OPEN,
        .listener = listener_ref(&f->listeners[0]),
        .set = effective_ref(f->views[0].set),
        .client = { .rx_bytes = 77,
                    .has_dscp = true,
                    .dscp = 46,
                    .received_dscp = 8,
                    .received_label = QOS_MARK_HANDSHAKE,
                    .has_tcp_info = true },
        .encode_id = CODING_GZIP,
        .encode_level = 9,
    };
    assert_int_equal(address_parse("192.0.2.1:7000", &row->client.peer), 0);
    assert_int_equal(address_parse("192.0.2.2:8000", &row->client.local), 0);
    rows_out++;
}

void fake_list_rows(struct fake *f, size_t n, bool more) {
    struct flow_row rows[LISTING_ROWS];

    assert_true(fake_sweep.waiting);
    for (size_t i = 0; i < n; i++)
        fake_fill_row(f, &rows[i], (unsigned) i);
    fake_sweep.waiting = false;
    fake_sweep.list(rows, n, (struct listing_cursor){ fake_sweep.at.worker, fake_sweep.at.slot + 64 }, more,
                    fake_sweep.userdata);
}
