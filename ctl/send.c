/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "call.h"
#include "clock.h"
#include "dscp.h"
#include "exchange.h"
#include "text.h"
#include "verb.h"

/* What the summary says. */
struct tally {
    uint64_t sent, answered, refused;
    uint64_t min_usec, max_usec, sum_usec;
    uint64_t marks[DSCP_COUNT], unknown;
};

struct sending {
    struct ctl *ctl;
    const struct plan *plan;
    struct exchange exchange;
    struct tally tally;
    bool broken; /* the connection ended before its time */
};

static const char *protocol(const struct plan *p) {
    return p->type == SOCK_STREAM ? "tcp" : "udp";
}

static json_t *dscp_json(int dscp) {
    char buf[DSCP_TEXT_MAX];
    return dscp < 0 ? json_null() : json_string(dscp_format((unsigned) dscp, buf));
}

static void show_head(struct sending *s) {
    struct output *o = &s->ctl->out;
    const struct plan *p = s->plan;
    char peer[ADDRESS_TEXT_MAX], dscp[DSCP_TEXT_MAX];

    address_format(&s->exchange.peer, peer);
    if (o->json) {
        json_t *head = json_pack("{ss ss sI sI so}", "protocol", protocol(p), "address", peer, "size",
                                 (json_int_t) p->size, "count", (json_int_t) p->count, "dscp", dscp_json(p->dscp));
        output_list_open(o, head, "replies");
        json_decref(head);
        return;
    }
    fprintf(o->file, "%" PRIu64 " payload%s of %zu bytes to %s %s, ", p->count, p->count == 1 ? "" : "s", p->size,
            protocol(p), peer);
    if (p->dscp < 0)
        fputs("with the system's own mark\n", o->file);
    else
        fprintf(o->file, "marked %s (TOS 0x%02x)\n", dscp_format((unsigned) p->dscp, dscp),
                dscp_to_tos((uint8_t) p->dscp));
}

static void show_reply(struct output *o, uint64_t number, const struct reply *r) {
    size_t head_size = MIN(r->size, (size_t) EXCHANGE_HEAD_MAX);
    _cleanup_free_ char *head = text_escape(r->head, head_size);
    char time[TEXT_MAX], mark[MARK_TEXT_MAX];

    if (o->json) {
        bool known = r->mark.label != MARK_UNKNOWN;
        json_t *v = json_pack("{sI sI sI so ss* ss*}", "number", (json_int_t) number, "time_usec",
                              (json_int_t) r->time_usec, "size", (json_int_t) r->size, "dscp_received",
                              dscp_json(known ? dscp_from_tos(r->mark.tos) : -1), "ecn_received",
                              known ? mark_ecn_name(r->mark.tos) : NULL, "dscp_received_label",
                              mark_label_name(r->mark.label));
        output_list_item(o, v);
        json_decref(v);
        return;
    }
    fprintf(o->file, "reply %" PRIu64 ": %zu bytes in %s, mark %s, \"%s\"%s\n", number, r->size,
            text_duration((int64_t) r->time_usec, time), mark_format(&r->mark, mark), head ? head : "",
            r->size > head_size ? "..." : "");
}

static void show_missing(struct output *o, uint64_t number, int error, uint64_t timeout_usec) {
    const char *reason = error == 0             ? "no reply in time"
                         : error == -ECONNRESET ? "the peer closed the connection"
                                                : strerror(-error);
    char time[TEXT_MAX];

    if (o->json) {
        json_t *v = json_pack("{sI ss}", "number", (json_int_t) number, "error", reason);
        output_list_item(o, v);
        json_decref(v);
    } else if (error == 0)
        fprintf(o->file, "%spayload %" PRIu64 ": no reply within %s%s\n", output_style(o, STYLE_WARN), number,
                text_duration((int64_t) timeout_usec, time), output_plain(o));
    else
        fprintf(o->file, "%spayload %" PRIu64 ": %s%s\n", output_style(o, STYLE_BAD), number, reason, output_plain(o));
}

static void count_reply(struct tally *t, const struct reply *r) {
    t->min_usec = t->answered == 0 ? r->time_usec : MIN(t->min_usec, r->time_usec);
    t->max_usec = MAX(t->max_usec, r->time_usec);
    t->sum_usec += r->time_usec;
    t->answered++;
    if (r->mark.label == MARK_UNKNOWN)
        t->unknown++;
    else
        t->marks[dscp_from_tos(r->mark.tos)]++;
}

/* One payload; false ends the run. */
static bool send_one(struct sending *s, uint64_t number) {
    struct output *o = &s->ctl->out;
    struct tally *t = &s->tally;
    struct reply reply;

    int r = exchange_payload(&s->exchange, number, &reply);
    if (r == -EINTR)
        return false;
    t->sent++;
    if (r > 0) {
        count_reply(t, &reply);
        show_reply(o, number, &reply);
    } else if (r < 0 || s->plan->wait_reply) {
        t->refused += r < 0;
        show_missing(o, number, r, s->plan->timeout_usec);
        s->broken = r < 0 && s->plan->type == SOCK_STREAM;
    }
    return output_flush(o) >= 0 && !s->broken;
}

static void run(struct sending *s) {
    for (uint64_t number = 1; number <= s->plan->count; number++) {
        uint64_t next_usec = clock_now() + s->plan->interval_usec;

        if (!send_one(s, number))
            break;
        uint64_t now_usec = clock_now();
        if (number < s->plan->count && call_pause(s->ctl, next_usec > now_usec ? next_usec - now_usec : 0) < 0)
            break;
    }
    if (!s->broken)
        exchange_finish(&s->exchange);
}

