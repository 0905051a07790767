/* SPDX-License-Identifier: MIT */
/*
 * The least that a UDP server can do: recvfrom and sendto, or recvmmsg and sendmmsg of up to so many datagrams.
 *
 *   ack-udp --port N [--batch N]
 */
#include <sys/socket.h>

#include "bench.h"

#define BATCH_MAX 64
#define DATAGRAM_MAX 65536

static noreturn void serve_singly(int fd) {
    static uint8_t data[DATAGRAM_MAX];

    for (;;) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *) &peer, &size);

        if (n >= 0)
            n = sendto(fd, ACK_REPLY, strlen(ACK_REPLY), 0, (struct sockaddr *) &peer, size);
        if (n < 0 && errno != EINTR)
            bench_die("recvfrom, sendto: %s", strerror(errno));
    }
}

static struct {
    struct mmsghdr rx[BATCH_MAX], tx[BATCH_MAX];
    struct iovec rx_iov[BATCH_MAX], tx_iov;
    struct sockaddr_storage peer[BATCH_MAX];
    uint8_t data[BATCH_MAX][DATAGRAM_MAX];
} batch = { .tx_iov = { (char *) ACK_REPLY, sizeof(ACK_REPLY) - 1 } };

static void prepare(unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        batch.rx_iov[i] = (struct iovec){ batch.data[i], DATAGRAM_MAX };
        batch.rx[i].msg_hdr = (struct msghdr){
            .msg_name = &batch.peer[i],
            .msg_namelen = sizeof(batch.peer[i]),
            .msg_iov = &batch.rx_iov[i],
            .msg_iovlen = 1,
        };
        batch.tx[i].msg_hdr = (struct msghdr){
            .msg_name = &batch.peer[i],
            .msg_namelen = sizeof(struct sockaddr_in),
            .msg_iov = &batch.tx_iov,
            .msg_iovlen = 1,
        };
    }
}

static noreturn void serve_batches(int fd, unsigned size) {
    prepare(size);
    for (;;) {
        int n = recvmmsg(fd, batch.rx, size, MSG_WAITFORONE, NULL);

        for (int done = 0, r = 0; done < n; done += r)
            r = bench_check(sendmmsg(fd, batch.tx + done, (unsigned) (n - done), 0), "sendmmsg");
        if (n < 0 && errno != EINTR)
            bench_die("recvmmsg: %s", strerror(errno));
    }
}

int main(int argc, char **argv) {
    uint64_t port = 0, size = 1;
    const struct bench_option options[] = { { "port", &port }, { "batch", &size }, { NULL, NULL } };
    int fd;

    bench_options(argc, argv, options);
    if (size > BATCH_MAX)
        bench_die("--batch is at most %d", BATCH_MAX);
    fd = bench_bind_udp((uint16_t) port);
    if (size > 1)
        serve_batches(fd, (unsigned) size);
    serve_singly(fd);
}
