/* SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "buffers.h"
#include "dscp.h"
#include "handler.h"
#include "option.h"

/* Whether an error only says that the connection is no more. */
static bool gone(const struct qos_socket *s, int error) {
    struct tcp_info info = { 0 };
    socklen_t size = sizeof(info);

    if (error == -ECONNRESET || error == -ENOTCONN || error == -EPIPE)
        return true;
    return error == -EINVAL && s->type == SOCK_STREAM && !s->listening &&
           getsockopt(s->fd, SOL_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE;
}

static void explain_buffer(const struct qos_socket *s, const struct handler *h, const struct settings *set,
                           const struct qos_baseline *base, struct qos_result *result) {
    const struct buffer *b = buffer_by_setting(h->id);
    int64_t asked = 0;

    if (!b || !result->has_effective)
        return;
    if (!handler_inherits(h, set))
        asked = set->v[h->id].number;
    else if (base && buffer_decode(b, base, &asked) < 0)
        asked = 0;
    buffer_explain(s, b, asked, result);
}

void qos_apply_one(const struct qos_socket *s, enum setting_id id, const struct settings *set,
                   const struct qos_baseline *base, struct qos_result *ret) {
    const struct handler *h = handler_by_id(id);
    int r;

    *ret = (struct qos_result){ .outcome = QOS_NOT_APPLICABLE };
    if (!h || !handler_fits(s, h))
        return;
    r = handler_apply(s, h, set, base);
    if (r < 0 && gone(s, r))
        return;
    if (r < 0) {
        ret->outcome = QOS_FAILED;
        ret->error = r;
        return;
    }
    ret->outcome = QOS_APPLIED;
    ret->has_effective = handler_read(s, h, &ret->effective) == 0;
    explain_buffer(s, h, set, base, ret);
}

int qos_apply(const struct qos_socket *s, const struct settings *set, uint64_t mask, const struct qos_baseline *base,
              qos_each_fn each, void *userdata) {
    const struct handler *h;
    struct qos_result result;
    uint64_t all = mask;
    int r = 0;

    if (mask & SETTING_BIT(SETTING_DSCP))
        all |= SETTING_BIT(SETTING_PRIORITY);
    for (size_t i = 0; (h = handler_row(i)); i++) {
        if (!(all & SETTING_BIT(h->id)))
            continue;
        qos_apply_one(s, h->id, set, base, &result);
        all &= ~SETTING_BIT(h->id);
        if (result.outcome == QOS_FAILED && r == 0)
            r = result.error;
        if (each && (mask & SETTING_BIT(h->id)))
            each(h->id, &result, userdata);
    }

    /* What is left is the daemon's own. */
    result = (struct qos_result){ .outcome = QOS_NOT_APPLICABLE };
    for (enum setting_id id = 0; each && id < SETTING_MAX; id++)
        if (all & SETTING_BIT(id))
            each(id, &result, userdata);
    return r;
}

/* An accepted socket has the listener's TOS, so setting the same makes the kernel derive no priority from it; and it
 * has priority 0, whatever the listener's is. */
static int inherit_accepted_priority(const struct qos_socket *s, const struct settings *set,
                                     const struct qos_baseline *base) {
    uint64_t tos = base->option[QOS_OPTION_TOS], priority;
    int r;

    if (!handler_inherits(handler_by_id(SETTING_DSCP), set))
        tos = dscp_to_tos((uint8_t) set->v[SETTING_DSCP].number);
    priority = priority_inherited(base, tos);
    r = priority == 0 ? 0 : option_set(s, QOS_OPTION_PRIORITY, priority);
    return r == -EPERM ? 0 : r; /* nobody asked for it: the listener alone has it */
}

int qos_apply_accepted(const struct qos_socket *s, const struct settings *set, const struct qos_baseline *base) {
    const struct handler *h;
    int r = 0, q;

    for (size_t i = 0; (h = handler_row(i)); i++) {
        if (handler_inherits(h, set) || !(setting_by_id(h->id)->carriers & CARRIER_STREAM))
            continue;
        q = h->set(s, h, &set->v[h->id]);
        r = r < 0 ? r : q;
    }

    if (base && handler_inherits(handler_by_id(SETTING_PRIORITY), set)) {
        q = inherit_accepted_priority(s, set, base);
        r = r < 0 ? r : q;
    }
    return r;
}

int qos_read(const struct qos_socket *s, enum setting_id id, union setting_value *ret) {
    const struct handler *h = handler_by_id(id);

    return h && handler_fits(s, h) ? handler_read(s, h, ret) : -EOPNOTSUPP;
}
