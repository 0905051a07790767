/* SPDX-License-Identifier: MIT */
#include "build.h"
#include "dscp.h"
#include "errors.h"
#include "event.h"
#include "handlers.h"
#include "state.h"

struct flows_request {
    const char *listener, *flow, *source;
};

const struct parameter flows_parameters[] = {
    PARAMETER(struct flows_request, listener, PARAMETER_STRING, false),
    PARAMETER(struct flows_request, flow, PARAMETER_STRING, false),
    PARAMETER(struct flows_request, source, PARAMETER_STRING, false),
    PARAMETERS_END,
};

/* A sweep over flows that a call waits for. */
struct flows_job {
    struct job job;
    struct flows_request request; /* texts of the call's message */
    struct flow_selector selector;
    struct listener *listener; /* one reference, or NULL */
    struct listing_cursor cursor;
    uint64_t n_flows; /* seen so far */
    bool sweeping;    /* a sweep is under way: it must come back before the job may end */
    bool gone;        /* the client is not there any more */
};

static void free_flows_job(struct job *job) {
    struct flows_job *j = CONTAINER_OF(job, struct flows_job, job);

    listener_unref(j->listener);
    free(j);
}

/* A serving listener, else one that still drains. */
static struct listener *find_listener(const struct net *net, const char *name) {
    struct listener *serving = net_listener(net, name);

    for (size_t i = 0; !serving && i < net->n_listeners; i++)
        if (streq(net->listeners[i]->name, name))
            return net->listeners[i];
    return serving;
}

/* NULL: the call has been ended. */
static struct flows_job *begin(struct control *c, struct call *call, const struct flows_request *p) {
    struct listener *listener = p->listener ? find_listener(c->net, p->listener) : NULL;
    struct flow_selector selector;
    struct flows_job *j;

    if (p->listener && !listener) {
        error_no_such_listener(call, change_config(c->change), p->listener);
        return NULL;
    }
    if (!selector_parse(call, p->flow, p->source, &selector))
        return NULL;
    selector.listener = listener;
    j = malloc(sizeof(*j));
    if (!j) {
        call_drop(call);
        return NULL;
    }
    *j = (struct flows_job){
        .request = *p,
        .selector = selector,
        .listener = listener ? listener_ref(listener) : NULL,
    };
    job_begin(&j->job, c, call, free_flows_job);
    return j;
}

static json_t *build_overrides(const struct effective *set) {
    const struct setting *row;
    json_t *overrides = json_object();

    for (size_t i = 0; (row = setting_row(i)); i++)
        if (!row->alias && set->origin[row->id] == ORIGIN_FLOW)
            overrides = build_member(overrides, row->name, build_owned(settings_get_text(&set->settings, row)));
    return overrides;
}

static json_t *build_compression(const struct flow_row *row) {
    union setting_value value = { .coding = { .id = (uint8_t) row->encode_id, .level = (int8_t) row->encode_level } };

    return build_owned(setting_format(setting_by_id(SETTING_COMPRESSION), &value));
}

/* What a leg has besides addresses and the mark that is set on it. */
static json_t *add_leg(json_t *object, const struct leg_row *leg) {
    char dscp[DSCP_TEXT_MAX];

    object = build_member(object, "rx_bytes", build_number(leg->rx_bytes));
    object = build_member(object, "tx_bytes", build_number(leg->tx_bytes));
    object = build_member(object, "receive_queue", build_number(leg->receive_queue));
    object = build_member(object, "send_queue", build_number(leg->send_queue));
    if (leg->received_label != QOS_MARK_NONE) {
        object = build_member(object, "dscp_received", json_string(dscp_format(leg->received_dscp, dscp)));
        object = build_member(object, "dscp_received_label", json_string(qos_mark_label_name(leg->received_label)));
    }
    if (leg->has_tcp_info) {
        object = build_member(object, "rtt_usec", build_number(leg->rtt_usec));
        object = build_member(object, "retransmits", build_number(leg->retransmits));
    }
    return object;
}

static json_t *build_leg(const struct leg_row *leg) {
    char text[ADDRESS_TEXT_MAX], dscp[DSCP_TEXT_MAX];
    json_t *object = json_object();

    if (leg->local.size > 0)
        object = build_member(object, "local", json_string(address_format(&leg->local, text)));
    if (leg->peer.size > 0)
        object = build_member(object, "peer", json_string(address_format(&leg->peer, text)));
    if (leg->has_dscp)
        object = build_member(object, "dscp", json_string(dscp_format(leg->dscp, dscp)));
    return add_leg(object, leg);
}

static json_t *build_way(const struct way_row *way) {
    return json_pack("{s:s, s:o}", "mode", way->spliced ? "splice" : "copy", "switches", build_number(way->switches));
}

static json_t *add_relay(json_t *flow, const struct flow_row *row) {
    if (row->to)
        flow = build_member(flow, "upstream", json_string(row->to));
    flow = build_member(flow, "client_leg", build_leg(&row->client));
    flow = build_member(flow, "upstream_leg", build_leg(&row->upstream));
    if (row->datagrams)
        return flow;
    flow = build_member(flow, "to_upstream", build_way(&row->to_upstream));
    return build_member(flow, "to_client", build_way(&row->to_client));
}

