/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of several flows through a relay, as many as it passes on in the time given: each flow sends a burst when
 * fewer than --window of its datagrams are on their way. The other half of this program is the relay's upstream.
 * It tells lost datagrams by the numbers of those that come, and never sleeps: nobody waits for it to wake up.
 *
 *   load-flows --port N --sink N [--flows N] [--size BYTES] [--burst N] [--window N] [--gso 0|1] [--msec N]
 */
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "bench.h"

#define FLOWS_MAX 256
#define BURST_MAX 64
#define RX_MESSAGES 32
#define RX_BYTES 65536
#define DATAGRAM_MAX 65507
#define LOST_USEC 20000 /* what has not come by then will not */
#define GREET_TIMES 50  /* a relay may lose the first datagram while it opens a session */
#define GREET_MSEC 100

struct header {
    uint32_t run, flow;
    uint64_t number;
};

struct flow {
    int fd;
    uint64_t sent, seen; /* numbers below these have been sent; have come or are lost */
};

union control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

static uint64_t port, sink, n_flows = 16, size = 64, burst = 16, window = 32, gso, msec = 2000;
static uint32_t run_id;
static struct flow flows[FLOWS_MAX];
static uint64_t delivered;

static struct {
    uint8_t *data;
    struct mmsghdr messages[BURST_MAX];
    struct iovec iov[BURST_MAX];
    union control control;
} tx;

static struct {
    int fd;
    struct mmsghdr messages[RX_MESSAGES];
    struct iovec iov[RX_MESSAGES];
    union control control[RX_MESSAGES];
    uint8_t data[RX_MESSAGES][RX_BYTES];
} rx;

/* ---- the flows ---- */

static void prepare_tx(void) {
    const uint16_t segment = (uint16_t) size;
    struct msghdr *first = &tx.messages[0].msg_hdr;

    tx.data = bench_alloc(size * burst);
    memset(tx.data, 'x', size * burst);
    for (unsigned i = 0; i < burst; i++) {
        tx.iov[i] = (struct iovec){ tx.data + i * size, size };
        tx.messages[i].msg_hdr.msg_iov = &tx.iov[i];
        tx.messages[i].msg_hdr.msg_iovlen = 1;
    }
    if (!gso)
        return;
    tx.iov[0].iov_len = size * burst;
    tx.control.header =
            (struct cmsghdr){ .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(segment)) };
    memcpy(CMSG_DATA(&tx.control.header), &segment, sizeof(segment));
    first->msg_control = &tx.control;
    first->msg_controllen = CMSG_SPACE(sizeof(segment));
}

static void send_burst(struct flow *f, unsigned count) {
    unsigned n = gso && count == burst ? 1 : count;

    for (unsigned i = 0; i < count; i++) {
        const struct header h = { run_id, (uint32_t) (f - flows), f->sent + i };

        memcpy(tx.data + i * size, &h, sizeof(h));
    }
    for (unsigned done = 0; done < n;) {
        int r = sendmmsg(f->fd, tx.messages + done, n - done, 0);

        if (r < 0 && errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS)
            bench_die("sendmmsg: %s", strerror(errno));
        done += (unsigned) MAX(r, 0);
    }
    f->sent += count;
}

/* ---- the upstream ---- */

static void prepare_rx(void) {
    const int on = 1;

    rx.fd = bench_bind_udp((uint16_t) sink);
    bench_check(setsockopt(rx.fd, SOL_UDP, UDP_GRO, &on, sizeof(on)), "UDP_GRO");
    for (unsigned i = 0; i < RX_MESSAGES; i++) {
        rx.iov[i] = (struct iovec){ rx.data[i], RX_BYTES };
        rx.messages[i].msg_hdr.msg_iov = &rx.iov[i];
        rx.messages[i].msg_hdr.msg_iovlen = 1;
    }
}

