/* SPDX-License-Identifier: MIT */
/*
 * Short connections through a relay, so many at a time, from many source addresses: connect, a request, the reply, the
 * end. The other half of this program is the relay's upstream, which answers and closes at once.
 *
 *   load-churn --port N --sink N [--connections N] [--size BYTES] [--msec N]
 */
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

#define EVENTS 128
#define N_SOURCES 1000
#define FIRST_SOURCE 0x7f000101u /* 127.0.1.1 */
#define SIZE_MAX_BYTES 4096
#define BACKLOG 4096

/* Of either half. */
struct connection {
    int fd;
    bool is_client;
    size_t received;
    uint64_t begun_nsec;
};

static uint64_t port, sink, n_connections = 50, size = 64, msec = 2000;
static int epoll_fd, listen_fd;
static uint8_t request[SIZE_MAX_BYTES];
static struct latencies latencies;

static void set_number(int fd, int level, int option, int value, const char *what) {
    bench_check(setsockopt(fd, level, option, &value, sizeof(value)), what);
}

static void watch(struct connection *c) {
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

    bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event), "epoll_ctl");
}

static void send_whole(int fd) {
    if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t) size)
        bench_die("send: %s", strerror(errno));
}

/* ---- clients ---- */

static void begin(struct connection *c, uint64_t now_nsec) {
    static uint32_t next;
    struct sockaddr_in to = bench_loopback((uint16_t) port), from = bench_loopback(0);

    from.sin_addr.s_addr = htonl(FIRST_SOURCE + next);
    next = (next + 1) % N_SOURCES;
    *c = (struct connection){ .is_client = true, .begun_nsec = now_nsec };
    c->fd = bench_check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    set_number(c->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT");
    bench_check(bind(c->fd, (struct sockaddr *) &from, sizeof(from)), "bind");
    bench_check(connect(c->fd, (struct sockaddr *) &to, sizeof(to)), "connect");
    send_whole(c->fd);
    watch(c);
}

/* The next one takes its place when the reply and the end are here. */
static void go_on(struct connection *c, const uint8_t *data, ssize_t n) {
    uint64_t now_nsec;

    if (n > 0) {
        if (c->received + (size_t) n > size || memcmp(data, request + c->received, (size_t) n) != 0)
            bench_die("another reply came than was sent");
        c->received += (size_t) n;
        return;
    }
    if (c->received < size)
        bench_die("a connection ended after %zu bytes of the reply", c->received);
    close_fd(c->fd);
    now_nsec = bench_now_nsec();
    latencies_add(&latencies, now_nsec - c->begun_nsec);
    begin(c, now_nsec);
}

/* ---- the upstream ---- */

static void answer(struct connection *c, ssize_t n) {
    c->received += (size_t) n;
    if (n > 0 && c->received < size)
        return;
    if (c->received == size)
        send_whole(c->fd);
    close_fd(c->fd);
    free(c);
}

static void take(struct connection *c) {
    uint8_t data[SIZE_MAX_BYTES];
    ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        bench_die("recv: %s", strerror(errno));
    if (c->is_client)
        go_on(c, data, n);
    else
        answer(c, n);
}

/* Most bring their request along. */
static void accept_some(void) {
    int fd;

    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct connection *c = bench_alloc(sizeof(*c));

        c->fd = fd;
        watch(c);
        take(c);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        bench_die("accept4: %s", strerror(errno));
}

static void open_upstream(void) {
    struct sockaddr_in sa = bench_loopback((uint16_t) sink);
    struct epoll_event event = { .events = EPOLLIN };

    listen_fd = bench_check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
    set_number(listen_fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    bench_check(bind(listen_fd, (struct sockaddr *) &sa, sizeof(sa)), "bind");
    bench_check(listen(listen_fd, BACKLOG), "listen");
    bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event), "epoll_ctl");
}

static void run(struct connection *clients, uint64_t end_nsec) {
    struct epoll_event events[EVENTS];

    for (uint64_t i = 0; i < n_connections; i++)
        begin(&clients[i], bench_now_nsec());
    while (bench_now_nsec() < end_nsec) {
        int n = bench_check(epoll_wait(epoll_fd, events, EVENTS, 5000), "epoll_wait");

        if (n == 0)
            bench_die("nothing happened for 5 seconds");
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                take(events[i].data.ptr);
            else
                accept_some();
    }
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {
        { "port", &port }, { "sink", &sink }, { "connections", &n_connections },
        { "size", &size }, { "msec", &msec }, { NULL, NULL },
    };
    struct connection *clients;
    uint64_t begun_nsec;

    bench_options(argc, argv, options);
    if (size < 14 || size > sizeof(request))
        bench_die("--size is out of range");
    bench_fill_request(request, size);
    clients = bench_alloc(n_connections * sizeof(*clients));
    epoll_fd = bench_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    open_upstream();
    bench_ready();
    begun_nsec = bench_now_nsec();
    run(clients, begun_nsec + msec * USEC_PER_MSEC * NSEC_PER_USEC);
    bench_result("{\"payloads\": %llu, \"seconds\": %.6f, \"p99_usec\": %.1f}", (unsigned long long) latencies.n,
                 (double) (bench_now_nsec() - begun_nsec) / (double) NSEC_PER_SEC,
                 latencies_quantile_usec(&latencies, 0.99));
    free(clients);
    return EXIT_SUCCESS;
}
