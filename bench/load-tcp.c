/* SPDX-License-Identifier: MIT */
/*
 * Requests over many TCP connections, one outstanding on each: as many as the server answers in the time given.
 *
 *   load-tcp --port N [--connections N] [--size BYTES] [--reply BYTES] [--msec N]
 */
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

#define EVENTS 128

struct connection {
    int fd;
    uint64_t missing; /* bytes of the reply */
    uint64_t asked_nsec;
};

static uint64_t port, n_connections = 50, size = 64, reply_size = sizeof(ACK_REPLY) - 1, msec = 2000;
static struct latencies latencies;

static void ask(struct connection *c, const uint8_t *request, uint64_t now_nsec) {
    if (send(c->fd, request, size, MSG_NOSIGNAL) != (ssize_t) size)
        bench_die("send: %s", strerror(errno));
    c->missing = reply_size;
    c->asked_nsec = now_nsec;
}

/* True: the reply is whole. */
static bool receive(struct connection *c, uint8_t *buffer) {
    ssize_t n = recv(c->fd, buffer, reply_size + 1, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        bench_die("recv: %s", n == 0 ? "the server closed the connection" : strerror(errno));
    if ((uint64_t) n > c->missing)
        bench_die("the server sent more than %llu bytes", (unsigned long long) reply_size);
    c->missing -= (uint64_t) n;
    return c->missing == 0;
}

static struct connection *open_all(int epoll_fd) {
    struct connection *all = bench_alloc(n_connections * sizeof(*all));

    for (uint64_t i = 0; i < n_connections; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &all[i] };

        all[i].fd = bench_connect(SOCK_STREAM, (uint16_t) port);
        bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &event), "epoll_ctl");
    }
    return all;
}

/* Returns when the time is over; the last requests remain unanswered. */
static void run(int epoll_fd, struct connection *all, const uint8_t *request, uint8_t *buffer) {
    struct epoll_event events[EVENTS];
    uint64_t now_nsec = bench_now_nsec(), end_nsec = now_nsec + msec * USEC_PER_MSEC * NSEC_PER_USEC;

    for (uint64_t i = 0; i < n_connections; i++)
        ask(&all[i], request, now_nsec);
    while (now_nsec < end_nsec) {
        int n = epoll_wait(epoll_fd, events, EVENTS, 1000);

        if (n == 0)
            bench_die("no reply within a second");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (!receive(c, buffer))
                continue;
            now_nsec = bench_now_nsec();
            latencies_add(&latencies, now_nsec - c->asked_nsec);
            ask(c, request, now_nsec);
        }
    }
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {
        { "port", &port }, { "connections", &n_connections },
        { "size", &size }, { "reply", &reply_size },
        { "msec", &msec }, { NULL, NULL },
    };
    int epoll_fd = bench_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct connection *all;
    uint8_t *request, *buffer;
    uint64_t begun_nsec;

    bench_options(argc, argv, options);
    request = bench_alloc(size);
    buffer = bench_alloc(reply_size + 1);
    bench_fill_request(request, size);
    all = open_all(epoll_fd);
    bench_ready();
    begun_nsec = bench_now_nsec();
    run(epoll_fd, all, request, buffer);
    bench_result("{\"payloads\": %llu, \"seconds\": %.6f, \"p50_usec\": %.1f, \"p99_usec\": %.1f}",
                 (unsigned long long) latencies.n, (double) (bench_now_nsec() - begun_nsec) / (double) NSEC_PER_SEC,
                 latencies_quantile_usec(&latencies, 0.5), latencies_quantile_usec(&latencies, 0.99));
    free(all);
    free(request);
    free(buffer);
    return EXIT_SUCCESS;
}
