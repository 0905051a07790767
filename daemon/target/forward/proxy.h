/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol's header, versions 1 (text) and 2 (binary): who the client is and whom it asked for. Pure functions.
 * The HAProxy project's document "The PROXY protocol", sections 2.1 and 2.2.
 */
#pragma once

#include <stdint.h>

#include "address.h"

#define PROXY_HEADER_MAX 108 /* of version 1, the longest that we write */
#define PROXY_READ_MAX 536   /* the longest that we read: version 2 with extensions */

/* Writes a header; returns its size. Families that differ are written as IPv6. */
size_t proxy_write_v1(uint8_t buf[static PROXY_HEADER_MAX], const struct address *from, const struct address *to);
size_t proxy_write_v2(uint8_t buf[static PROXY_HEADER_MAX], const struct address *from, const struct address *to);

/* Reads the header of either version at the beginning of `data`. Its size; -EAGAIN: it is not whole yet; -EBADMSG: it is
 * none. *ret_known is false when it names no addresses (LOCAL, UNKNOWN, other families): the connection's own count. */
int proxy_read(const uint8_t *data, size_t size, bool *ret_known, struct address *ret_from,
               struct address *ret_to) _must_check_;
