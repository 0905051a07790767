/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "event.h"
#include "output.h"
#include "varlink.h"

#define STEPS_PER_TURN 32 /* reads and calls before others get their turn */
#define TIMER_ACCURACY_USEC (50 * USEC_PER_MSEC)

struct session {
    int fd;
    struct peer peer;
    const struct limits *limits;
    const struct session_ops *ops;
    void *userdata;
    sd_event *event;
    sd_event_source *io, *work, *timer;
    struct varlink_reader reader;
    struct output output;
    struct call *call;      /* under way; owned by its handler */
    uint64_t active_usec;   /* the last call ended, or the session began */
    uint64_t partial_usec;  /* an unfinished message began; 0: there is none */
    uint64_t progress_usec; /* the client last took output, or output began to wait */
    bool eof;               /* the client sends no more */
    bool gone;              /* the client reads no more */
    bool slow;              /* the handler was told to stop until drained */
    bool in_turn;
    bool failed;
};

static uint64_t now_usec(const struct session *s) {
    uint64_t now = 0;

    (void) sd_event_now(s->event, CLOCK_MONOTONIC, &now);
    return now;
}

static size_t high_mark(const struct session *s) {
    return s->limits->output_bytes / 4;
}

static void schedule(struct session *s) {
    if (!s->in_turn)
        (void) sd_event_source_set_enabled(s->work, SD_EVENT_ONESHOT);
}

void session_fail(struct session *s, const char *reason) {
    struct peer_text who = peer_text(&s->peer);

    if (s->failed)
        return;
    s->failed = true;
    schedule(s);
    event_log(EVENT_CONTROL_ERROR, EVENT_FIELDS({ FIELD_UID, who.uid }, { FIELD_PID, who.pid }),
              "control session of uid %s, pid %s closed: %s", who.uid, who.pid, reason);
}

bool session_send(struct session *s, const json_t *message) {
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (s->failed || s->gone)
        return false;
    text = message ? varlink_encode(message, &size) : NULL;
    if (!text) {
        session_fail(s, "out of memory");
        return false;
    }
    if (output_pending(&s->output) == 0)
        s->progress_usec = now_usec(s);
    if (size > s->limits->output_bytes - output_pending(&s->output)) {
        session_fail(s, "more output than one client may have waiting");
        return false;
    }
    if (output_append(&s->output, text, size) < 0) {
        session_fail(s, "out of memory");
        return false;
    }
    schedule(s);
    if (output_pending(&s->output) <= high_mark(s))
        return true;
    s->slow = true;
    return false;
}

void session_call_ended(struct session *s) {
    s->call = NULL;
    s->slow = false;
    s->active_usec = now_usec(s);
    schedule(s);
}

/* The client is not there to read any more. */
static void leave(struct session *s) {
    s->gone = true;
    output_done(&s->output);
    if (s->call && !call_header(s->call)->oneway)
        call_gone(TAKE_PTR(s->call));
}

static void flush(struct session *s) {
    int r;

    if (s->failed || s->gone)
        return;
    r = output_flush(&s->output, s->fd);
    if (r < 0) {
        leave(s);
        return;
    }
    if (r > 0)
        s->progress_usec = now_usec(s);
    if (s->slow && output_pending(&s->output) <= high_mark(s) / 2) {
        s->slow = false;
        call_drained(s->call);
    }
}

static bool wants_input(const struct session *s) {
    return !s->failed && !s->call && output_pending(&s->output) <= high_mark(s);
}

static void take(struct session *s, json_t *message) {
    struct varlink_call header;

    s->partial_usec = 0;
    if (varlink_call_parse(message, &header) < 0) {
        session_fail(s, "not a Varlink call");
        json_decref(message);
        return;
    }
    if (s->gone && !header.oneway) {
        json_decref(message);
        return;
    }
    s->call = call_new(s, &s->peer, message, &header);
    if (!s->call) {
        session_fail(s, "out of memory");
        json_decref(message);
        return;
    }
    s->ops->dispatch(s->call, s->userdata);
}

/* 1: there may be more; 0: not now. */
static int receive(struct session *s) {
    size_t size;
    ssize_t n;
    void *space = varlink_reader_space(&s->reader, &size);

    if (!space) {
        session_fail(s, "out of memory");
        return 0;
    }
    n = recv(s->fd, space, size, MSG_DONTWAIT);
    if (n < 0 && errno != EINTR) {
        /* Anything but EAGAIN comes after the last byte: the other end was closed on unread output. */
        s->eof = errno != EAGAIN;
        return s->eof;
    }
    if (n == 0)
        s->eof = true;
    if (n > 0)
        varlink_reader_fill(&s->reader, (size_t) n);
    return 1;
}

/* Takes calls out of what was read, and reads on. Returns whether there may be more for which the client will not wake
 * the session up. */
