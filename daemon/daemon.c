/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "adopt.h"
#include "event.h"
#include "faults_log.h"
#include "helper.h"
#include "internal.h"
#include "targets.h"
#include "varlink.h"

/* How long a stuck journal may hold up the exit. */
#define EVENT_STOP_USEC (2 * USEC_PER_SEC)

static const char *config_path(const struct daemon_options *options) {
    return options->config ? options->config : CONFIG_FILE_DEFAULT;
}

int daemon_check(const struct daemon_options *options) {
    const struct config_schema schema = { .targets = target_names() };
    struct config_faults faults = { 0 };
    struct config *config = NULL;
    int r = config_load(config_path(options), &schema, &config, &faults);

    for (size_t i = 0; i < faults.n; i++) {
        _cleanup_free_ char *text = config_fault_format(&faults.items[i]);

        fprintf(stderr, "%s\n", text ? text : faults.items[i].text);
    }
    config_faults_done(&faults);
    config_unref(config);
    if (r < 0 && r != -EINVAL)
        fprintf(stderr, "sockqd: %s: %s\n", config_path(options), strerror(-r));
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int on_workers(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    struct daemon *d = userdata;

    mailbox_take(&d->net->mailbox, d->net);
    return 0;
}

static void ignore_reload(const struct reload_answer *answer, void *userdata) {
}

/* What the files say of it counts when they say something new: `sockqctl log-level` lasts until then. */
static void follow_log_level(struct daemon *d) {
    int level = change_config(d->change)->daemon.log_level;

    if (level != d->file_log_level)
        event_set_level(level);
    d->file_log_level = level;
}

static void on_reload(bool begins, void *userdata) {
    struct daemon *d = userdata;

    if (d->stopping)
        return;
    control_set_state(d->control, begins ? CONTROL_RELOADING : CONTROL_SERVING);
    if (begins) {
        service_reloading(d);
        return;
    }
    follow_log_level(d);
    service_ready(d);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
    const struct change_who who = { .uid = getuid(), .pid = getpid() };
    struct daemon *d = userdata;

    if (si->ssi_signo == SIGHUP)
        change_reload(d->change, &who, ignore_reload, NULL);
    else
        drain_begin(d);
    return 0;
}

/* Before the first thread, so that all of them inherit it. */
static int block_signals(void) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/* A flow is a descriptor: take what the service manager allows. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void) setrlimit(RLIMIT_NOFILE, &limit);
}

static int failed(const char *what, int error) {
    event_log(EVENT_START_FAILED, EVENT_NO_FIELDS, "cannot start: %s: %s", what, strerror(-error));
    return error;
}

/* The faults say why; an errno would add nothing. */
static int failed_by_faults(const char *path, struct config_faults *faults, int error) {
    size_t n = faults->n;

    faults_log(faults);
    config_faults_done(faults);
    if (n == 0)
        return failed(path, error);
    event_log(EVENT_START_FAILED, EVENT_NO_FIELDS, "cannot start: the configuration %s has %zu fault%s", path, n,
              n == 1 ? "" : "s");
    return error;
}

static const char *control_hint(int error) {
    switch (error) {
    case -EADDRINUSE:
        return "; another sockqd answers there, choose another with --control";
    case -EACCES:
    case -EPERM:
    case -ENOENT:
        return "; choose a place that you may write to with --control or $SOCKQ_CONTROL";
    case -EEXIST:
        return "; something else than a socket is there";
    default:
        return "";
    }
}

static int open_control(struct daemon *d, const struct daemon_options *options) {
    struct server *server = control_server(d->control);
    _cleanup_free_ char *path = NULL;
    int r;

    if (d->control_fd >= 0) {
        r = server_listen_fd(server, d->control_fd);
        if (r >= 0)
            d->control_fd = -EBADF;
        return r < 0 ? failed("control socket", r) : 0;
    }
    path = varlink_control_path(options->control);
    if (!path)
        return failed("control socket", -ENOMEM);
    r = server_listen_path(server, path, !options->control);
    if (r >= 0)
        return 0;
    event_log(EVENT_START_FAILED, EVENT_FIELDS({ FIELD_FILE, path }), "cannot start: control socket %s: %s%s", path,
              strerror(-r), control_hint(r));
    return r;
}

static int begin_loop(struct daemon *d) {
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    int r = sd_event_default(&d->event);

    for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++)
        r = sd_event_add_signal(d->event, NULL, signals[i], on_signal, d);
    if (r >= 0)
        r = sd_event_add_io(d->event, NULL, d->net->mailbox.event_fd, EPOLLIN, on_workers, d);
    return r;
}

