/* SPDX-License-Identifier: MIT */
/*
 * Socket addresses and address prefixes as text and back. Pure functions, any thread; no name resolution.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "macro.h"

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
    socklen_t size;
};

#define ADDRESS_TEXT_MAX 80 /* "[v6%scope]:port", NUL included */

/* "127.0.0.1:7000", "[::1]:7000", "[fe80::1%eth0]:7000". Returns 0 or -EINVAL. */
int address_parse(const char *text, struct address *ret) _must_check_;

/* Without a port, which becomes 0: "127.0.0.1", "::1". 0 or -EINVAL. */
int address_parse_host(const char *text, struct address *ret) _must_check_;

/* The inverse; a v4-mapped IPv6 address prints as IPv4. Returns `buf`. */
const char *address_format(const struct address *a, char buf[static ADDRESS_TEXT_MAX]);
/* The same without the port and the brackets. */
const char *address_format_host(const struct address *a, char buf[static ADDRESS_TEXT_MAX]);

/* From what accept() and recvmsg() give. Other families than AF_INET and AF_INET6: -EAFNOSUPPORT. */
int address_from_sockaddr(const struct sockaddr *sa, socklen_t size, struct address *ret) _must_check_;

/* The 16 bytes of the IPv6 form, IPv4 as v4-mapped: the key of admission tables and prefix lists. */
void address_key(const struct address *a, uint8_t ret_key[static 16]);

bool address_is_v4_mapped(const struct address *a);

/* A `listen` entry: "tcp:127.0.0.1:7000", "udp:[::]:7000". ret_type is SOCK_STREAM or SOCK_DGRAM. 0 or -EINVAL. */
int address_parse_endpoint(const char *text, int *ret_type, struct address *ret) _must_check_;

/* A prefix in the v4-mapped IPv6 space: "10.0.0.0/8" has length 104. A bare address is a full-length prefix. */
struct cidr {
    uint8_t key[16]; /* host bits are zero */
    uint8_t length;  /* 0-128 */
};

/* "10.0.0.0/8", "2001:db8::/32", "192.0.2.1". Bits set behind the prefix are an error: they are nearly always a slip.
 * 0 or -EINVAL. */
int cidr_parse(const char *text, struct cidr *ret) _must_check_;
const char *cidr_format(const struct cidr *c, char buf[static ADDRESS_TEXT_MAX]);
/* An IPv4 (v4-mapped) key is only in IPv4 prefixes: "::/0" is all of IPv6, not everybody. */
bool cidr_contains(const struct cidr *c, const uint8_t key[static 16]);

/* An immutable list, shared between threads by an atomic reference count. */
struct cidr_list {
    unsigned refs;
    size_t n;
    struct cidr items[];
};

#define CIDR_LIST_MAX 1024

/* Comma- or space-separated prefixes, kept in order; empty or "none" is the empty list, which never needs memory.
 * 0, -EINVAL (ret_bad, if not NULL, gets a copy of the word at fault, owned by the caller), -E2BIG over CIDR_LIST_MAX,
 * -ENOMEM. */
int cidr_list_parse(const char *text, struct cidr_list **ret, char **ret_bad) _must_check_;
/* Canonical text: items joined by ",", "none" when empty. Owned by the caller; NULL on -ENOMEM. */
char *cidr_list_format(const struct cidr_list *l) _must_check_;
struct cidr_list *cidr_list_ref(struct cidr_list *l);
struct cidr_list *cidr_list_unref(struct cidr_list *l); /* accepts NULL, returns NULL */
bool cidr_list_equal(const struct cidr_list *a, const struct cidr_list *b);
/* The length of the longest prefix that contains the key, or -1. */
int cidr_list_match(const struct cidr_list *l, const uint8_t key[static 16]);
