/* SPDX-License-Identifier: MIT */
/*
 * The least that a TCP server can do: an epoll loop a thread, one recv and one send a payload.
 *
 *   ack-tcp --port N [--threads N]
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

#define EVENTS 128

static void add(int epoll_fd, int fd, uint32_t events) {
    struct epoll_event event = { .events = events, .data.fd = fd };

    bench_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void accept_one(int epoll_fd, int listen_fd) {
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        add(epoll_fd, fd, EPOLLIN);
    else if (errno != EAGAIN && errno != ECONNABORTED)
        bench_die("accept4: %s", strerror(errno));
}

/* The clients wait for each reply: there is always room for it. */
static void answer(int fd, void *buffer, size_t size) {
    ssize_t n = recv(fd, buffer, size, 0);

    if (n > 0)
        n = send(fd, ACK_REPLY, strlen(ACK_REPLY), MSG_NOSIGNAL);
    else if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        close_fd(fd);
}

static void *serve(void *userdata) {
    static const size_t size = 64 * 1024;
    int listen_fd = *(int *) userdata, epoll_fd = bench_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event events[EVENTS];
    void *buffer = bench_alloc(size);

    add(epoll_fd, listen_fd, EPOLLIN | EPOLLEXCLUSIVE);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listen_fd)
                accept_one(epoll_fd, listen_fd);
            else
                answer(events[i].data.fd, buffer, size);
    }
    return NULL;
}

int main(int argc, char **argv) {
    uint64_t port = 0, threads = 1;
    const struct bench_option options[] = { { "port", &port }, { "threads", &threads }, { NULL, NULL } };
    pthread_t thread;
    int fd;

    bench_options(argc, argv, options);
    fd = bench_listen((uint16_t) port);
    bench_check(fcntl(fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    for (uint64_t i = 1; i < threads; i++)
        if (pthread_create(&thread, NULL, serve, &fd) != 0)
            bench_die("pthread_create failed");
    serve(&fd);
    return EXIT_SUCCESS;
}
