/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <errno.h>
#include <stdio.h>

#include "bind.h"
#include "event.h"

/* ---- making a plan ---- */

struct making {
    struct plan *plan;
    const struct config *config;
    struct config_faults *faults;
    bool failed;
};

static void fault(struct making *m, const struct config_listener *conf, const struct config_where *where,
                  const char *key, const char *text) {
    char path[CONFIG_NAME_MAX + 32];

    snprintf(path, sizeof(path), "listeners.%s%s%s", conf->name, key ? "." : "", key ? key : "");
    config_faults_add(m->faults, where, path, "%s", text ? text : "out of memory");
    m->failed = true;
}

static int add_endpoint(struct listener *l, struct endpoint *e) {
    struct endpoint **list = reallocarray(l->endpoints, l->n_endpoints + 1, sizeof(*list));

    if (!list)
        return -ENOMEM;
    l->endpoints = list;
    l->endpoints[l->n_endpoints++] = e;
    return 0;
}

static void assign_worker(struct net *n, struct endpoint *e) {
    e->worker = n->next_worker++ % n->n_workers;
}

static bool has_passed(const struct listener *l) {
    for (size_t i = 0; i < l->n_endpoints; i++)
        if (l->endpoints[i]->passed)
            return true;
    return false;
}

/* Passed sockets of the listener's name. They stay in the list of unclaimed ones until commit. */
static int claim(struct making *m, struct plan_listener *pl) {
    struct net *n = m->plan->net;

    for (size_t i = 0; i < n->n_unclaimed; i++) {
        struct endpoint *e = n->unclaimed[i];
        _cleanup_free_ char *reason = NULL;

        if (!streq(e->name, pl->conf->name))
            continue;
        if (endpoint_prepare(e, pl->conf->name, &pl->view->set->settings, &reason) < 0)
            fault(m, pl->conf, &pl->conf->where, NULL, reason);
        e->fresh = true;
        assign_worker(n, e);
        if (add_endpoint(pl->listener, endpoint_ref(e)) < 0) {
            endpoint_unref(e);
            return -ENOMEM;
        }
    }
    return 0;
}

/* One that no other entry has kept: with port 0 several entries read the same. */
static struct endpoint *find_bound(const struct listener *l, const char *text) {
    for (size_t i = 0; i < l->n_endpoints; i++)
        if (l->endpoints[i]->dropped && streq(l->endpoints[i]->text, text))
            return l->endpoints[i];
    return NULL;
}