static int begin_net(struct daemon *d, struct config *config) {
    struct adopted adopted;
    int r = net_new(config->daemon.workers, targets, &d->net);

    if (r < 0)
        return failed("workers", r);
    r = adopt_sockets(d->net, &adopted);
    d->control_fd = adopted.control_fd;
    if (r < 0)
        return failed("sockets passed by the service manager", r);
    r = net_start(d->net);
    return r < 0 ? failed("worker threads", r) : 0;
}

static int begin_serving(struct daemon *d, const struct daemon_options *options, struct config *config,
                         const struct config_schema *schema) {
    struct config_faults faults = { 0 };
    int r = change_new(d->net, config_path(options), schema, &d->change);

    if (r < 0)
        return failed("configuration", r);
    r = control_new(d->event, &LIMITS_DEFAULT, d->net, d->change, &d->control);
    if (r < 0)
        return failed("control", r);
    change_observe_reload(d->change, on_reload, d);
    r = change_begin(d->change, config, &faults);
    if (r < 0)
        return failed_by_faults(config_path(options), &faults, r);
    r = open_control(d, options);
    return r < 0 ? r : service_begin(d);
}

static int begin(struct daemon *d, const struct daemon_options *options, const struct config_schema *schema) {
    struct config_faults faults = { 0 };
    struct config *config;
    int r = config_load(config_path(options), schema, &config, &faults);

    if (r < 0)
        return failed_by_faults(config_path(options), &faults, r);
    d->file_log_level = config->daemon.log_level;
    event_set_level(d->file_log_level);
    event_log(EVENT_DAEMON_STARTED, EVENT_NO_FIELDS, "sockqd " SOCKQ_VERSION " starts with %s", config_path(options));
    r = notify_open(&d->notify);
    r = r < 0 ? failed("NOTIFY_SOCKET", r) : begin_net(d, config);
    if (r >= 0) {
        r = begin_loop(d);
        r = r < 0 ? failed("event loop", r) : begin_serving(d, options, config, schema);
    }
    config_unref(config);
    return r;
}

/* The reverse of begin(): workers first, so that whoever waits for them has been answered before it goes. */
static void end(struct daemon *d) {
    if (d->change)
        change_stop(d->change);
    helper_stop();
    if (d->net) {
        net_stop(d->net);
        net_restore(d->net);
    }
    d->control = control_free(d->control);
    d->change = change_free(d->change);
    d->net = net_free(d->net);
    close_fd(d->control_fd);
    free(d->status);
    notify_close(&d->notify);
    sd_event_unref(d->event);
}

int daemon_run(const struct daemon_options *options) {
    const struct config_schema schema = { .targets = target_names() };
    struct daemon d = { .control_fd = -EBADF, .notify.fd = -EBADF };
    int r = block_signals();

    raise_descriptor_limit();
    if (r >= 0)
        r = event_start("sockqd", LOG_INFO);
    if (r < 0) {
        fprintf(stderr, "sockqd: cannot start: %s\n", strerror(-r));
        return EXIT_FAILURE;
    }
    r = begin(&d, options, &schema);
    if (r >= 0) {
        service_ready(&d);
        event_log(EVENT_DAEMON_READY, EVENT_NO_FIELDS, "ready: %zu listener%s, %u worker%s", d.net->n_listeners,
                  d.net->n_listeners == 1 ? "" : "s", d.net->n_workers, d.net->n_workers == 1 ? "" : "s");
        r = sd_event_loop(d.event);
    }
    end(&d);
    if (r >= 0)
        event_log(EVENT_DAEMON_STOPPED, EVENT_NO_FIELDS, "stopped");
    event_stop(EVENT_STOP_USEC);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
