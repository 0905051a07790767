/* SPDX-License-Identifier: MIT */
/*
 * The raw socket options behind the settings: one table says where each lives and which sockets have it. Values are as
 * the kernel reports them (buffers doubled, pacing unlimited as all ones). Private to this room. Any thread.
 *
 * Source: ip(7), ipv6(7), tcp(7), socket(7).
 */
#pragma once

#include "qos.h"

#define OPTION_BIT(o) (UINT32_C(1) << (o))
#define OPTION_PACING_UNLIMITED UINT64_MAX

const char *option_name(enum qos_option o);
/* Whether a value can be held by the option. */
bool option_in_range(enum qos_option o, uint64_t value);
/* Whether sockets of this domain and type have it. */
bool option_fits(const struct qos_socket *s, enum qos_option o);

/* 0, -EOPNOTSUPP when the socket has no such option, -errno. */
int option_get(const struct qos_socket *s, enum qos_option o, uint64_t *ret) _must_check_;
/* The same errors. Success also when the kernel refuses for want of a capability what is so already. A buffer is forced
 * where that is allowed, else capped by the kernel without an error; it is locked afterwards. */
int option_set(const struct qos_socket *s, enum qos_option o, uint64_t value) _must_check_;
/* A TCP socket keeps its own ECN bits: they do not count. */
bool option_equal(const struct qos_socket *s, enum qos_option o, uint64_t a, uint64_t b);

/* The congestion control algorithm, the only option that is a text. */
int option_get_congestion(const struct qos_socket *s, char ret[static 16]) _must_check_;
int option_set_congestion(const struct qos_socket *s, const char *name) _must_check_;

/* A socket of the same kind, not bound and not connected: fd for the caller to close, or -errno. */
int option_scratch(const struct qos_socket *s) _must_check_;

/* Reads the options of `mask` (OPTION_BIT), and the congestion control when `congestion`. */
void baseline_capture(const struct qos_socket *s, uint32_t mask, bool congestion, struct qos_baseline *ret);