static json_t *build_flow(const struct flow_row *row) {
    char id[FLOW_ID_TEXT_MAX], peer[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX], dscp[DSCP_TEXT_MAX];
    json_t *flow = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", flow_id_format(row->id, id), "listener",
                             row->listener->name, "protocol", row->datagrams ? "udp" : "tcp", "state",
                             flow_state_name(row->state), "peer", address_format(&row->client.peer, peer), "local",
                             address_format(&row->client.local, local), "dscp", dscp_format(row->client.dscp, dscp));

    flow = build_member(flow, "age_usec", build_number(row->age_usec));
    flow = build_member(flow, "idle_usec", build_number(row->idle_usec));
    flow = add_leg(flow, &row->client);
    flow = build_member(flow, "rx_payload_bytes", build_number(row->rx_payload_bytes));
    flow = build_member(flow, "tx_payload_bytes", build_number(row->tx_payload_bytes));
    flow = build_member(flow, "payloads", build_number(row->payloads));
    flow = build_member(flow, "compression", build_compression(row));
    flow = build_member(flow, "decompression", json_string(coding_info(row->decode_id)->name));
    flow = build_member(flow, "overrides", build_overrides(row->set));
    return row->relayed ? add_relay(flow, row) : flow;
}

static void on_rows(struct flow_row *rows, size_t n, struct listing_cursor next, bool more, void *userdata);

static void sweep_on(struct flows_job *j) {
    j->sweeping = true;
    if (sweep_list(j->job.control->net, &j->selector, j->cursor, on_rows, j) >= 0)
        return;
    call_drop(j->job.call);
    job_end(&j->job);
}

static void on_rows(struct flow_row *rows, size_t n, struct listing_cursor next, bool more, void *userdata) {
    struct flows_job *j = userdata;
    json_t *flows = json_array();

    j->sweeping = false;
    j->cursor = next;
    j->n_flows += n;
    for (size_t i = 0; i < n; i++) {
        if (!j->gone)
            flows = build_add(flows, build_flow(&rows[i]));
        flow_row_done(&rows[i]);
    }
    if (more && !j->gone) {
        bool sent = n > 0, go_on = !sent || call_reply_more(j->job.call, json_pack("{s:o}", "flows", flows));

        if (!sent)
            json_decref(flows);
        if (go_on)
            sweep_on(j);
        return;
    }
    if (j->gone || (j->request.flow && j->n_flows == 0)) {
        json_decref(flows);
        if (j->gone)
            call_drop(j->job.call);
        else
            error_no_such_flow(j->job.call, j->request.flow);
    } else
        call_reply(j->job.call, json_pack("{s:o}", "flows", flows));
    job_end(&j->job);
}

static void on_drained(_unused_ struct call *call, void *userdata) {
    sweep_on(userdata);
}

static void on_gone(struct call *call, void *userdata) {
    struct flows_job *j = userdata;

    j->gone = true;
    if (j->sweeping)
        return;
    call_drop(call);
    job_end(&j->job);
}

void handle_flows(struct call *call, const void *parameters, void *userdata) {
    struct flows_job *j = begin(userdata, call, parameters);

    if (!j)
        return;
    call_watch(call, on_drained, on_gone, j);
    sweep_on(j);
}

static void log_closed(const struct flows_job *j, unsigned n_flows) {
    const struct flows_request *p = &j->request;
    struct peer_text who = peer_text(call_peer(j->job.call));

    event_log(EVENT_FLOWS_CLOSED,
              EVENT_FIELDS({ FIELD_UID, who.uid }, { FIELD_PID, who.pid }, { FIELD_LISTENER, p->listener },
                           { FIELD_FLOW, p->flow }, { FIELD_SCOPE, p->source }),
              "closed %u flow%s%s%s%s%s%s%s for uid %s, pid %s", n_flows, n_flows == 1 ? "" : "s",
              p->listener ? " of " : "", p->listener ? p->listener : "", p->flow ? ", flow " : "",
              p->flow ? p->flow : "", p->source ? ", source " : "", p->source ? p->source : "", who.uid, who.pid);
}

static void on_closed(unsigned n_flows, void *userdata) {
    struct flows_job *j = userdata;

    if (n_flows > 0)
        log_closed(j, n_flows);
    if (n_flows == 0 && j->request.flow)
        error_no_such_flow(j->job.call, j->request.flow);
    else
        call_reply(j->job.call, json_pack("{s:o}", "closed", build_number(n_flows)));
    job_end(&j->job);
}

void handle_close(struct call *call, const void *parameters, void *userdata) {
    const struct flows_request *p = parameters;
    struct control *c = userdata;
    struct flows_job *j;

    if (!p->listener && !p->flow && !p->source) {
        error_invalid_selector(call, "", "nothing says which flows: give a listener, a flow or a source");
        return;
    }
    j = begin(c, call, p);
    if (!j)
        return;
    if (sweep_close(c->net, &j->selector, true, on_closed, j) < 0) {
        call_drop(call);
        job_end(&j->job);
    }
}
