/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/time.h>

#include "plan.h"

#define CLIENT_TIMEOUT_SEC 20

/* ---- targets ---- */

static void on_echo(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
    *ret_reply = payload->span;
}

static int start_ack(const struct config_listener *conf, void **ret) {
    *ret = strdup(conf->reply);
    return *ret ? 0 : -ENOMEM;
}

static void on_ack(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
    *ret_reply = (struct span){ state, strlen(state) };
}

static void on_discard(void *state, struct stats *stats, const struct payload *payload, struct span *ret_reply) {
}

static const struct target_ops echo = { .name = "echo", .payload = on_echo };
static const struct target_ops ack = { .name = "ack", .start = start_ack, .stop = free, .payload = on_ack };
static const struct target_ops discard = { .name = "discard", .payload = on_discard };
static const struct target_ops forward = { .name = "forward", .payload = on_echo };

const struct target_ops *const live_targets[] = { &echo, &ack, &discard, &forward, NULL };

static const char *const names[] = { "echo", "ack", "discard", "forward", NULL };

const struct config_schema live_schema = { .targets = names };

/* ---- the net ---- */

void live_begin(struct live *l, unsigned n_workers) {
    *l = (struct live){ .directory = "/tmp/sockq-live-XXXXXX" };
    assert_non_null(mkdtemp(l->directory));
    snprintf(l->path, sizeof(l->path), "%s/a.conf", l->directory);
    assert_int_equal(net_new(n_workers, live_targets, &l->net), 0);
    assert_int_equal(net_start(l->net), 0);
}

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

void live_end(struct live *l) {
    l->net = net_free(l->net);
    l->config = config_unref(l->config);
    while (l->n_passed > 0)
        endpoint_unref(l->passed[--l->n_passed]);
    free(l->faults);
    nftw(l->directory, on_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void live_write(struct live *l, const char *text) {
    _cleanup_close_ int fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static char *faults_text(const struct live *l, struct config_faults *faults) {
    char *text = NULL;
    size_t size, skip = strlen(l->directory) + 1;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    for (size_t i = 0; i < faults->n; i++) {
        _cleanup_free_ char *line = config_fault_format(&faults->items[i]);

        assert_non_null(line);
        fprintf(f, "%s\n", line + skip);
    }
    fclose(f);
    config_faults_done(faults);
    return text;
}

static struct effective *resolve(const struct config_listener *conf, void *userdata) {
    struct effective *e = effective_new();

    assert_non_null(e);
    if (conf->profile)
        effective_apply(e, &conf->profile->settings, conf->profile->settings.set_mask, ORIGIN_PROFILE_FILE);
    effective_apply(e, &conf->settings, conf->settings.set_mask, ORIGIN_LISTENER_FILE);
    return e;
}

static void on_done(void *userdata) {
    *(bool *) userdata = true;
}

int live_apply(struct live *l, const char *text) {
    struct config_faults faults = { 0 };
    struct config *config = NULL;
    struct plan *plan = NULL;
    bool done = false;
    int r;

    live_write(l, text);
    r = config_load(l->path, &live_schema, &config, &faults);
    if (r >= 0)
        r = plan_new(l->net, config, resolve, NULL, &faults, &plan);
    free(l->faults);
    l->faults = faults_text(l, &faults);
    if (r < 0) {
        config_unref(config);
        return r;
    }
    plan_commit(plan, on_done, &done);
    while (!done)
        mailbox_wait(&l->net->mailbox, l->net);
    plan_free(plan);
    config_unref(l->config);
    l->config = config;
    return 0;
}

void live_must_apply(struct live *l, const char *text) {
    if (live_apply(l, text) < 0)
        fail_msg("%s", l->faults);
}

struct endpoint *live_pass(struct live *l, const char *name, enum path path, int type) {
    struct net *n = l->net;
    struct endpoint *e = calloc(1, sizeof(*e));
    char text[ADDRESS_TEXT_MAX];
    int sender;

    assert_non_null(e);
    if (type == SOCK_STREAM) {
        e->socket = make_listener(path, 0);
    } else {
        datagram_pair(path, &e->socket, &sender);
        close(sender);
    }
    e->refs = 2;
    e->passed = true;
    e->name = strdup(name);
    e->address = live_address(e);
    assert_true(asprintf(&e->text, "%s:%s", type == SOCK_STREAM ? "tcp" : "udp", address_format(&e->address, text)) >
                0);
    assert_int_equal(fcntl(e->socket.fd, F_SETFL, O_NONBLOCK), 0);
    qos_baseline_capture(&e->socket, &e->baseline);
    assert_int_equal(qos_observe_arm(&e->socket), 0);
    n->unclaimed = reallocarray(n->unclaimed, n->n_unclaimed + 1, sizeof(*n->unclaimed));
    assert_non_null(n->unclaimed);
    n->unclaimed[n->n_unclaimed++] = e;
    assert_true(l->n_passed < ARRAY_SIZE(l->passed));
    return l->passed[l->n_passed++] = e;
}

struct endpoint *live_endpoint(const struct live *l, const char *listener, int type, unsigned i) {
    const struct listener *found = net_listener(l->net, listener);

    assert_non_null(found);
    for (size_t k = 0; k < found->n_endpoints; k++)
        if (found->endpoints[k]->socket.type == type && i-- == 0)
            return found->endpoints[k];
    fail_msg("%s has no such endpoint", listener);
    return NULL;
}

struct address live_address(const struct endpoint *e) {
    struct sockaddr_in6 name;
    socklen_t size = sizeof(name);
    struct address a;

    assert_int_equal(getsockname(e->socket.fd, (struct sockaddr *) &name, &size), 0);
    if (name.sin6_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr))
        name.sin6_addr = in6addr_loopback;
    assert_int_equal(address_from_sockaddr((struct sockaddr *) &name, size, &a), 0);
    return a;
}

/* ---- clients ---- */

static int client_socket(int domain, int type) {
    const struct timeval timeout = { .tv_sec = CLIENT_TIMEOUT_SEC };
    int fd = socket(domain, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)), 0);
    return fd;
}

