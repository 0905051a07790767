/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define UDP_BUFFER_BYTES (1024 * 1024)
#define SUB_CLASSES 32 /* of each power of two */

void bench_die(const char *format, ...) {
    va_list args;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

int bench_check(int result, const char *what) {
    if (result < 0)
        bench_die("%s: %s", what, strerror(errno));
    return result;
}

void *bench_alloc(size_t size) {
    void *data = calloc(1, size);

    if (!data)
        bench_die("out of memory");
    return data;
}

static void set_option(const struct bench_option *options, const char *word, const char *value) {
    const struct bench_option *o = options;
    char *end = NULL;

    while (o->name && (strncmp(word, "--", 2) != 0 || !streq(word + 2, o->name)))
        o++;
    if (!o->name)
        bench_die("there is no option %s", word);
    if (value && *value >= '0' && *value <= '9')
        *o->value = strtoull(value, &end, 10);
    if (!end || *end)
        bench_die("%s needs a number", word);
}

void bench_options(int argc, char **argv, const struct bench_option *options) {
    for (int i = 1; i < argc; i += 2)
        set_option(options, argv[i], argv[i + 1]);
}

uint64_t bench_now_nsec(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * NSEC_PER_SEC + (uint64_t) ts.tv_nsec;
}

void bench_ready(void) {
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF)
        exit(EXIT_SUCCESS);
}

void bench_result(const char *format, ...) {
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    while (getchar() != EOF)
        ;
}

struct sockaddr_in bench_loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
}

static void set_number(int fd, int level, int option, int value, const char *what) {
    bench_check(setsockopt(fd, level, option, &value, sizeof(value)), what);
}

static int open_socket(int type) {
    int fd = bench_check(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");

    if (type == SOCK_STREAM) {
        set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    } else {
        set_number(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER_BYTES, "SO_RCVBUF");
        set_number(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER_BYTES, "SO_SNDBUF");
    }
    return fd;
}

int bench_listen(uint16_t port) {
    struct sockaddr_in sa = bench_loopback(port);
    int fd = open_socket(SOCK_STREAM);

    set_number(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    bench_check(bind(fd, (struct sockaddr *) &sa, sizeof(sa)), "bind");
    bench_check(listen(fd, 4096), "listen");
    return fd;
}

int bench_bind_udp(uint16_t port) {
    struct sockaddr_in sa = bench_loopback(port);
    int fd = open_socket(SOCK_DGRAM);

    bench_check(bind(fd, (struct sockaddr *) &sa, sizeof(sa)), "bind");
    return fd;
}

int bench_connect(int type, uint16_t port) {
    struct sockaddr_in sa = bench_loopback(port);
    int fd = open_socket(type);

    bench_check(connect(fd, (struct sockaddr *) &sa, sizeof(sa)), "connect");
    return fd;
}

void bench_fill_request(uint8_t *data, size_t size) {
    const uint16_t flags = htons(1 | 2);
    const uint32_t length = htonl((uint32_t) size);

    memset(data, 'x', size);
    memset(data, 0, 8);
    memcpy(data + 8, &flags, sizeof(flags));
    memcpy(data + 10, &length, sizeof(length));
}

static unsigned class_of(uint64_t nsec) {
    unsigned power;

    if (nsec < SUB_CLASSES)
        return (unsigned) nsec;
    power = 63 - (unsigned) __builtin_clzll(nsec) - 5; /* 5: log2(SUB_CLASSES) */
    return (power + 1) * SUB_CLASSES + (unsigned) (nsec >> power) - SUB_CLASSES;
}

static uint64_t end_of(unsigned class) {
    unsigned power;

    if (class < SUB_CLASSES)
        return class;
    power = class / SUB_CLASSES - 1;
    return ((uint64_t) (class % SUB_CLASSES + SUB_CLASSES + 1) << power) - 1;
}

void latencies_add(struct latencies *l, uint64_t nsec) {
    l->count[class_of(nsec)]++;
    l->n++;
}

double latencies_quantile_usec(const struct latencies *l, double share) {
    uint64_t wanted = (uint64_t) ((double) l->n * share), seen = 0;

    for (unsigned i = 0; i < LATENCY_CLASSES; i++) {
        seen += l->count[i];
        if (seen > 0 && seen >= wanted)
            return (double) end_of(i) / NSEC_PER_USEC;
    }
    return 0;
}
