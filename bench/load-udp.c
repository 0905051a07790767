/* SPDX-License-Identifier: MIT */
/*
 * Requests over UDP, so many outstanding at most: as many as the server answers in the time given. Three shapes:
 * bursts from one client; one datagram each from many clients (one socket with a source address for each); datagrams
 * of one client that leave as UDP_SEGMENT sends.
 *
 *   load-udp --port N [--shape 0|1|2] [--size BYTES] [--reply BYTES] [--burst N] [--window N] [--msec N]
 */
#include <netinet/udp.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "bench.h"

#define BURST_MAX 64
#define RX_BYTES 65536
#define N_CLIENTS 1000
#define FIRST_CLIENT 0x7f000101u /* 127.0.1.1 */
#define LOST_USEC 100000         /* what has not come by then will not */

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

enum shape { SHAPE_BURST, SHAPE_CLIENTS, SHAPE_GSO, SHAPE_MAX };

static uint64_t port, shape, size = 64, reply_size = sizeof(ACK_REPLY) - 1, burst = 64, window = 128, msec = 2000;

static struct {
    int fd;
    struct sockaddr_in server;
    uint8_t request[BURST_MAX * 1024];
    struct mmsghdr tx[BURST_MAX], rx[BURST_MAX];
    struct iovec tx_iov[BURST_MAX], rx_iov[BURST_MAX];
    union control tx_control[BURST_MAX];
    uint8_t received[BURST_MAX][RX_BYTES];
    unsigned next_client;
} state;

static void put_control(struct msghdr *msg, union control *control, int level, int type, const void *data,
                        size_t data_size) {
    control->header.cmsg_level = level;
    control->header.cmsg_type = type;
    control->header.cmsg_len = CMSG_LEN(data_size);
    memcpy(CMSG_DATA(&control->header), data, data_size);
    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(data_size);
}

static void set_number(int level, int option, int value, const char *what) {
    bench_check(setsockopt(state.fd, level, option, &value, sizeof(value)), what);
}

static void open_one(void) {
    state.fd = bench_connect(SOCK_DGRAM, (uint16_t) port);
}

/* Not connected: replies come to many addresses. */
static void open_many(void) {
    struct sockaddr_in any = { .sin_family = AF_INET };

    state.fd = bench_check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    set_number(SOL_SOCKET, SO_RCVBUF, 1024 * 1024, "SO_RCVBUF");
    bench_check(bind(state.fd, (struct sockaddr *) &any, sizeof(any)), "bind");
    state.server = bench_loopback((uint16_t) port);
}

static void next_client(unsigned i) {
    const struct in_pktinfo from = { .ipi_spec_dst.s_addr = htonl(FIRST_CLIENT + state.next_client) };

    state.next_client = (state.next_client + 1) % N_CLIENTS;
    state.tx[i].msg_hdr.msg_name = &state.server;
    state.tx[i].msg_hdr.msg_namelen = sizeof(state.server);
    put_control(&state.tx[i].msg_hdr, &state.tx_control[i], SOL_IP, IP_PKTINFO, &from, sizeof(from));
}

/* One message is a whole burst, and what comes back is read in one piece as well. */
static void open_gso(void) {
    const uint16_t segment = (uint16_t) size;

    open_one();
    set_number(SOL_UDP, UDP_GRO, 1, "UDP_GRO");
    state.tx_iov[0].iov_len = size * burst;
    put_control(&state.tx[0].msg_hdr, &state.tx_control[0], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
}

static const struct {
    void (*open)(void);
    void (*before_send)(unsigned i);
    bool one_message;
} shapes[SHAPE_MAX] = {
    [SHAPE_BURST] = { .open = open_one },
    [SHAPE_CLIENTS] = { .open = open_many, .before_send = next_client },
    [SHAPE_GSO] = { .open = open_gso, .one_message = true },
};

static void prepare(void) {
    const struct timeval patience = { .tv_usec = LOST_USEC };

    for (unsigned i = 0; i < burst; i++) {
        bench_fill_request(state.request + i * size, size);
        state.tx_iov[i] = (struct iovec){ state.request + i * size, size };
        state.tx[i].msg_hdr.msg_iov = &state.tx_iov[i];
        state.tx[i].msg_hdr.msg_iovlen = 1;
        state.rx_iov[i] = (struct iovec){ state.received[i], RX_BYTES };
        state.rx[i].msg_hdr.msg_iov = &state.rx_iov[i];
        state.rx[i].msg_hdr.msg_iovlen = 1;
    }
    shapes[shape].open();
    bench_check(setsockopt(state.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), "SO_RCVTIMEO");
}

static void send_burst(void) {
    unsigned n = shapes[shape].one_message ? 1 : (unsigned) burst;

    for (unsigned i = 0; shapes[shape].before_send && i < n; i++)
        shapes[shape].before_send(i);
    for (unsigned done = 0; done < n;)
        done += (unsigned) bench_check(sendmmsg(state.fd, state.tx + done, n - done, 0), "sendmmsg");
}

/* Payloads answered: counted in bytes, for a peer may put several answers into a datagram. 0: the rest is lost. */
static uint64_t receive_some(void) {
    int n = recvmmsg(state.fd, state.rx, (unsigned) burst, MSG_WAITFORONE, NULL);
    uint64_t bytes = 0;

    if (n < 0 && errno != EAGAIN)
        bench_die("recvmmsg: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        bytes += state.rx[i].msg_len;
    return bytes / reply_size;
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {
        { "port", &port },   { "shape", &shape },   { "size", &size }, { "reply", &reply_size },
        { "burst", &burst }, { "window", &window }, { "msec", &msec }, { NULL, NULL },
    };
    uint64_t begun_nsec, end_nsec, outstanding = 0, answered = 0, lost = 0;

    bench_options(argc, argv, options);
    if (shape >= SHAPE_MAX || size > 1024 || burst < 1 || burst > BURST_MAX || window < burst)
        bench_die("--shape, --size, --burst or --window is out of range");
    prepare();
    bench_ready();
    begun_nsec = bench_now_nsec();
    end_nsec = begun_nsec + msec * USEC_PER_MSEC * NSEC_PER_USEC;
    while (bench_now_nsec() < end_nsec) {
        uint64_t n;

        for (; outstanding + burst <= window; outstanding += burst)
            send_burst();
        n = MIN(receive_some(), outstanding);
        answered += n;
        outstanding -= n;
        if (n == 0) {
            lost += outstanding;
            outstanding = 0;
        }
    }
    bench_result("{\"payloads\": %llu, \"seconds\": %.6f, \"lost\": %llu}", (unsigned long long) answered,
                 (double) (bench_now_nsec() - begun_nsec) / (double) NSEC_PER_SEC, (unsigned long long) lost);
    return EXIT_SUCCESS;
}
