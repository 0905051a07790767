/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <sys/ioctl.h>
#include <zlib.h>

#include "task.h"

#define LARGE ((size_t) 8 * 1024 * 1024)

static struct live live;
static _Atomic bool no_room; /* for the workers' buffers */

static int setup(void **state) {
    no_room = false;
    live_begin(&live, 2);
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    return 0;
}

/* One listener with this target and these settings. */
static void apply(const char *target, const char *settings) {
    char text[512];

    snprintf(text, sizeof(text), "listeners = { a = { target = \"%s\"; listen = [ \"tcp:127.0.0.1:0\" ]; %s }; };",
             target, settings);
    live_must_apply(&live, text);
}

/* Bytes that do not shrink much. */
static uint8_t *noise(size_t size) {
    uint8_t *data = malloc(size);
    uint32_t x = 2463534242;

    assert_non_null(data);
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        data[i] = (uint8_t) (x >> 16 & 0x3f);
    }
    return data;
}

/* Sends in a thread of its own, then finishes its side. */
struct sender {
    int fd;
    const uint8_t *data;
    size_t size;
    pthread_t thread;
};

static void *send_all(void *userdata) {
    struct sender *s = userdata;

    for (size_t sent = 0; sent < s->size;) {
        ssize_t n = send(s->fd, s->data + sent, s->size - sent, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        sent += (size_t) n;
    }
    shutdown(s->fd, SHUT_WR);
    return NULL;
}

/* What comes back until the other side finishes; owned by the caller. */
static uint8_t *receive_all(int fd, size_t *ret_size) {
    size_t size = 0, room = 64 * 1024;
    uint8_t *data = malloc(room);
    ssize_t n;

    while (data && (n = recv(fd, data + size, room - size, 0)) > 0) {
        size += (size_t) n;
        if (size == room)
            data = realloc(data, room *= 2);
    }
    assert_non_null(data);
    assert_int_equal(n, 0);
    *ret_size = size;
    return data;
}

/* Sends everything, finishes, and returns all that comes back. */
static uint8_t *exchange(const uint8_t *data, size_t size, size_t *ret_size) {
    struct sender s = { live_connect(&live, "a"), data, size };
    uint8_t *back;

    assert_int_equal(pthread_create(&s.thread, NULL, send_all, &s), 0);
    back = receive_all(s.fd, ret_size);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    close(s.fd);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    return back;
}

/* ---- plain ---- */

static void test_a_large_echo_is_complete(void **state) {
    _cleanup_free_ uint8_t *data = noise(LARGE), *back = NULL;
    size_t size;

    apply("echo", "");
    back = exchange(data, LARGE, &size);
    assert_int_equal(size, LARGE);
    assert_memory_equal(back, data, size);
    assert_int_equal(live_counter(&live, "a", STAT_RX_BYTES), LARGE);
    assert_int_equal(live_counter(&live, "a", STAT_TX_BYTES), LARGE);
    assert_int_equal(live_counter(&live, "a", STAT_CLOSED), 1);
    assert_int_equal(live_counter(&live, "a", STAT_LOST_BYTES), 0);
}

static void test_a_peer_that_does_not_read_stops_the_input(void **state) {
    _cleanup_free_ uint8_t *data = noise(LARGE), *back = NULL;
    uint64_t read, before;
    size_t sent = 0, size;
    int fd;

    apply("echo", "send_buffer = \"16K\"; receive_buffer = \"16K\"; io_buffer = \"16K\";");
    fd = live_connect(&live, "a");
    do {
        ssize_t n;

        before = live_counter(&live, "a", STAT_RX_BYTES);
        while (sent < LARGE && (n = send(fd, data + sent, LARGE - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
            sent += (size_t) n;
        for (unsigned i = 0; i < 200; i++)
            live_turn(&live);
        read = live_counter(&live, "a", STAT_RX_BYTES);
    } while (read != before);

    /* What was read is on its way back, but for one block that waits. */
    assert_true(sent < LARGE);
    assert_true(read - live_counter(&live, "a", STAT_TX_BYTES) <= 16 * 1024);

    /* And nothing was lost. */
    struct sender rest = { fd, data + sent, LARGE - sent };
    assert_int_equal(pthread_create(&rest.thread, NULL, send_all, &rest), 0);
    back = receive_all(fd, &size);
    assert_int_equal(pthread_join(rest.thread, NULL), 0);
    assert_int_equal(size, LARGE);
    assert_memory_equal(back, data, LARGE);
    close(fd);
}

static void test_a_reset_is_counted(void **state) {
    int fd;

    apply("echo", "");
    fd = live_connect(&live, "a");
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    live_reset(fd);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_int_equal(live_counter(&live, "a", STAT_RESETS), 1);
    assert_int_equal(live_counter(&live, "a", STAT_CLOSED), 1);
    assert_int_equal(live_counter(&live, "a", STAT_ERRORS), 0);
}

/* ---- worker 0 held up, so that several things have happened when it looks ---- */

static pthread_barrier_t hold;

static void wait_here(struct task *task, struct worker *w) {
    pthread_barrier_wait(&hold);
    pthread_barrier_wait(&hold);
}

static void on_held(struct task *task) {
    task_end(task);
}

static void hold_worker(struct task *task) {
    assert_int_equal(pthread_barrier_init(&hold, NULL, 2), 0);
    *task = (struct task){ .begin = wait_here, .done = on_held };
    assert_int_equal(task_send_all(task, live.net), 0);
    pthread_barrier_wait(&hold);
}

static void release_worker(void) {
    pthread_barrier_wait(&hold);
    live_turn(&live);
    pthread_barrier_destroy(&hold);
}

static void begin_with_one_worker(void) {
    live_end(&live);
    live_begin(&live, 1);
}

static void test_a_reset_behind_bad_input_is_one(void **state) {
    struct task task;
    int fd;

    begin_with_one_worker();
    apply("echo", "decompression = \"zlib\";");
    fd = live_connect(&live, "a");
    LIVE_UNTIL(&live, live_flows(&live) == 1);
    hold_worker(&task);
    live_send(fd, "not zlib at all", 15);
    live_reset(fd);
    release_worker();
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_int_equal(live_counter(&live, "a", STAT_DECODE_ERRORS), 1);
    assert_int_equal(live_counter(&live, "a", STAT_RESETS), 1);
    assert_int_equal(live_counter(&live, "a", STAT_ERRORS), 0);
}

/* ---- what did not arrive ---- */

static size_t input(int fd) {
    int n;

    assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
    return (size_t) n;
}

/* Of the only flow: what the peer has not acknowledged. */
static size_t unacknowledged(void) {
    const struct flow_selector all = { 0 };
    struct flow_row row;
    size_t n;

    assert_int_equal(live_list(&live, &all, &row, 1), 1);
    n = row.client.send_queue - (row.state == FLOW_LINGERING); /* the FIN */
    flow_row_done(&row);
    return n;
}

/* Bytes that wait to be read, when no more come and all are acknowledged, as late as that may be. `earlier`: replies of flows
 * that have ended. */
static size_t settled_input(int fd, size_t earlier) {
    size_t before, now = 0;

    do {
        before = now;
        for (unsigned i = 0; i < 200; i++)
            live_turn(&live);
        now = input(fd);
    } while (now != before || now == 0);
    LIVE_UNTIL(&live, input(fd) + unacknowledged() == live_counter(&live, "a", STAT_TX_PAYLOAD_BYTES) - earlier);
    return input(fd);
}

static int connect_narrow(void) {
    struct address to = live_address(live_endpoint(&live, "a", SOCK_STREAM, 0));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    set_int(fd, SOL_SOCKET, SO_RCVBUF, 4096);
    assert_int_equal(connect(fd, &to.sa, to.size), 0);
    return fd;
}

static void expect_lost(size_t size) {
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_int_equal(live_counter(&live, "a", STAT_LOST_BYTES), size);
}

static void test_a_reset_loses_what_was_not_acknowledged(void **state) {
    _cleanup_free_ uint8_t *data = noise(LARGE);
    size_t arrived;
    ssize_t n;
    int fd;

    apply("echo", "send_buffer = \"256K\";");
    fd = connect_narrow();
    do {
        n = send(fd, data, LARGE, MSG_DONTWAIT | MSG_NOSIGNAL);
        arrived = settled_input(fd, 0);
    } while (n > 0);
    live_reset(fd);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_int_equal(live_counter(&live, "a", STAT_RESETS), 1);
    assert_true(live_counter(&live, "a", STAT_TX_BYTES) > arrived);
    expect_lost(live_counter(&live, "a", STAT_TX_PAYLOAD_BYTES) - arrived);
}

/* The daemon has closed its side: its FIN is no byte that could get lost. */
static void test_a_reset_of_a_flow_that_lingers(void **state) {
    static const size_t sizes[] = { 1000, 100000 };
    const struct flow_selector all = { 0 };
    _cleanup_free_ uint8_t *data = noise(sizes[1]);
    size_t arrived, lost = 0;
    int fd;

    apply("echo", "send_buffer = \"512K\";");
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        fd = connect_narrow();
        live_send(fd, data, sizes[i]);
        LIVE_UNTIL(&live, live_counter(&live, "a", STAT_TX_BYTES) == (i ? sizes[0] + sizes[1] : sizes[0]));
        assert_int_equal(live_close(&live, &all, true), 1);
        arrived = settled_input(fd, i ? sizes[0] : 0);
        live_reset(fd);
        lost += sizes[i] - arrived;
        expect_lost(lost);
    }
    assert_true(lost > 0);
    assert_int_equal(live_counter(&live, "a", STAT_RESETS), 2);
}

/* A flow that is closed while its peer sends but does not read: the kernel has input that nobody will take, and resets. */
static void test_a_close_with_unread_input_loses_as_a_reset_does(void **state) {
    const struct flow_selector all = { 0 };
    _cleanup_free_ uint8_t *data = noise(LARGE);
    size_t arrived;
    ssize_t n;
    int fd;

    apply("echo", "send_buffer = \"256K\";");
    fd = connect_narrow();
    do {
        n = send(fd, data, LARGE, MSG_DONTWAIT | MSG_NOSIGNAL);
        arrived = settled_input(fd, 0);
    } while (n > 0);
    assert_int_equal(live_close(&live, &all, false), 1);
    expect_lost(live_counter(&live, "a", STAT_TX_PAYLOAD_BYTES) - arrived);
    close(fd);
}

/* ---- out of memory ---- */

int __real_pool_append(struct pool *p, struct buf **b, const void *data, size_t size);
int __wrap_pool_append(struct pool *p, struct buf **b, const void *data, size_t size);

int __wrap_pool_append(struct pool *p, struct buf **b, const void *data, size_t size) {
    return no_room && size > 0 ? -ENOMEM : __real_pool_append(p, b, data, size);
}

/* Counted, and the peer must not take it for the end of all replies. */
static void test_a_reply_that_cannot_be_kept(void **state) {
    int fd;

    apply("echo", "framing = \"line\";");
    fd = live_connect(&live, "a");
    live_send(fd, "good\n", 5);
    live_expect_text(fd, "good\n");
    LIVE_UNTIL(&live, unacknowledged() == 0);
    no_room = true;
    live_send(fd, "one\ntwo\n", 8);
    live_expect_reset(fd);
    no_room = false;
    expect_lost(4); /* the other one never became a reply */
    assert_int_equal(live_counter(&live, "a", STAT_ERRORS), 1);
    close(fd);
}

static void test_an_end_in_order_loses_nothing(void **state) {
    const struct flow_selector all = { 0 };
    _cleanup_free_ uint8_t *data = noise(100000), *back = NULL;
    size_t size;
    int fd;

    apply("echo", "send_buffer = \"512K\";");
    fd = connect_narrow();
    live_send(fd, data, 100000);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_TX_BYTES) == 100000);
    assert_int_equal(live_close(&live, &all, true), 1);
    back = receive_all(fd, &size);
    assert_int_equal(size, 100000);
    close(fd);
    expect_lost(0);
}

static void test_an_idle_flow_ends_not_before_its_time(void **state) {
    uint64_t since_usec;
    int fd;

    apply("echo", "idle_timeout = \"50ms\";");
    fd = live_connect(&live, "a");
    since_usec = loop_clock_usec();
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    live_expect_end(fd);
    assert_true(loop_clock_usec() - since_usec >= 50 * USEC_PER_MSEC);
    close(fd);
    assert_int_equal(live_counter(&live, "a", STAT_TIMEOUTS), 1);
}

/* ---- compression ---- */

/* All of it decompressed; owned by the caller. */
static uint8_t *inflate_all(const uint8_t *data, size_t size, size_t room, size_t *ret_size) {
    uint8_t *out = malloc(room);
    z_stream z = { .next_in = (uint8_t *) data, .avail_in = (uInt) size, .next_out = out, .avail_out = (uInt) room };

    assert_non_null(out);
    assert_int_equal(inflateInit2(&z, 15 + 32), Z_OK); /* zlib or gzip */
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    *ret_size = room - z.avail_out;
    inflateEnd(&z);
    return out;
}

static uint8_t *deflate_all(const uint8_t *data, size_t size, size_t *ret_size) {
    uLong room = compressBound(size);
    uint8_t *out = malloc(room);

    assert_non_null(out);
    assert_int_equal(compress2(out, &room, data, size, 6), Z_OK);
    *ret_size = room;
    return out;
}

static void test_replies_are_compressed_to_the_trailer(void **state) {
    static const char *const settings[] = { "compression = \"zlib\";",
                                            "compression = \"gzip:1\"; io_buffer = \"4K\";" };
    size_t size = 1024 * 1024, back_size, plain_size;
    _cleanup_free_ uint8_t *data = noise(size);

    for (unsigned i = 0; i < 2; i++) {
        _cleanup_free_ uint8_t *back = NULL, *plain = NULL;

        apply("echo", settings[i]);
        back = exchange(data, size, &back_size);
        assert_true(back_size < size);
        plain = inflate_all(back, back_size, size + 1, &plain_size);
        assert_int_equal(plain_size, size);
        assert_memory_equal(plain, data, size);
    }
}

static void test_a_flow_that_sent_nothing_gets_no_trailer(void **state) {
    size_t size;

    apply("echo", "compression = \"zlib\";");
    free(exchange(NULL, 0, &size));
    assert_int_equal(size, 0);
}

static void test_payloads_are_decompressed_member_by_member(void **state) {
    size_t size = 300000, packed_size, back_size;
    _cleanup_free_ uint8_t *data = noise(size), *packed = deflate_all(data, size, &packed_size), *two = NULL,
                           *back = NULL;

    apply("echo", "decompression = \"zlib\"; io_buffer = \"4K\";");
    two = malloc(2 * packed_size);
    assert_non_null(two);
    memcpy(two, packed, packed_size);
    memcpy(two + packed_size, packed, packed_size);
    back = exchange(two, 2 * packed_size, &back_size);
    assert_int_equal(back_size, 2 * size);
    assert_memory_equal(back, data, size);
    assert_memory_equal(back + size, data, size);
    assert_int_equal(live_counter(&live, "a", STAT_DECODE_ERRORS), 0);
    assert_int_equal(live_counter(&live, "a", STAT_RX_BYTES), 2 * packed_size);
    assert_int_equal(live_counter(&live, "a", STAT_RX_PAYLOAD_BYTES), 2 * size);
}

static void test_a_bomb_is_counted_down_while_others_are_served(void **state) {
    size_t size = 64 * 1024 * 1024, packed_size;
    _cleanup_free_ uint8_t *zeros = calloc(1, size), *packed = deflate_all(zeros, size, &packed_size);
    int bomb, other;

    apply("discard", "decompression = \"zlib\"; decompression_max_ratio = \"unlimited\"; io_buffer = \"4K\";");
    bomb = live_connect(&live, "a");
    other = live_connect(&live, "a");
    live_send(bomb, packed, packed_size);
    live_send(other, packed, 100); /* and ends early */
    shutdown(other, SHUT_WR);
    live_expect_end(other);
    shutdown(bomb, SHUT_WR);
    live_expect_end(bomb);
    close(bomb);
    close(other);
    LIVE_UNTIL(&live, live_flows(&live) == 0);
    assert_true(live_counter(&live, "a", STAT_RX_PAYLOAD_BYTES) >= size);
    assert_int_equal(live_counter(&live, "a", STAT_DECODE_ERRORS), 1);
}

static void test_corrupt_input_ends_the_flow_behind_the_answers(void **state) {
    size_t packed_size, back_size;
    _cleanup_free_ uint8_t *packed = deflate_all((const uint8_t *) "good", 4, &packed_size), *back = NULL;
    uint8_t data[128];

    apply("echo", "decompression = \"zlib\";");
    memcpy(data, packed, packed_size);
    memcpy(data + packed_size, "not zlib at all", 15);
    back = exchange(data, packed_size + 15, &back_size);
    assert_int_equal(back_size, 4);
    assert_memory_equal(back, "good", 4);
    assert_int_equal(live_counter(&live, "a", STAT_DECODE_ERRORS), 1);
    assert_int_equal(live_counter(&live, "a", STAT_RESETS), 0);
}

static void test_truncated_input_is_counted(void **state) {
    size_t packed_size, back_size;
    _cleanup_free_ uint8_t *packed = deflate_all((const uint8_t *) "good", 4, &packed_size), *back = NULL;

    apply("echo", "decompression = \"zlib\";");
    back = exchange(packed, packed_size - 1, &back_size);
    assert_int_equal(back_size, 4);
    assert_int_equal(live_counter(&live, "a", STAT_DECODE_ERRORS), 1);
}

static void test_closing_in_order_writes_the_trailer(void **state) {
    const struct flow_selector all = { 0 };
    _cleanup_free_ uint8_t *back = NULL, *plain = NULL;
    size_t size, plain_size;
    int fd;

    apply("echo", "compression = \"gzip\";");
    fd = live_connect(&live, "a");
    live_send(fd, "hello", 5);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_REPLIES) == 1);
    assert_int_equal(live_close(&live, &all, true), 1);
    back = receive_all(fd, &size);
    plain = inflate_all(back, size, 100, &plain_size);
    assert_int_equal(plain_size, 5);
    assert_memory_equal(plain, "hello", 5);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_large_echo_is_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_that_does_not_read_stops_the_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_behind_bad_input_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_loses_what_was_not_acknowledged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_of_a_flow_that_lingers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_close_with_unread_input_loses_as_a_reset_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_that_cannot_be_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_in_order_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_idle_flow_ends_not_before_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies_are_compressed_to_the_trailer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flow_that_sent_nothing_gets_no_trailer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_payloads_are_decompressed_member_by_member, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_bomb_is_counted_down_while_others_are_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corrupt_input_ends_the_flow_behind_the_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated_input_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_in_order_writes_the_trailer, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
