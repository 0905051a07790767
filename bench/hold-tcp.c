/* SPDX-License-Identifier: MIT */
/*
 * Holds idle TCP connections; when told to, sends a payload on each and reads the reply.
 *
 *   hold-tcp --port N [--connections N] [--pause USEC] [--size BYTES] [--reply BYTES]
 *
 * --pause: so long after each connection, for servers that refuse many at once.
 */
#include <sys/socket.h>

#include "bench.h"

int main(int argc, char **argv) {
    uint64_t port = 0, n = 9000, pause_usec = 0, size = 64, reply_size = sizeof(ACK_REPLY) - 1;
    const struct bench_option options[] = {
        { "port", &port }, { "connections", &n },    { "pause", &pause_usec },
        { "size", &size }, { "reply", &reply_size }, { NULL, NULL },
    };
    ssize_t received;
    uint8_t *data;
    int *fds;

    bench_options(argc, argv, options);
    fds = bench_alloc(n * sizeof(*fds));
    data = bench_alloc(MAX(size, reply_size));
    for (uint64_t i = 0; i < n; i++) {
        fds[i] = bench_connect(SOCK_STREAM, (uint16_t) port);
        if (pause_usec)
            usleep((useconds_t) pause_usec);
    }
    bench_ready();
    for (uint64_t i = 0; i < n; i++) {
        bench_fill_request(data, size);
        if (send(fds[i], data, size, MSG_NOSIGNAL) != (ssize_t) size)
            bench_die("send: %s", strerror(errno));
        received = recv(fds[i], data, reply_size, MSG_WAITALL);
        if (received != (ssize_t) reply_size)
            bench_die("recv: %s", received < 0 ? strerror(errno) : "the server closed the connection");
    }
    bench_result("{\"payloads\": %llu}", (unsigned long long) n);
    free(data);
    free(fds);
    return EXIT_SUCCESS;
}
