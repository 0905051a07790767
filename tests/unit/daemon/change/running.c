/* SPDX-License-Identifier: MIT */
#include "running.h"

#define FLOWS_MAX 512

void running_put_in_force(struct running *r, const char *text) {
    struct config_faults faults = { 0 };
    struct config *config;

    live_write(&r->live, text);
    if (config_load(r->live.path, &live_schema, &config, &faults) < 0)
        fail_msg("%s", config_fault_format(&faults.items[0]));
    assert_int_equal(change_new(r->live.net, r->live.path, &live_schema, &r->change), 0);
    if (change_begin(r->change, config, &faults) < 0)
        fail_msg("%s", config_fault_format(&faults.items[0]));
    config_unref(config);
}

void running_begin(struct running *r, const char *config) {
    *r = (struct running){ 0 };
    live_begin(&r->live, 2);
    running_put_in_force(r, config);
}

void running_end(struct running *r) {
    if (r->change)
        change_stop(r->change);
    net_stop(r->live.net);
    r->change = change_free(r->change);
    live_end(&r->live);
}

/* ---- answers ---- */

void answer_done(struct answer *a) {
    free(a->reason);
    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        free(a->key[id].old);
        free(a->key[id].requested);
        free(a->key[id].values);
    }
    *a = (struct answer){ 0 };
}

static char *values_text(const struct tally_key *k, const struct setting *row) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    for (unsigned i = 0; i < k->n_values; i++) {
        _cleanup_free_ char *value = setting_format(row, &k->values[i].value);

        fprintf(f, "%s%s", i ? " " : "", value);
    }
    fclose(f);
    return text;
}

static void copy_key(struct answer_key *into, const struct change_answer *a, enum setting_id id) {
    const struct tally_key *k = &a->tally->key[id];

    *into = (struct answer_key){
        .applied_endpoints = k->applied_endpoints,
        .applied_flows = k->applied_flows,
        .deferred = k->deferred,
        .not_applicable = k->not_applicable,
        .failed = k->failed,
        .error = k->error,
        .reason = k->reason,
        .old = settings_get_text(a->old, setting_by_id(id)),
        .requested = settings_get_text(a->requested, setting_by_id(id)),
        .values = values_text(k, setting_by_id(id)),
    };
}

static void on_done(const struct change_answer *a, void *userdata) {
    struct answer *into = userdata;

    assert_false(into->come); /* exactly once */
    *into = (struct answer){
        .come = true,
        .status = a->status,
        .reason = a->reason ? strdup(a->reason) : NULL,
        .id = a->id,
        .keys = a->keys,
        .flows = a->flows,
        .undo_failed = a->undo_failed,
    };
    for (enum setting_id id = 0; a->tally && id < SETTING_MAX; id++)
        copy_key(&into->key[id], a, id);
}

/* ---- requests ---- */

static void add_words(struct change_request *request, const char *words) {
    _cleanup_free_ char *copy = strdup(words);
    char *save = NULL;

    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        const struct setting *row;

        if (value)
            *value++ = '\0';
        row = setting_find(word);
        assert_non_null(row);
        request->keys |= setting_keys(row);
        if (value)
            assert_int_equal(settings_set_text(&request->settings, row, value, NULL), 0);
    }
}

void submit(struct running *r, struct change_request request, const char *settings, struct answer *ret) {
    *ret = (struct answer){ 0 };
    request.who = (struct change_who){ .uid = 1000, .pid = 4711 };
    add_words(&request, settings);
    change_submit(r->change, &request, on_done, ret);
    assert_int_equal(request.settings.set_mask, 0); /* taken over */
}

void wait_answer(struct running *r, struct answer *a) {
    while (!a->come)
        mailbox_wait(&r->live.net->mailbox, r->live.net);
}

struct answer request_with(struct running *r, struct change_request request, const char *target, const char *settings) {
    struct answer a;

    assert_int_equal(change_target_parse(target, &request.target), 0);
    submit(r, request, settings, &a);
    wait_answer(r, &a);
    return a;
}

struct answer request_set(struct running *r, const char *target, const char *settings) {
    return request_with(r, (struct change_request){ 0 }, target, settings);
}

struct answer request_unset(struct running *r, const char *target, const char *settings) {
    return request_with(r, (struct change_request){ .unset = true }, target, settings);
}

const struct answer_key *key_of(const struct answer *a, const char *name) {
    return &a->key[setting_find(name)->id];
}

static void must_be_done(struct answer a, const char *settings) {
    if (a.status != CHANGE_DONE)
        fail_msg("%s: status %d", settings, a.status);
    assert_int_equal(a.undo_failed, 0);
    answer_done(&a);
}

void must_set(struct running *r, const char *target, const char *settings) {
    must_be_done(request_set(r, target, settings), settings);
}

void must_unset(struct running *r, const char *target, const char *settings) {
    must_be_done(request_unset(r, target, settings), settings);
}

/* ---- what came of it ---- */

int endpoint_option(struct running *r, const char *listener, int level, int optname) {
    const struct listener *l = net_listener(r->live.net, listener);
    int value;

    assert_non_null(l);
    assert_true(l->n_endpoints > 0);
    value = get_int(l->endpoints[0]->socket.fd, level, optname);
    for (size_t i = 1; i < l->n_endpoints; i++)
        assert_int_equal(get_int(l->endpoints[i]->socket.fd, level, optname), value);
    return value;
}

static size_t list(struct running *r, const char *listener, struct flow_row *rows) {
    const struct flow_selector s = { .listener = net_listener(r->live.net, listener) };

    return live_list(&r->live, &s, rows, FLOWS_MAX);
}

size_t flow_marks(struct running *r, const char *listener, unsigned *marks, size_t max) {
    static struct flow_row rows[FLOWS_MAX];
    size_t n = list(r, listener, rows);

    assert_true(n <= max);
    for (size_t i = 0; i < n; i++) {
        marks[i] = rows[i].client.dscp;
        flow_row_done(&rows[i]);
    }
    return n;
}

void assert_flow_marks(struct running *r, const char *listener, unsigned n, unsigned mark) {
    unsigned marks[FLOWS_MAX];

    assert_int_equal(flow_marks(r, listener, marks, FLOWS_MAX), n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(marks[i], mark);
}

void assert_flow_settings(struct running *r, const char *listener, const char *name, const char *text,
                          enum origin origin) {
    static struct flow_row rows[FLOWS_MAX];
    const struct setting *row = setting_find(name);
    size_t n = list(r, listener, rows);

    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *got = settings_get_text(&rows[i].set->settings, row);

        assert_string_equal(got, text);
        assert_int_equal(rows[i].set->origin[row->id], origin);
        flow_row_done(&rows[i]);
    }
}