static json_t *marks_json(const struct tally *t) {
    json_t *marks = json_object();
    char dscp[DSCP_TEXT_MAX];

    for (unsigned i = 0; i < DSCP_COUNT; i++)
        if (t->marks[i] > 0)
            json_object_set_new(marks, dscp_format(i, dscp), json_integer((json_int_t) t->marks[i]));
    if (t->unknown > 0)
        json_object_set_new(marks, "unknown", json_integer((json_int_t) t->unknown));
    return marks;
}

static uint64_t lost(const struct sending *s) {
    return s->plan->wait_reply ? s->tally.sent - s->tally.answered : s->tally.refused;
}

static void sum_json(struct sending *s) {
    const struct tally *t = &s->tally;
    json_t *tail =
            json_pack("{sI sI sI sI so}", "sent", (json_int_t) t->sent, "answered", (json_int_t) t->answered, "lost",
                      (json_int_t) lost(s), "late", (json_int_t) s->exchange.late, "dscp_received", marks_json(t));

    if (tail && t->answered > 0) {
        json_object_set_new(tail, "time_usec_min", json_integer((json_int_t) t->min_usec));
        json_object_set_new(tail, "time_usec_avg", json_integer((json_int_t) (t->sum_usec / t->answered)));
        json_object_set_new(tail, "time_usec_max", json_integer((json_int_t) t->max_usec));
    }
    output_list_close(&s->ctl->out, tail);
    json_decref(tail);
}

static void sum_text(struct sending *s) {
    const struct tally *t = &s->tally;
    FILE *f = s->ctl->out.file;
    char min[TEXT_MAX], avg[TEXT_MAX], max[TEXT_MAX], dscp[DSCP_TEXT_MAX];

    fprintf(f, "%" PRIu64 " sent, %" PRIu64 " answered, %" PRIu64 " lost", t->sent, t->answered, lost(s));
    if (s->exchange.late > 0)
        fprintf(f, ", %" PRIu64 " late", s->exchange.late);
    if (t->answered == 0) {
        putc('\n', f);
        return;
    }
    fprintf(f, "; time min/avg/max %s/%s/%s\n", text_duration((int64_t) t->min_usec, min),
            text_duration((int64_t) (t->sum_usec / t->answered), avg), text_duration((int64_t) t->max_usec, max));
    fputs("marks received:", f);
    for (unsigned i = 0; i < DSCP_COUNT; i++)
        if (t->marks[i] > 0)
            fprintf(f, " %s %" PRIu64, dscp_format(i, dscp), t->marks[i]);
    if (t->unknown > 0)
        fprintf(f, " unknown %" PRIu64 "%s", t->unknown,
                s->exchange.ipv4 && s->plan->type == SOCK_STREAM ? " (TCP over IPv4 does not tell the connecting side)"
                                                                 : "");
    putc('\n', f);
}

static enum status verdict(const struct sending *s) {
    const struct tally *t = &s->tally;

    if (s->ctl->out.error != 0 || (t->sent < s->plan->count && !s->broken))
        return STATUS_DONE; /* ended by the user, not by the network */
    if (s->broken || (s->plan->wait_reply ? t->answered == 0 : t->refused > 0))
        return STATUS_FAILED;
    return STATUS_DONE;
}

static bool lacks_zone(const struct addrinfo *ai) {
    const struct sockaddr_in6 *sa = (const struct sockaddr_in6 *) ai->ai_addr;

    return ai->ai_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&sa->sin6_addr) && sa->sin6_scope_id == 0;
}

static enum status send_to(struct ctl *ctl, const struct plan *p, const struct addrinfo *addresses) {
    struct sending s = { .ctl = ctl, .plan = p };

    enum status status = call_catch_interrupt(ctl);
    if (status != STATUS_DONE)
        return status;
    int r = exchange_open(p, addresses, ctl->interrupt_fd, &s.exchange);
    if (r < 0) {
        output_complain("cannot connect to %s: %s%s", ctl->args->words[0], strerror(-r),
                        lacks_zone(addresses) ? " (a link-local address needs its interface: [fe80::1%eth0])" : "");
        return STATUS_FAILED;
    }
    show_head(&s);
    run(&s);
    if (ctl->out.json)
        sum_json(&s);
    else
        sum_text(&s);
    exchange_done(&s.exchange);
    return verdict(&s);
}

static enum status resolve(const struct plan *p, struct addrinfo **ret) {
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = p->type };

    int r = getaddrinfo(p->host, p->port, &hints, ret);
    if (r == 0)
        return STATUS_DONE;
    output_complain("cannot resolve '%s' port '%s': %s", p->host, p->port,
                    r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    return STATUS_FAILED;
}

enum status send_payloads(struct ctl *ctl) {
    _cleanup_(plan_done) struct plan plan = { 0 };
    _cleanup_free_ char *reason = NULL;
    struct addrinfo *addresses;

    int r = plan_parse(ctl->args, &plan, &reason);
    if (r == -ENOMEM)
        return call_no_memory();
    if (r < 0) {
        _cleanup_free_ char *safe = text_escape(reason, strlen(reason));
        output_complain("%s (try: sockqctl help send)", safe ? safe : "");
        return STATUS_USAGE;
    }
    r = plan.from_stdin ? plan_read(&plan, STDIN_FILENO) : 0;
    if (r == -EFBIG) {
        output_complain("standard input has more than the %zu bytes of one payload", plan_size_max(&plan));
        return STATUS_FAILED;
    }
    if (r < 0) {
        output_complain("cannot take the payload from standard input: %s",
                        r == -ENODATA ? "it is empty" : strerror(-r));
        return STATUS_FAILED;
    }
    enum status status = resolve(&plan, &addresses);
    if (status != STATUS_DONE)
        return status;
    status = send_to(ctl, &plan, addresses);
    freeaddrinfo(addresses);
    return status;
}
