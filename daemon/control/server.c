/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "event.h"
#include "session.h"
#include "socket_path.h"

#define ACCEPTS_PER_TURN 16
#define PAUSE_USEC USEC_PER_SEC /* after a failed accept(), which would otherwise fail again at once */
#define PAUSE_ACCURACY_USEC (100 * USEC_PER_MSEC)

struct server {
    sd_event *event;
    sd_event_source *io, *pause;
    struct server_config config;
    struct socket_path bound;
    int fd; /* listens */
    struct session **sessions;
    size_t n_sessions;
};

static void on_ended(struct session *session, void *userdata) {
    struct server *s = userdata;

    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->sessions[i] == session) {
            s->sessions[i] = s->sessions[--s->n_sessions];
            break;
        }
    session_free(session);
}

static void on_dispatch(struct call *call, void *userdata) {
    struct server *s = userdata;

    s->config.dispatch(call, s->config.userdata);
}

static const struct session_ops ops = { .dispatch = on_dispatch, .ended = on_ended };

/* Why this client cannot be let in, or NULL. */
static const char *refusal(const struct server *s, const struct peer *peer) {
    const struct limits *l = &s->config.limits;
    unsigned same = 0;

    for (size_t i = 0; i < s->n_sessions; i++)
        if (session_peer(s->sessions[i])->uid == peer->uid)
            same++;
    if (same >= l->sessions_per_uid)
        return "too many sessions of this user";
    if (s->n_sessions >= l->sessions)
        return "too many sessions";
    if (!access_allowed(peer->access, ACCESS_CHANGE) && s->n_sessions >= l->sessions - l->sessions_kept)
        return "too many sessions, the rest are kept for administrators";
    return NULL;
}

static void log_refusal(const struct peer *peer, const char *reason) {
    struct peer_text who = peer_text(peer);

    event_log(EVENT_CONTROL_ERROR, EVENT_FIELDS({ FIELD_UID, who.uid }, { FIELD_PID, who.pid }),
              "control session of uid %s, pid %s refused: %s", who.uid, who.pid, reason);
}

int server_add(struct server *s, int fd) {
    _cleanup_close_ int owned = fd;
    struct credentials credentials;
    struct peer peer;
    const char *reason;
    int r;

    r = credentials_of_peer(fd, &credentials);
    if (r < 0)
        return r;
    peer = (struct peer){
        .uid = credentials.uid,
        .pid = credentials.pid,
        .access = access_granted(&s->config.policy, &credentials),
    };
    credentials_done(&credentials);

    reason = refusal(s, &peer);
    if (reason) {
        log_refusal(&peer, reason);
        return -EUSERS;
    }
    r = session_new(s->event, fd, &peer, &s->config.limits, &ops, s, &s->sessions[s->n_sessions]);
    if (r < 0)
        return r;
    s->n_sessions++;
    (void) TAKE_FD(owned);
    return 0;
}

size_t server_sessions(const struct server *s) {
    return s->n_sessions;
}

bool server_idle(const struct server *s) {
    struct pollfd p = { .fd = s->fd, .events = POLLIN };

    return s->n_sessions == 0 && poll(&p, 1, 0) == 0;
}

static void log_error(const char *what, int error) {
    char number[16];

    (void) snprintf(number, sizeof(number), "%d", error);
    event_log(EVENT_CONTROL_ERROR, EVENT_FIELDS({ FIELD_ERRNO, number }), "%s: %s", what, strerrordesc_np(error));
}

static bool is_passing(int error) {
    return error == EAGAIN || error == EINTR || error == ECONNABORTED;
}

static int on_connection(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
    struct server *s = userdata;

    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

        if (client < 0 && is_passing(errno))
            return 0;
        if (client < 0) {
            log_error("Cannot accept a control connection", errno);
            (void) sd_event_source_set_enabled(s->io, SD_EVENT_OFF);
            (void) sd_event_source_set_time_relative(s->pause, PAUSE_USEC);
            (void) sd_event_source_set_enabled(s->pause, SD_EVENT_ONESHOT);
            return 0;
        }
        r = server_add(s, client);
        if (r < 0 && r != -EUSERS)
            log_error("Cannot begin a control session", -r);
    }
    return 0;
}

static int on_pause_over(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct server *s = userdata;

    (void) sd_event_source_set_enabled(s->io, SD_EVENT_ON);
    return 0;
}

int server_new(sd_event *event, const struct server_config *config, struct server **ret) {
    struct server *s = malloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    *s = (struct server){ .event = sd_event_ref(event), .config = *config, .fd = -EBADF };
    s->sessions = calloc(config->limits.sessions, sizeof(*s->sessions));
    if (!s->sessions) {
        server_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

static int watch(struct server *s, int fd) {
    int r = sd_event_add_io(s->event, &s->io, fd, EPOLLIN, on_connection, s);

    if (r >= 0)
        r = sd_event_add_time(s->event, &s->pause, CLOCK_MONOTONIC, 0, PAUSE_ACCURACY_USEC, on_pause_over, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->pause, SD_EVENT_OFF);
    if (r < 0) {
        s->io = sd_event_source_disable_unref(s->io);
        s->pause = sd_event_source_disable_unref(s->pause);
        return r;
    }
    s->fd = fd;
    return 0;
}

int server_listen_fd(struct server *s, int fd) {
    int flags;

    if (s->io)
        return -EBUSY;
    if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
        return -EINVAL;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return watch(s, fd);
}

int server_listen_path(struct server *s, const char *path, bool make_directory) {
    _cleanup_(socket_path_done) struct socket_path bound = { 0 };
    _cleanup_close_ int fd = -EBADF;
    int r;

    if (s->io)
        return -EBUSY;
    fd = socket_path_bind(path, make_directory, &bound);
    if (fd < 0)
        return fd;
    r = watch(s, fd);
    if (r < 0)
        return r;
    s->bound = bound;
    bound.path = NULL;
    (void) TAKE_FD(fd);
    return 0;
}

struct server *server_free(struct server *s) {
    if (!s)
        return NULL;
    while (s->n_sessions > 0)
        session_free(s->sessions[--s->n_sessions]);
    free(s->sessions);
    sd_event_source_disable_unref(s->io);
    sd_event_source_disable_unref(s->pause);
    close_fd(s->fd);
    socket_path_done(&s->bound);
    sd_event_unref(s->event);
    free(s);
    return NULL;
}