/* How large each datagram of a message is. */
static size_t segment_size(struct mmsghdr *m) {
    struct cmsghdr *c = CMSG_FIRSTHDR(&m->msg_hdr);
    int segment;

    if (!c || c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
        return m->msg_len;
    memcpy(&segment, CMSG_DATA(c), sizeof(segment));
    return (size_t) segment;
}

static void take_datagram(const uint8_t *data) {
    struct header h;

    memcpy(&h, data, sizeof(h));
    if (h.run != run_id)
        return; /* late, of an earlier run */
    if (h.flow >= n_flows || h.number >= flows[h.flow].sent)
        bench_die("a datagram arrived that was never sent");
    delivered++;
    flows[h.flow].seen = MAX(flows[h.flow].seen, h.number + 1);
}

static void take_message(struct mmsghdr *m, const uint8_t *data) {
    if (segment_size(m) != size || m->msg_len % size != 0)
        bench_die("a datagram of %zu bytes arrived as one of %zu", (size_t) size, segment_size(m));
    for (size_t at = 0; at < m->msg_len; at += size)
        take_datagram(data + at);
}

/* True: something came. */
static bool receive_some(void) {
    int n;

    for (unsigned i = 0; i < RX_MESSAGES; i++) {
        rx.messages[i].msg_hdr.msg_control = &rx.control[i];
        rx.messages[i].msg_hdr.msg_controllen = sizeof(rx.control[i]);
    }
    n = recvmmsg(rx.fd, rx.messages, RX_MESSAGES, MSG_DONTWAIT, NULL);
    if (n < 0 && errno != EAGAIN)
        bench_die("recvmmsg: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        take_message(&rx.messages[i], rx.data[i]);
    return n > 0;
}

/* ---- both ---- */

static void open_flow(struct flow *f) {
    f->fd = bench_connect(SOCK_DGRAM, (uint16_t) port);
    for (unsigned i = 0; i < GREET_TIMES && f->seen == 0; i++) {
        struct pollfd p = { .fd = rx.fd, .events = POLLIN };

        send_burst(f, 1);
        while (f->seen == 0 && poll(&p, 1, GREET_MSEC) > 0)
            receive_some();
    }
    if (f->seen == 0)
        bench_die("nothing came through");
}

static bool send_some(void) {
    bool any = false;

    for (uint64_t i = 0; i < n_flows; i++) {
        if (flows[i].sent - flows[i].seen + burst > window)
            continue;
        send_burst(&flows[i], (unsigned) burst);
        any = true;
        receive_some();
    }
    return any;
}

static uint64_t total_sent(void) {
    uint64_t n = 0;

    for (uint64_t i = 0; i < n_flows; i++)
        n += flows[i].sent;
    return n;
}

/* Returns what was lost. */
static uint64_t run(uint64_t end_nsec) {
    uint64_t before = total_sent(), on_the_way = 0, active_nsec = bench_now_nsec();

    delivered = 0;
    for (uint64_t now_nsec; (now_nsec = bench_now_nsec()) < end_nsec;) {
        if (send_some() | receive_some()) {
            active_nsec = now_nsec;
            continue;
        }
        if (now_nsec - active_nsec > LOST_USEC * NSEC_PER_USEC)
            for (uint64_t i = 0; i < n_flows; i++)
                flows[i].seen = flows[i].sent;
        sched_yield();
    }
    for (uint64_t i = 0; i < n_flows; i++)
        on_the_way += flows[i].sent - flows[i].seen;
    return total_sent() - before - delivered - MIN(on_the_way, total_sent() - before - delivered);
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {
        { "port", &port },     { "sink", &sink }, { "flows", &n_flows }, { "size", &size }, { "burst", &burst },
        { "window", &window }, { "gso", &gso },   { "msec", &msec },     { NULL, NULL },
    };
    uint64_t begun_nsec, lost;

    bench_options(argc, argv, options);
    if (n_flows < 1 || n_flows > FLOWS_MAX || size < sizeof(struct header) || burst < 1 || burst > BURST_MAX ||
        window < burst || size * (gso ? burst : 1) > DATAGRAM_MAX)
        bench_die("--flows, --size, --burst or --window is out of range");
    run_id = (uint32_t) getpid();
    prepare_tx();
    prepare_rx();
    for (uint64_t i = 0; i < n_flows; i++)
        open_flow(&flows[i]);
    bench_ready();
    begun_nsec = bench_now_nsec();
    lost = run(begun_nsec + msec * USEC_PER_MSEC * NSEC_PER_USEC);
    bench_result("{\"payloads\": %llu, \"seconds\": %.6f, \"lost\": %llu}", (unsigned long long) delivered,
                 (double) (bench_now_nsec() - begun_nsec) / (double) NSEC_PER_SEC, (unsigned long long) lost);
    free(tx.data);
    return EXIT_SUCCESS;
}
