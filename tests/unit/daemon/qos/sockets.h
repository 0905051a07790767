/* SPDX-License-Identifier: MIT */
/*
 * Real sockets on the loopback for these tests, settings from texts, and a child without capabilities.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "qos.h"

/* What connects to what. */
enum path { PATH_V4, PATH_V6, PATH_MAPPED, PATH_MAX };

struct connection {
    struct qos_socket listener, server;
    int client;
};

/* A new socket, neither bound nor connected. */
struct qos_socket make_socket(int domain, int type);
/* A listening TCP socket (AF_INET6: dual-stack). `receive_buffer` > 0 is set before listen(). */
struct qos_socket make_listener(enum path path, int receive_buffer);
/* A connecting socket, with `tos` set before it connects to the listener. */
int make_client(enum path path, const struct qos_socket *listener, uint8_t tos);
struct qos_socket accept_one(const struct qos_socket *listener);
/* The three together; close with connection_done(). */
void connection_make(struct connection *c, enum path path);
void connection_done(struct connection *c);
/* A bound UDP socket (AF_INET6: dual-stack) and one that is connected to it. */
void datagram_pair(enum path path, struct qos_socket *ret_receiver, int *ret_sender);

int get_int(int fd, int level, int optname);
void set_int(int fd, int level, int optname, int value);
void send_and_receive(int from, int to);

/* The defaults with the keys of "name=value" texts, NULL-terminated, laid on top. */
void settings_make(struct settings *ret, ...) __attribute__((sentinel));
/* The canonical text of a value equals. */
void assert_value(enum setting_id id, const union setting_value *v, const char *text);
/* The id of a name, and all ids that it is about: "dscp" is about both legs. */
uint64_t bit(const char *name);
uint64_t bits(const char *name);

/* The setting applied alone. */
struct qos_result apply_one(const struct qos_socket *s, const char *name, const char *text,
                            const struct qos_baseline *base);
void assert_applied(const struct qos_socket *s, const char *name, const char *text);

/* Skips the test when CAP_NET_ADMIN is missing. */
void need_net_admin(void);
/* Runs `fn` in a child without any capability; it returns 0, or CHECK() leaves it. */
void run_unprivileged(int (*fn)(void *arg), void *arg);
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Whether this kernel asks for a capability to raise SO_BUSY_POLL: newer ones do not. */
bool busy_poll_is_guarded(void);

/* The number in a file below /proc/sys. */
long read_sysctl(const char *path);