static bool is_any(const struct address *a) {
    return a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr == INADDR_ANY
                                      : IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

static bool overlap(const struct address *a, const struct address *b) {
    uint8_t key_a[16], key_b[16];

    address_key(a, key_a);
    address_key(b, key_b);
    /* The port is at the same place in both families. */
    return a->in.sin_port == b->in.sin_port && (is_any(a) || is_any(b) || memcmp(key_a, key_b, sizeof(key_a)) == 0);
}

/* Who of us holds the address, perhaps to give it up with this very plan: sockets are bound before anything is closed. */
static const struct endpoint *address_holder(const struct net *n, const struct config_listen *wanted,
                                             const struct listener **ret_listener) {
    for (size_t i = 0; i < n->n_listeners; i++)
        for (size_t j = 0; j < n->listeners[i]->n_endpoints; j++) {
            const struct endpoint *e = n->listeners[i]->endpoints[j];

            if (!e->fresh && e->socket.type == wanted->type && overlap(&e->address, &wanted->address)) {
                *ret_listener = n->listeners[i];
                return e;
            }
        }
    return NULL;
}

static void bind_fault(struct making *m, struct plan_listener *pl, const struct config_listen *wanted, int error,
                       const char *reason) {
    const struct listener *listener;
    const struct endpoint *holder = error == -EADDRINUSE ? address_holder(m->plan->net, wanted, &listener) : NULL;
    _cleanup_free_ char *text = NULL;
    int r;

    if (holder)
        r = asprintf(&text, "%s: %s: listener '%s' has %s; what a reload frees, the next one can bind", wanted->text,
                     reason ? reason : strerror(-error), listener->name, holder->text);
    else
        r = asprintf(&text, "%s: %s", wanted->text, reason ? reason : strerror(-error));
    fault(m, pl->conf, &pl->conf->where_listen, "listen", r < 0 ? NULL : text);
}

static int bind_missing(struct making *m, struct plan_listener *pl) {
    struct listener *l = pl->listener;

    for (size_t i = 0; i < l->n_endpoints; i++)
        l->endpoints[i]->dropped = true;
    for (size_t i = 0; i < pl->conf->n_listen; i++) {
        struct endpoint *e = find_bound(l, pl->conf->listen[i].text);
        _cleanup_free_ char *reason = NULL;
        int r;

        if (e) {
            e->dropped = false;
            continue;
        }
        r = endpoint_bind(&pl->conf->listen[i], pl->conf->name, &pl->view->set->settings, &e, &reason);
        if (r < 0) {
            bind_fault(m, pl, &pl->conf->listen[i], r, reason);
            continue;
        }
        assign_worker(m->plan->net, e);
        r = add_endpoint(l, e);
        if (r < 0) {
            endpoint_unref(e);
            return r;
        }
    }
    return 0;
}

static int find_sockets(struct making *m, struct plan_listener *pl) {
    int r = claim(m, pl);

    if (r < 0 || has_passed(pl->listener))
        return r;
    if (pl->conf->n_listen == 0) {
        fault(m, pl->conf, &pl->conf->where, NULL,
              "no socket: systemd passed none of this name (FileDescriptorName= of a socket unit), and there is no "
              "listen = [ \"tcp:ADDRESS:PORT\" ] entry");
        return 0;
    }
    if (m->config->daemon.exit_on_idle_usec > 0)
        fault(m, pl->conf, &pl->conf->where_listen, "listen",
              "systemd passed no socket of this name, and with exit_on_idle nothing would start the daemon again for "
              "one "
              "that it binds itself");
    return bind_missing(m, pl);
}

static int plan_listener(struct making *m, const struct config_listener *conf, plan_settings_fn settings,
                         void *userdata) {
    struct plan_listener *pl = &m->plan->listeners[m->plan->n_listeners];
    struct net *n = m->plan->net;
    struct effective *set;
    struct target *target;
    int r;

    pl->conf = conf;
    pl->listener = net_listener(n, conf->name);
    pl->added = !pl->listener;
    if (pl->listener) {
        listener_ref(pl->listener);
    } else {
        r = listener_new(conf->name, n->n_workers, &pl->listener);
        if (r < 0)
            return r;
    }
    m->plan->n_listeners++;
    r = target_new(net_target(n, conf->target), conf, n->n_workers, pl->added ? NULL : pl->listener->view->target,
                   &target);
    if (r < 0)
        return r;
    set = settings(conf, userdata);
    pl->view = set ? listener_view_new(pl->listener, set, target, frame_ops(conf->framing)) : NULL;
    effective_unref(set);
    target_unref(target);
    return pl->view ? find_sockets(m, pl) : -ENOMEM;
}

static int find_removed(struct plan *p, const struct config *c) {
    struct net *n = p->net;

    p->removed = calloc(n->n_listeners + 1, sizeof(*p->removed));
    if (!p->removed)
        return -ENOMEM;
    for (size_t i = 0; i < n->n_listeners; i++)
        if (!n->listeners[i]->draining && !config_listener(c, n->listeners[i]->name))
            p->removed[p->n_removed++] = n->listeners[i];
    return 0;
}

/* Everything for which the commit could be short of memory. */
static int reserve(struct plan *p) {
    struct net *n = p->net;
    struct listener **listeners;
    struct endpoint **unclaimed;
    size_t released = 0;

    listeners = reallocarray(n->listeners, n->n_listeners + p->n_listeners + 1, sizeof(*listeners));
    if (!listeners)
        return -ENOMEM;
    n->listeners = listeners;
    for (size_t i = 0; i < p->n_removed; i++)
        released += p->removed[i]->n_endpoints;
    unclaimed = reallocarray(n->unclaimed, n->n_unclaimed + released + 1, sizeof(*unclaimed));
    if (!unclaimed)
        return -ENOMEM;
    n->unclaimed = unclaimed;
    return task_prepare(&p->task, n);
}

int plan_new(struct net *n, const struct config *c, plan_settings_fn settings, void *userdata,
             struct config_faults *faults, struct plan **ret) {
    struct making m = { .config = c, .faults = faults };
    int r;

    m.plan = calloc(1, sizeof(*m.plan));
    if (!m.plan)
        return -ENOMEM;
    m.plan->net = n;
    m.plan->listeners = calloc(MAX(c->n_listeners, (size_t) 1), sizeof(*m.plan->listeners));
    r = m.plan->listeners ? find_removed(m.plan, c) : -ENOMEM;
    for (size_t i = 0; i < c->n_listeners && r >= 0; i++)
        r = plan_listener(&m, &c->listeners[i], settings, userdata);
    if (r >= 0)
        r = m.failed ? -EINVAL : reserve(m.plan);
    if (r < 0) {
        plan_free(m.plan);
        return r;
    }
    *ret = m.plan;
    return 0;
}

/* ---- undoing one ---- */

/* Forgets the endpoints for which `leaves` is set. */
static void forget(struct listener *l, bool fresh) {
    size_t kept = 0;

    for (size_t i = 0; i < l->n_endpoints; i++) {
        struct endpoint *e = l->endpoints[i];
        unsigned failed;

        if (fresh ? !e->fresh : !e->dropped) {
            l->endpoints[kept++] = e;
            continue;
        }
        e->fresh = e->dropped = false;
        /* Flows may hold it for its baseline; the socket itself goes now. */
        if (e->passed)
            (void) qos_baseline_restore(&e->socket, &e->baseline, &failed);
        else
            endpoint_close(e);
        endpoint_unref(e);
    }
    l->n_endpoints = kept;
}

struct plan *plan_free(struct plan *p) {
    if (!p)
        return NULL;
    for (size_t i = 0; i < p->n_listeners; i++) {
        struct plan_listener *pl = &p->listeners[i];

        forget(pl->listener, true);
        for (size_t j = 0; j < pl->listener->n_endpoints; j++)
            pl->listener->endpoints[j]->dropped = false;
        listener_view_unref(pl->view);
        listener_unref(pl->listener);
    }
    task_end(&p->task);
    free(p->listeners);
    free(p->removed);
    free(p);
    return NULL;
}

/* ---- carrying it out ---- */

static bool served_by(const struct endpoint *e, const struct worker *w) {
    return e->socket.type == SOCK_STREAM || e->worker == w->index;
}

static void serve(struct worker *w, struct endpoint *e, struct listener_view *view) {
    int r = worker_add_endpoint(w, e, view);

    if (r < 0)
        event_log(EVENT_INTERNAL_ERROR, EVENT_FIELDS({ FIELD_LISTENER, view ? view->listener->name : e->name }),
                  "worker %u cannot watch %s: %s", w->index, e->text, strerror(-r));
}

static void publish_listener(struct worker *w, const struct plan_listener *pl) {
    worker_set_view(w, pl->view);
    for (size_t i = 0; i < pl->listener->n_endpoints; i++) {
        struct endpoint *e = pl->listener->endpoints[i];

        if (e->dropped)
            worker_remove_endpoint(w, e);
        else if (e->fresh && served_by(e, w))
            serve(w, e, pl->view);
    }
}

/* Worker thread. The main thread leaves the plan and its listeners' endpoints alone until every worker has reported. */
static void publish(struct task *task, struct worker *w) {
    struct plan *p = CONTAINER_OF(task, struct plan, task);

    for (size_t i = 0; i < p->n_removed; i++)
        for (size_t j = 0; j < p->removed[i]->n_endpoints; j++)
            worker_remove_endpoint(w, p->removed[i]->endpoints[j]);
    for (size_t i = 0; i < p->n_listeners; i++)
        publish_listener(w, &p->listeners[i]);
    if (w->index != 0)
        return;
    for (size_t i = 0; i < p->net->n_unclaimed; i++)
        if (p->net->unclaimed[i]->socket.type == SOCK_STREAM)
            serve(w, p->net->unclaimed[i], NULL);
}

static void log_unclaimed(const struct endpoint *e) {
    event_log(EVENT_SOCKET_UNCLAIMED, EVENT_FIELDS({ FIELD_LISTENER, e->name }),
              "passed socket %s, named '%s', belongs to no listener: %s; a listener of that name claims it on reload",
              e->text, e->name, e->socket.type == SOCK_STREAM ? "connections are reset" : "datagrams are not read");
}

/* Passed sockets of a removed listener are kept, unclaimed: closing our copy would leave clients hanging in systemd's. */
static void release_endpoints(struct net *n, struct listener *l) {
    for (size_t i = 0; i < l->n_endpoints; i++) {
        struct endpoint *e = l->endpoints[i];

        if (e->passed) {
            n->unclaimed[n->n_unclaimed++] = endpoint_ref(e);
            log_unclaimed(e);
        }
        e->dropped = true;
    }
}

static void take_claimed(struct net *n) {
    size_t kept = 0;

    for (size_t i = 0; i < n->n_unclaimed; i++)
        if (n->unclaimed[i]->fresh)
            endpoint_unref(n->unclaimed[i]);
        else
            n->unclaimed[kept++] = n->unclaimed[i];
    n->n_unclaimed = kept;
}

static void adopt_view(struct plan_listener *pl) {
    struct listener *l = pl->listener;

    listener_view_unref(l->view);
    l->view = listener_view_ref(pl->view);
    if (pl->added)
        event_log(EVENT_LISTENER_ADDED, EVENT_FIELDS({ FIELD_LISTENER, l->name }),
                  "listener %s serves %zu socket%s with target %s", l->name, l->n_endpoints,
                  l->n_endpoints == 1 ? "" : "s", pl->conf->target);
    for (size_t i = 0; i < l->n_endpoints; i++)
        l->endpoints[i]->fresh = false;
}

static void committed(struct task *task) {
    struct plan *p = CONTAINER_OF(task, struct plan, task);

    for (size_t i = 0; i < p->n_removed; i++)
        forget(p->removed[i], false);
    for (size_t i = 0; i < p->n_listeners; i++) {
        adopt_view(&p->listeners[i]);
        forget(p->listeners[i].listener, false);
    }
    p->done(p->userdata);
}

void plan_commit(struct plan *p, plan_done_fn done, void *userdata) {
    struct net *n = p->net;

    p->done = done;
    p->userdata = userdata;
    p->task.begin = publish;
    p->task.done = committed;
    take_claimed(n);
    for (size_t i = 0; i < n->n_unclaimed && n->n_listeners == 0; i++)
        log_unclaimed(n->unclaimed[i]);
    for (size_t i = 0; i < p->n_removed; i++) {
        p->removed[i]->draining = true;
        release_endpoints(n, p->removed[i]);
    }
    for (size_t i = 0; i < p->n_listeners; i++)
        if (p->listeners[i].added)
            n->listeners[n->n_listeners++] = listener_ref(p->listeners[i].listener);
    task_launch(&p->task, n);
}