int live_connect_from(const struct address *to, const char *from) {
    int fd = client_socket(to->sa.sa_family, SOCK_STREAM);
    struct address a;

    if (from) {
        assert_int_equal(address_parse(from, &a), 0);
        assert_int_equal(bind(fd, &a.sa, a.size), 0);
    }
    assert_int_equal(connect(fd, &to->sa, to->size), 0);
    return fd;
}

int live_connect(const struct live *l, const char *listener) {
    struct address to = live_address(live_endpoint(l, listener, SOCK_STREAM, 0));

    return live_connect_from(&to, NULL);
}

int live_try_connect(const struct address *to) {
    _cleanup_close_ int fd = client_socket(to->sa.sa_family, SOCK_STREAM);

    return connect(fd, &to->sa, to->size) < 0 ? -errno : 0;
}

int live_datagram(const struct live *l, const char *listener) {
    struct address to = live_address(live_endpoint(l, listener, SOCK_DGRAM, 0));
    int fd = client_socket(to.sa.sa_family, SOCK_DGRAM);

    assert_int_equal(connect(fd, &to.sa, to.size), 0);
    return fd;
}

void live_send(int fd, const void *data, size_t size) {
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

void live_expect(int fd, const void *data, size_t size) {
    _cleanup_free_ char *got = malloc(MAX(size, (size_t) 1));

    assert_non_null(got);
    assert_int_equal(recv(fd, got, size, MSG_WAITALL), size);
    assert_memory_equal(got, data, size);
}

void live_expect_text(int fd, const char *text) {
    live_expect(fd, text, strlen(text));
}

void live_expect_end(int fd) {
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

void live_expect_reset(int fd) {
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

void live_reset(int fd) {
    const struct linger at_once = { .l_onoff = 1 };

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(fd);
}

/* ---- what workers do ---- */

static void on_pinged(unsigned n_flows, void *userdata) {
    *(bool *) userdata = true;
}

void live_turn(struct live *l) {
    bool answered = false;

    assert_int_equal(sweep_ping(l->net, on_pinged, &answered), 0);
    while (!answered)
        mailbox_wait(&l->net->mailbox, l->net);
}

unsigned live_flows(const struct live *l) {
    uint64_t opened = 0, closed = 0;

    for (size_t i = 0; i < l->net->n_listeners; i++) {
        struct stats_snapshot s;

        listener_stats(l->net->listeners[i], &s);
        opened += s.counter[STAT_ACCEPTED];
        closed += s.counter[STAT_CLOSED];
    }
    return (unsigned) (opened - closed);
}

uint64_t live_counter(const struct live *l, const char *listener, enum counter id) {
    const struct listener *found = net_listener(l->net, listener);
    struct stats_snapshot s;

    assert_non_null(found);
    listener_stats(found, &s);
    return s.counter[id];
}

struct collected {
    struct flow_row *rows;
    size_t n, max;
    struct listing_cursor next;
    bool more, answered;
};

static void on_rows(struct flow_row *rows, size_t n, struct listing_cursor next, bool more, void *userdata) {
    struct collected *c = userdata;

    assert_true(n <= LISTING_ROWS);
    assert_true(c->n + n <= c->max);
    memcpy(c->rows + c->n, rows, n * sizeof(*rows));
    c->n += n;
    c->next = next;
    c->more = more;
    c->answered = true;
}

size_t live_list(struct live *l, const struct flow_selector *selector, struct flow_row *rows, size_t max) {
    struct collected c = { .rows = rows, .max = max };

    do {
        c.answered = false;
        assert_int_equal(sweep_list(l->net, selector, c.next, on_rows, &c), 0);
        while (!c.answered)
            mailbox_wait(&l->net->mailbox, l->net);
    } while (c.more);
    return c.n;
}

static void on_closed(unsigned n_flows, void *userdata) {
    *(int *) userdata = (int) n_flows;
}

unsigned live_close(struct live *l, const struct flow_selector *selector, bool orderly) {
    int n = -1;

    assert_int_equal(sweep_close(l->net, selector, orderly, on_closed, &n), 0);
    while (n < 0)
        mailbox_wait(&l->net->mailbox, l->net);
    return (unsigned) n;
}
