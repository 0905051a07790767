/* SPDX-License-Identifier: MIT */
/*
 * Holds idle TCP connections; when told to, sends a payload on each and reads the reply.
 *
 *   hold-tcp --port N [--connections N] [--size BYTES] [--reply BYTES]
 */
#include <sys/socket.h>

#include "bench.h"

int main(int argc, char **argv) {
    uint64_t port = 0, n = 9000, size = 64, reply_size = sizeof(ACK_REPLY) - 1;
    const struct bench_option options[] = {
        { "port", &port }, { "connections", &n }, { "size", &size }, { "reply", &reply_size }, { NULL, NULL },
    };
    uint8_t *data;
    int *fds;

    bench_options(argc, argv, options);
    fds = bench_alloc(n * sizeof(*fds));
    data = bench_alloc(MAX(size, reply_size));
    for (uint64_t i = 0; i < n; i++)
        fds[i] = bench_connect(SOCK_STREAM, (uint16_t) port);
    bench_ready();
    for (uint64_t i = 0; i < n; i++) {
        bench_fill_request(data, size);
        if (send(fds[i], data, size, MSG_NOSIGNAL) != (ssize_t) size)
            bench_die("send: %s", strerror(errno));
        if (recv(fds[i], data, reply_size, MSG_WAITALL) != (ssize_t) reply_size)
            bench_die("recv: %s", strerror(errno));
    }
    bench_result("{\"payloads\": %llu}", (unsigned long long) n);
    free(data);
    free(fds);
    return EXIT_SUCCESS;
}
