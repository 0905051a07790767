/* SPDX-License-Identifier: MIT */
/* Upstreams and states of target forward from text. Whatever fails, fails the test. */
#pragma once

#include "forward.h"

struct upstream *make_upstream(const char *text);
struct address make_address(const char *text);
/* The key that a source's address has. */
void make_key(const char *address, uint8_t ret[static 16]);

/* Keys of target forward with these upstreams, separated by spaces. */
void make_conf(struct config_forward *ret, const char *upstreams);
void make_conf_done(struct config_forward *conf);

/* A state as the target makes it, in the place of `before` (may be NULL); end it with drop_forward(). */
struct forward *make_forward(const struct config_forward *conf, struct forward *before);
struct forward *make_forward_of(const char *upstreams, struct forward *before);
void drop_forward(struct forward *f);
