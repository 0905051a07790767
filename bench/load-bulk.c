/* SPDX-License-Identifier: MIT */
/*
 * Bytes through a relay, as many as it passes on in the time given: one thread sends on all streams, the other one is
 * the relay's upstream. Every byte is counted; of what comes, one cache line in 4 KB is compared.
 *
 *   load-bulk --port N --sink N [--streams N] [--write BYTES] [--nodelay 0|1] [--msec N]
 */
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "bench.h"

#define STREAMS_MAX 64
#define READ_BYTES (256 * 1024)
#define PERIOD 65521 /* prime: what is lost or comes twice shifts the text */
#define STEP_BYTES 4096
#define LINE_BYTES 64
#define WAIT_MSEC 10
#define PATIENCE_MSEC 5000

struct stream {
    int fd;
    uint64_t moved;
    size_t left; /* of a write that the socket took in part */
    bool blocked;
};

static uint64_t port, sink, n_streams = 1, write_size = 128 * 1024, nodelay = 1, msec = 2000;
static uint8_t *text; /* any write from any place of the period */
static atomic_bool enough;
static struct stream senders[STREAMS_MAX], receivers[STREAMS_MAX];

static void watch(int epoll_fd, struct stream *s, uint32_t events) {
    struct epoll_event event = { .events = events, .data.ptr = s };

    bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event), "epoll_ctl");
}

/* ---- the sender ---- */

/* False: the socket is full. */
static bool send_one(struct stream *s) {
    size_t size = s->left ? s->left : write_size;
    ssize_t n = send(s->fd, text + s->moved % PERIOD, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN)
        bench_die("send: %s", strerror(errno));
    s->moved += (uint64_t) MAX(n, 0);
    s->left = size - (size_t) MAX(n, 0);
    s->blocked = s->left > 0;
    return !s->blocked;
}

static void wait_writable(int epoll_fd) {
    struct epoll_event events[STREAMS_MAX];
    int n = epoll_wait(epoll_fd, events, STREAMS_MAX, WAIT_MSEC);

    for (int i = 0; i < n; i++)
        ((struct stream *) events[i].data.ptr)->blocked = false;
}

static void *send_all(void *unused) {
    int epoll_fd = bench_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");

    for (uint64_t i = 0; i < n_streams; i++)
        watch(epoll_fd, &senders[i], EPOLLOUT | EPOLLET);
    while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
        bool any = false;

        for (uint64_t i = 0; i < n_streams; i++)
            any |= !senders[i].blocked && send_one(&senders[i]);
        if (!any)
            wait_writable(epoll_fd);
    }
    for (uint64_t i = 0; i < n_streams; i++)
        bench_check(shutdown(senders[i].fd, SHUT_WR), "shutdown");
    close_fd(epoll_fd);
    return NULL;
}

/* ---- the upstream ---- */

static void compare(const struct stream *s, const uint8_t *data, size_t size) {
    for (size_t at = 0; at < size; at += STEP_BYTES)
        if (memcmp(data + at, text + (s->moved + at) % PERIOD, MIN(size - at, (size_t) LINE_BYTES)) != 0)
            bench_die("other bytes arrived than were sent");
}

/* False: its end is here. */
static bool receive_one(struct stream *s, uint8_t *data) {
    ssize_t n = recv(s->fd, data, READ_BYTES, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return true;
    bench_check((int) n, "recv");
    compare(s, data, (size_t) n);
    s->moved += (uint64_t) n;
    return n > 0;
}

static void *receive_all(void *unused) {
    int epoll_fd = bench_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event events[STREAMS_MAX];
    uint8_t *data = bench_alloc(READ_BYTES);

    for (uint64_t i = 0; i < n_streams; i++)
        watch(epoll_fd, &receivers[i], EPOLLIN);
    for (uint64_t left = n_streams; left > 0;) {
        int n = bench_check(epoll_wait(epoll_fd, events, STREAMS_MAX, PATIENCE_MSEC), "epoll_wait");

        if (n == 0)
            bench_die("nothing came for %d s", PATIENCE_MSEC / 1000);
        for (int i = 0; i < n; i++) {
            struct stream *s = events[i].data.ptr;

            if (receive_one(s, data))
                continue;
            bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL), "epoll_ctl");
            left--;
        }
    }
    free(data);
    close_fd(epoll_fd);
    return NULL;
}

/* ---- both ---- */

static void make_text(void) {
    size_t size = PERIOD + MAX(write_size, (uint64_t) LINE_BYTES);

    text = bench_alloc(size);
    bench_fill_text(text, PERIOD);
    for (size_t at = PERIOD; at < size; at++)
        text[at] = text[at - PERIOD];
}

static void open_all(void) {
    const struct timeval patience = { .tv_sec = PATIENCE_MSEC / 1000 };
    int fd = bench_listen((uint16_t) sink), value = (int) nodelay;

    bench_check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), "SO_RCVTIMEO");
    for (uint64_t i = 0; i < n_streams; i++) {
        senders[i].fd = bench_connect(SOCK_STREAM, (uint16_t) port);
        bench_check(setsockopt(senders[i].fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), "TCP_NODELAY");
        /* One by one, so that the i-th of both are the ends of one stream. */
        receivers[i].fd = bench_check(accept4(fd, NULL, NULL, SOCK_CLOEXEC), "the relay connects: accept4");
    }
    close_fd(fd);
}

static void start(pthread_t *thread, void *(*run)(void *) ) {
    if (pthread_create(thread, NULL, run, NULL) != 0)
        bench_die("no thread is to be had");
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {
        { "port", &port },        { "sink", &sink },       { "streams", &n_streams },
        { "write", &write_size }, { "nodelay", &nodelay }, { "msec", &msec },
        { NULL, NULL },
    };
    pthread_t sender, receiver;
    struct timespec duration;
    uint64_t begun_nsec, sent = 0, received = 0;

    bench_options(argc, argv, options);
    if (n_streams < 1 || n_streams > STREAMS_MAX || write_size < 1)
        bench_die("--streams or --write is out of range");
    make_text();
    open_all();
    bench_ready();
    duration = (struct timespec){ .tv_sec = (time_t) (msec / 1000), .tv_nsec = (long) (msec % 1000) * 1000000 };
    begun_nsec = bench_now_nsec();
    start(&receiver, receive_all);
    start(&sender, send_all);
    nanosleep(&duration, NULL);
    atomic_store(&enough, true);
    pthread_join(sender, NULL);
    pthread_join(receiver, NULL);
    for (uint64_t i = 0; i < n_streams; i++) {
        sent += senders[i].moved;
        received += receivers[i].moved;
    }
    if (sent != received)
        bench_die("%llu bytes were sent, %llu arrived", (unsigned long long) sent, (unsigned long long) received);
    bench_result("{\"payloads\": %llu, \"seconds\": %.6f}", (unsigned long long) received,
                 (double) (bench_now_nsec() - begun_nsec) / (double) NSEC_PER_SEC);
    free(text);
    return EXIT_SUCCESS;
}
