/* SPDX-License-Identifier: MIT */
/*
 * A client of a server that echoes and compresses with zlib: sends payloads, some of them ahead, decompresses what comes
 * back and compares it. With --compressed 1 what it sends is a zlib stream, too. With --memory 1 there is no server: the
 * same work of a server is done with the same buffers in memory, which is what zlib itself can do.
 *
 *   load-zlib --port N [--compressed 0|1] [--memory 0|1] [--level N] [--size BYTES] [--msec N]
 */
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <zlib.h>

#include "bench.h"

#define N_FRAMES 32      /* different payloads */
#define AHEAD_PAYLOADS 4 /* sent and not yet back */

static uint64_t port, compressed, memory, level = 1, size = 65536, msec = 2000;

static struct {
    uint8_t *text; /* N_FRAMES payloads */
    uint8_t *frames[N_FRAMES];
    size_t frame_sizes[N_FRAMES];
} work;

static const uint8_t zlib_header[2] = { 0x78, 0x01 };

static const uint8_t *payload(uint64_t n) {
    return work.text + n % N_FRAMES * size;
}

static void make_work(void) {
    work.text = bench_alloc(N_FRAMES * size);
    bench_fill_text(work.text, N_FRAMES * size);
    bench_compress_frames(work.text, N_FRAMES, size, (int) level, work.frames, work.frame_sizes);
}

static void begin_inflate(z_stream *z) {
    *z = (z_stream){ 0 };
    if (inflateInit(z) != Z_OK)
        bench_die("inflateInit failed");
}

static void begin_frames(z_stream *z) {
    uint8_t nothing;

    begin_inflate(z);
    z->next_in = (uint8_t *) zlib_header;
    z->avail_in = sizeof(zlib_header);
    z->next_out = &nothing;
    z->avail_out = sizeof(nothing);
    (void) inflate(z, Z_NO_FLUSH);
}

/* Payloads done in the time given. */
static uint64_t run_memory(uint64_t end_nsec) {
    z_stream in, out = { 0 };
    size_t room = 2 * size;
    uint8_t *plain = bench_alloc(size), *result = bench_alloc(room);
    uint64_t n = 0;

    begin_frames(&in);
    if (deflateInit(&out, (int) level) != Z_OK)
        bench_die("deflateInit failed");
    for (; bench_now_nsec() < end_nsec; n++) {
        const uint8_t *data = payload(n);

        if (compressed) {
            in.next_in = work.frames[n % N_FRAMES];
            in.avail_in = (uInt) work.frame_sizes[n % N_FRAMES];
            in.next_out = plain;
            in.avail_out = (uInt) size;
            if (inflate(&in, Z_NO_FLUSH) != Z_OK || in.avail_out > 0)
                bench_die("inflate failed");
            data = plain;
        }
        out.next_in = (uint8_t *) data;
        out.avail_in = (uInt) size;
        out.next_out = result;
        out.avail_out = (uInt) room;
        if (deflate(&out, Z_SYNC_FLUSH) != Z_OK || out.avail_in > 0)
            bench_die("deflate failed");
    }
    (void) inflateEnd(&in);
    (void) deflateEnd(&out);
    free(plain);
    free(result);
    return n;
}

struct echo {
    int fd;
    uint64_t sent;    /* payloads, whole ones */
    size_t sent_part; /* bytes of the one that is on its way */
    uint64_t back;    /* bytes that came back, decompressed */
    uint64_t wire;    /* as they came */
    z_stream z;
    uint8_t *received, *plain;
};

static void send_some(struct echo *e) {
    uint64_t i = e->sent % N_FRAMES;
    const uint8_t *data = compressed ? work.frames[i] : payload(i);
    size_t end = compressed ? work.frame_sizes[i] : size;
    ssize_t n = send(e->fd, data + e->sent_part, end - e->sent_part, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        bench_die("send: %s", strerror(errno));
    if (n > 0)
        e->sent_part += (size_t) n;
    if (e->sent_part == end) {
        e->sent++;
        e->sent_part = 0;
    }
}

/* Compares what inflate() wrote with what was sent, payload by payload. */
static void compare(struct echo *e, size_t n) {
    for (size_t at = 0, part; at < n; at += part) {
        size_t offset = e->back % size;

        part = MIN(n - at, (size_t) size - offset);
        if (memcmp(e->plain + at, payload(e->back / size) + offset, part) != 0)
            bench_die("what came back is not what was sent, at byte %llu", (unsigned long long) e->back);
        e->back += part;
    }
}

static void receive_some(struct echo *e) {
    ssize_t n = recv(e->fd, e->received, size, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        bench_die("recv: %s", n == 0 ? "the server closed the connection" : strerror(errno));
    e->wire += (uint64_t) n;
    e->z.next_in = e->received;
    e->z.avail_in = (uInt) n;
    do {
        int r;

        e->z.next_out = e->plain;
        e->z.avail_out = (uInt) size;
        r = inflate(&e->z, Z_NO_FLUSH);
        if (r != Z_OK && r != Z_BUF_ERROR)
            bench_die("the reply is not a zlib stream");
        compare(e, size - e->z.avail_out);
    } while (e->z.avail_out == 0);
}

static void run_echo(struct echo *e, uint64_t end_nsec) {
    while (bench_now_nsec() < end_nsec) {
        bool may_send = e->sent < e->back / size + AHEAD_PAYLOADS;
        struct pollfd p = { .fd = e->fd, .events = (short) (POLLIN | (may_send ? POLLOUT : 0)) };

        if (poll(&p, 1, 1000) == 0)
            bench_die("nothing came back within a second");
        if (p.revents & ~POLLOUT)
            receive_some(e);
        if (p.revents & POLLOUT)
            send_some(e);
    }
}

static void open_echo(struct echo *e) {
    *e = (struct echo){ .received = bench_alloc(size), .plain = bench_alloc(size) };
    begin_inflate(&e->z);
    e->fd = bench_connect(SOCK_STREAM, (uint16_t) port);
    if (compressed && send(e->fd, zlib_header, sizeof(zlib_header), MSG_NOSIGNAL) != sizeof(zlib_header))
        bench_die("send: %s", strerror(errno));
}

static void close_echo(struct echo *e) {
    (void) inflateEnd(&e->z);
    close_fd(e->fd);
    free(e->received);
    free(e->plain);
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {
        { "port", &port },     { "compressed", &compressed },
        { "memory", &memory }, { "level", &level },
        { "size", &size },     { "msec", &msec },
        { NULL, NULL },
    };
    uint64_t begun_nsec, end_nsec, done;
    struct echo e = { 0 };

    bench_options(argc, argv, options);
    make_work();
    if (!memory)
        open_echo(&e);
    bench_ready();
    begun_nsec = bench_now_nsec();
    end_nsec = begun_nsec + msec * USEC_PER_MSEC * NSEC_PER_USEC;
    if (memory) {
        done = run_memory(end_nsec);
    } else {
        run_echo(&e, end_nsec);
        done = e.back / size;
    }
    bench_result("{\"payloads\": %llu, \"seconds\": %.6f}", (unsigned long long) done,
                 (double) (bench_now_nsec() - begun_nsec) / (double) NSEC_PER_SEC);
    if (!memory)
        close_echo(&e);
    return EXIT_SUCCESS;
}
