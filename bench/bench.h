/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share. They talk over 127.0.0.1, have no state beyond a run, and end with a line on
 * standard error and status 1 at the first thing that goes wrong.
 *
 * A load generator and the script that runs it (run.py): it prints "ready", waits for a line, does its work, prints one
 * line of JSON, and holds its connections until its standard input ends.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#include "macro.h"

#define ACK_REPLY "Received"

noreturn void bench_die(const char *format, ...) _printf_(1, 2);
/* The result of a system call that must work: dies naming `what` when it is negative. */
int bench_check(int result, const char *what);
/* Memory or death. */
void *bench_alloc(size_t size);

/* "--name NUMBER" on the command line; ends with a NULL name. */
struct bench_option {
    const char *name;
    uint64_t *value;
};
void bench_options(int argc, char **argv, const struct bench_option *options);

/* Monotonic. */
uint64_t bench_now_nsec(void);

void bench_ready(void);
/* Prints the result and waits for the end of standard input. */
void bench_result(const char *format, ...) _printf_(1, 2);

struct sockaddr_in bench_loopback(uint16_t port);
/* Sockets as every server here and its peers have them: the same buffers, no Nagle. */
int bench_listen(uint16_t port);
int bench_bind_udp(uint16_t port);
int bench_connect(int type, uint16_t port);

/* A request as every peer understands it: the first 14 bytes are the header of a sockperf ping (sequence number, flags
 * client and pong, length; big endian), without which `sockperf server` does not answer. size >= 14. */
void bench_fill_request(uint8_t *data, size_t size);

/* Text as logs have it, always the same. */
void bench_fill_text(uint8_t *data, size_t size);
/* Compresses n payloads one after the other, each flushed so that it can be decoded without those before it: after the
 * two bytes of zlib's header they can be sent in any order and number. frames[i] receives the i-th, sizes[i] its size;
 * the first one lacks the header. */
void bench_compress_frames(const uint8_t *text, unsigned n, size_t size, int level, uint8_t **frames, size_t *sizes);

/* How long requests took: counted in classes of 3 %. */
#define LATENCY_CLASSES 2048
struct latencies {
    uint64_t n, count[LATENCY_CLASSES];
};
void latencies_add(struct latencies *l, uint64_t nsec);
/* The time that this share (0..1) of the requests did not exceed, in us; 0 if there were none. */
double latencies_quantile_usec(const struct latencies *l, double share);
