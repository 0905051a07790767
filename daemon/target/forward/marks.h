/* SPDX-License-Identifier: MIT */
/*
 * dscp = "passthrough": the mark received on one leg of a relayed TCP flow becomes that of the other, by way of dscp_map.
 * What can be known of a received mark: the client's handshake on IPv4, the latest segment on IPv6, nothing of an IPv4
 * upstream. For datagrams it is known of each: forward_map_tos(). On the flow's worker.
 */
#pragma once

#include "forward.h"
#include "life.h"

static inline bool marks_pass(const struct settings *set) {
    return !settings_inherits(set, SETTING_DSCP) && set->v[SETTING_DSCP].number == DSCP_PASSTHROUGH;
}

/* A new upstream socket gets what the client's handshake brought, before it connects. */
void marks_begin(const struct flow *f, const struct qos_socket *upstream);
/* A leg has received: has its mark changed, the other leg's follows. */
void marks_follow(struct flow *f, bool client);
