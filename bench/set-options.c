/* SPDX-License-Identifier: MIT */
/*
 * The bare calls behind a change of DSCP and priority: IP_TOS and SO_PRIORITY on so many established TCP sockets, as
 * often as asked, the value another one each time.
 *
 *   set-options [--connections N] [--times N]
 */
#include <netinet/ip.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bench.h"

static int connect_to(int listen_fd, const struct sockaddr_in *sa, int *ret_client) {
    *ret_client = bench_check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    bench_check(connect(*ret_client, (const struct sockaddr *) sa, sizeof(*sa)), "connect");
    return bench_check(accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), "accept4");
}

static uint64_t set_all(const int *fds, uint64_t n, int tos, int priority) {
    uint64_t begun_nsec = bench_now_nsec();

    for (uint64_t i = 0; i < n; i++) {
        bench_check(setsockopt(fds[i], SOL_IP, IP_TOS, &tos, sizeof(tos)), "IP_TOS");
        bench_check(setsockopt(fds[i], SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)), "SO_PRIORITY");
    }
    return bench_now_nsec() - begun_nsec;
}

int main(int argc, char **argv) {
    uint64_t n = 9000, times = 1;
    const struct bench_option options[] = { { "connections", &n }, { "times", &times }, { NULL, NULL } };
    struct sockaddr_in sa = bench_loopback(0);
    socklen_t size = sizeof(sa);
    int listen_fd, client, *fds;

    bench_options(argc, argv, options);
    fds = bench_alloc(n * sizeof(*fds));
    listen_fd = bench_listen(0);
    bench_check(getsockname(listen_fd, (struct sockaddr *) &sa, &size), "getsockname");
    for (uint64_t i = 0; i < n; i++)
        fds[i] = connect_to(listen_fd, &sa, &client);
    bench_ready();
    printf("{\"msec\": [");
    for (uint64_t i = 0; i < times; i++)
        printf("%s%.3f", i ? ", " : "", (double) set_all(fds, n, i % 2 ? 0x88 : 0xb8, i % 2 ? 5 : 6) / 1e6);
    bench_result("]}");
    free(fds);
    return EXIT_SUCCESS;
}