static bool serve(struct session *s) {
    for (unsigned steps = 0; steps < STEPS_PER_TURN && wants_input(s); steps++) {
        json_t *message;
        int r = varlink_reader_next(&s->reader, &message);
        if (r < 0) {
            session_fail(s, r == -EMSGSIZE ? "message too long" : r == -ENOMEM ? "out of memory" : "malformed message");
            return false;
        }
        if (r > 0) {
            take(s, message);
            continue;
        }
        if (s->reader.size > s->reader.start && s->partial_usec == 0)
            s->partial_usec = now_usec(s);
        if (s->eof || receive(s) == 0)
            return false;
    }
    return true;
}

/* When this client will have taken too long, and what to call it. */
static uint64_t deadline(const struct session *s, const char **ret_reason) {
    if (output_pending(&s->output) > 0) {
        *ret_reason = "output not read";
        return s->progress_usec + s->limits->unread_usec;
    }
    if (s->call)
        return UINT64_MAX;
    if (s->partial_usec > 0) {
        *ret_reason = "unfinished message";
        return s->partial_usec + s->limits->partial_usec;
    }
    *ret_reason = "idle";
    return s->active_usec + s->limits->idle_usec;
}

static void arm(struct session *s, bool again) {
    const char *reason = NULL;
    uint64_t at = deadline(s, &reason);
    uint32_t events = 0;

    if (again)
        (void) sd_event_source_set_enabled(s->work, SD_EVENT_ONESHOT);
    if (wants_input(s) && !s->eof)
        events |= EPOLLIN;
    if (output_pending(&s->output) > 0)
        events |= EPOLLOUT;
    (void) sd_event_source_set_io_events(s->io, events);
    /* EPOLLHUP cannot be masked out. */
    (void) sd_event_source_set_enabled(s->io, s->gone ? SD_EVENT_OFF : SD_EVENT_ON);
    (void) sd_event_source_set_time(s->timer, at);
    (void) sd_event_source_set_enabled(s->timer, at == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    varlink_reader_trim(&s->reader);
}

/* All that a session does; afterwards it may be freed. */
static void turn(struct session *s, uint32_t revents) {
    bool again;

    s->in_turn = true;
    if ((revents & (EPOLLHUP | EPOLLERR)) && !s->gone)
        leave(s);
    flush(s);
    again = serve(s);
    flush(s);
    again = again && wants_input(s);
    s->in_turn = false;
    if (s->failed || (s->eof && !again && !s->call && output_pending(&s->output) == 0)) {
        s->ops->ended(s, s->userdata);
        return;
    }
    arm(s, again);
}

static int on_io(_unused_ sd_event_source *source, _unused_ int fd, uint32_t revents, void *userdata) {
    turn(userdata, revents);
    return 0;
}

static int on_work(_unused_ sd_event_source *source, void *userdata) {
    turn(userdata, 0);
    return 0;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct session *s = userdata;
    const char *reason = "";

    if (deadline(s, &reason) > now_usec(s)) {
        arm(s, false);
        return 0;
    }
    /* Being idle is no fault of the client. */
    if (streq(reason, "idle"))
        s->failed = true;
    else
        session_fail(s, reason);
    turn(s, 0);
    return 0;
}

int session_new(sd_event *event, int fd, const struct peer *peer, const struct limits *limits,
                const struct session_ops *ops, void *userdata, struct session **ret) {
    struct session *s = malloc(sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    *s = (struct session){
        .fd = -EBADF,
        .peer = *peer,
        .limits = limits,
        .ops = ops,
        .userdata = userdata,
        .event = sd_event_ref(event),
        .reader.limit_bytes = limits->message_bytes,
    };
    s->active_usec = now_usec(s);
    r = sd_event_add_defer(event, &s->work, on_work, s);
    if (r >= 0)
        r = sd_event_add_io(event, &s->io, fd, EPOLLIN, on_io, s);
    if (r >= 0)
        r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, s->active_usec + limits->idle_usec,
                              TIMER_ACCURACY_USEC, on_timer, s);
    if (r < 0) {
        session_free(s);
        return r;
    }
    s->fd = fd;
    *ret = s;
    return 0;
}

struct session *session_free(struct session *s) {
    if (!s)
        return NULL;
    if (s->call)
        call_gone(TAKE_PTR(s->call));
    if (!s->failed && !s->gone)
        (void) output_flush(&s->output, s->fd);
    output_done(&s->output);
    varlink_reader_done(&s->reader);
    sd_event_source_disable_unref(s->timer);
    sd_event_source_disable_unref(s->work);
    sd_event_source_disable_unref(s->io);
    sd_event_unref(s->event);
    close_fd(s->fd);
    free(s);
    return NULL;
}

const struct peer *session_peer(const struct session *s) {
    return &s->peer;
}
