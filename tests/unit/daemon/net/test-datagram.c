/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <stdatomic.h>
#include <zlib.h>

#include "task.h"

#define LARGEST 65507

static struct live live;

/* ---- sends that fail ---- */

#define TRIES 16

static _Atomic int send_errors[24]; /* of the next calls, 0 ends the list */
static _Atomic bool send_never;     /* ENOBUFS until further notice */
static _Atomic int flood;           /* so many sends meet an ICMP error for another reply; negative: all */
static struct sockaddr_in closed;   /* where nobody is */
static _Atomic unsigned n_failed;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);

/* Some of them are real: the kernel limits how many it sends. */
static int next_of_flood(int fd) {
    if (flood > 0)
        flood--;
    if (n_failed % TRIES == TRIES - 1)
        (void) !sendto(fd, "", 0, 0, (struct sockaddr *) &closed, sizeof(closed));
    return ECONNREFUSED;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
    int error = send_errors[0];

    if (send_never)
        error = ENOBUFS;
    else if (flood != 0)
        error = next_of_flood(fd);
    else
        for (unsigned i = 0; i + 1 < ARRAY_SIZE(send_errors); i++)
            send_errors[i] = send_errors[i + 1];
    if (error == 0)
        return __real_sendmmsg(fd, messages, MIN(n, 3U), flags); /* never all at once */
    n_failed++;
    errno = error;
    return -1;
}

static void find_closed_port(void) {
    socklen_t size = sizeof(closed);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    closed = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_return_code(bind(fd, (struct sockaddr *) &closed, sizeof(closed)), errno);
    assert_return_code(getsockname(fd, (struct sockaddr *) &closed, &size), errno);
    close(fd);
}

static int setup(void **state) {
    for (unsigned i = 0; i < ARRAY_SIZE(send_errors); i++)
        send_errors[i] = 0;
    send_never = false;
    flood = 0;
    n_failed = 0;
    live_begin(&live, 2);
    return 0;
}

static int teardown(void **state) {
    live_end(&live);
    return 0;
}

/* One listener with this target, address and settings. */
static void apply(const char *target, const char *host, const char *settings) {
    char text[512];

    snprintf(text, sizeof(text), "listeners = { a = { target = \"%s\"; listen = [ \"udp:%s:0\" ]; %s }; };", target,
             host, settings);
    live_must_apply(&live, text);
}

static void send_numbers(int fd, unsigned from, unsigned n) {
    for (unsigned i = from; i < from + n; i++)
        live_send(fd, &i, sizeof(i));
}

static void expect_numbers(int fd, unsigned from, unsigned n) {
    for (unsigned i = from; i < from + n; i++) {
        unsigned got;

        assert_int_equal(recv(fd, &got, sizeof(got), 0), sizeof(got));
        assert_int_equal(got, i);
    }
}

static void expect_silence(int fd) {
    char byte;

    for (unsigned i = 0; i < 10; i++)
        live_turn(&live);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* ---- replies ---- */

static void test_every_datagram_is_answered_in_order(void **state) {
    int fd;

    apply("echo", "127.0.0.1", "receive_buffer = \"1M\";");
    fd = live_datagram(&live, "a");
    send_numbers(fd, 0, 100);
    expect_numbers(fd, 0, 100);
    assert_int_equal(live_counter(&live, "a", STAT_RX_DATAGRAMS), 100);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_TX_DATAGRAMS) == 100);
    assert_int_equal(live_counter(&live, "a", STAT_RX_BYTES), 400);
    assert_int_equal(live_counter(&live, "a", STAT_PAYLOADS), 100);
    close(fd);
}

static void test_the_smallest_and_the_largest(void **state) {
    static uint8_t data[LARGEST], got[LARGEST + 1];
    int fd;

    memset(data, 0x5a, sizeof(data));
    apply("echo", "127.0.0.1", "receive_buffer = \"1M\"; send_buffer = \"1M\";");
    fd = live_datagram(&live, "a");
    live_send(fd, data, 0);
    assert_int_equal(recv(fd, got, sizeof(got), 0), 0);
    live_send(fd, data, LARGEST);
    assert_int_equal(recv(fd, got, sizeof(got), 0), LARGEST);
    assert_memory_equal(got, data, LARGEST);
    close(fd);
}

static void test_a_target_without_reply(void **state) {
    int fd;

    apply("discard", "[::1]", "");
    fd = live_datagram(&live, "a");
    live_send(fd, "x", 1);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_PAYLOADS) == 1);
    expect_silence(fd);
    assert_int_equal(live_counter(&live, "a", STAT_REPLIES), 0);
    close(fd);
}

static void test_who_is_denied_gets_no_answer(void **state) {
    int fd;

    apply("echo", "127.0.0.1", "allow = \"127.0.0.0/8\"; deny = \"127.0.0.1\";");
    fd = live_datagram(&live, "a");
    live_send(fd, "x", 1);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_REFUSED_DENIED) == 1);
    expect_silence(fd);
    assert_int_equal(live_counter(&live, "a", STAT_RX_DATAGRAMS), 1);
    assert_int_equal(live_counter(&live, "a", STAT_PAYLOADS), 0);
    close(fd);
}

static void test_marks_are_counted_and_reflected(void **state) {
    struct stats_snapshot s;
    char byte;
    struct iovec iov = { &byte, 1 };
    char control[64];
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    int fd;

    apply("echo", "127.0.0.1", "dscp = \"reflect\";");
    fd = live_datagram(&live, "a");
    set_int(fd, SOL_IP, IP_TOS, 46 << 2);
    set_int(fd, SOL_IP, IP_RECVTOS, 1);
    live_send(fd, "x", 1);
    assert_int_equal(recvmsg(fd, &msg, 0), 1);
    assert_non_null(CMSG_FIRSTHDR(&msg));
    assert_int_equal(*CMSG_DATA(CMSG_FIRSTHDR(&msg)), 46 << 2);
    listener_stats(net_listener(live.net, "a"), &s);
    assert_int_equal(s.dscp[46], 1);
    close(fd);
}

/* ---- compression ---- */

static void test_each_datagram_is_whole_compressed_data(void **state) {
    uint8_t packed[128], plain[128], got[128];
    uLong packed_size = sizeof(packed), plain_size = sizeof(plain);
    ssize_t n;
    int fd;

    apply("echo", "127.0.0.1", "decompression = \"zlib\"; compression = \"zlib\";");
    fd = live_datagram(&live, "a");
    assert_int_equal(compress2(packed, &packed_size, (const uint8_t *) "hello", 5, 6), Z_OK);

    /* What is not whole is dropped and counted; what follows is answered. */
    live_send(fd, "not zlib", 8);
    live_send(fd, packed, packed_size - 1);
    live_send(fd, packed, 0);
    memcpy(plain, packed, packed_size);
    plain[packed_size] = 'x';
    live_send(fd, plain, packed_size + 1);
    live_send(fd, packed, packed_size);
    n = recv(fd, got, sizeof(got), 0);
    assert_true(n > 0);
    assert_int_equal(uncompress(plain, &plain_size, got, (uLong) n), Z_OK);
    assert_int_equal(plain_size, 5);
    assert_memory_equal(plain, "hello", 5);
    assert_int_equal(live_counter(&live, "a", STAT_DECODE_ERRORS), 4);
    assert_int_equal(live_counter(&live, "a", STAT_PAYLOADS), 1);
    close(fd);
}

static void test_a_datagram_that_inflates_too_far(void **state) {
    static uint8_t zeros[70000];
    uint8_t packed[1024];
    uLong packed_size = sizeof(packed);
    int fd;

    apply("echo", "127.0.0.1", "decompression = \"zlib\";");
    fd = live_datagram(&live, "a");
    assert_int_equal(compress2(packed, &packed_size, zeros, sizeof(zeros), 9), Z_OK);
    live_send(fd, packed, packed_size);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_DECODE_ERRORS) == 1);

    /* To more than any datagram holds: received, but the reply cannot leave. */
    packed_size = sizeof(packed);
    assert_int_equal(compress2(packed, &packed_size, zeros, 65530, 9), Z_OK);
    live_send(fd, packed, packed_size);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_TX_TOO_LARGE) == 1);
    live_send(fd, "x", 1);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_DECODE_ERRORS) == 2); /* goes on */
    close(fd);
}

/* ---- back pressure ---- */

static void test_replies_wait_for_room(void **state) {
    static const int errors[] = { EAGAIN, ENOBUFS, EINTR, ENOMEM };
    int fd;

    apply("echo", "127.0.0.1", "receive_buffer = \"1M\";");
    fd = live_datagram(&live, "a");
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        send_errors[1] = errors[i]; /* first some leave */
        send_errors[0] = errors[i];
        send_numbers(fd, 0, 50);
        expect_numbers(fd, 0, 50);
        assert_int_equal(send_errors[0], 0);
    }
    assert_int_equal(live_counter(&live, "a", STAT_TX_DROPPED), 0);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_TX_DATAGRAMS) == 200);
    close(fd);
}

static void test_a_reply_that_cannot_be_sent_does_not_hold_up_others(void **state) {
    int fd;

    apply("echo", "127.0.0.1", "");
    fd = live_datagram(&live, "a");
    for (unsigned i = TRIES; i-- > 0;) /* it may be the error of another one: it is tried again */
        send_errors[i] = EPERM;
    live_send(fd, "lost", 4);
    LIVE_UNTIL(&live, n_failed == TRIES);
    send_numbers(fd, 0, 10);
    expect_numbers(fd, 0, 10);
    assert_int_equal(live_counter(&live, "a", STAT_TX_DROPPED), 1);
    close(fd);
}

static void test_a_reply_outlives_a_flood_of_errors(void **state) {
    int fd;

    apply("echo", "127.0.0.1", "");
    find_closed_port();
    fd = live_datagram(&live, "a");
    flood = 20 * TRIES;
    live_send(fd, "x", 1);
    live_expect_text(fd, "x");
    assert_int_equal(n_failed, 20 * TRIES);
    assert_int_equal(live_counter(&live, "a", STAT_TX_DROPPED), 0);
    close(fd);
}

static void test_a_reply_does_not_wait_for_the_end_of_a_flood(void **state) {
    int fd;

    apply("echo", "127.0.0.1", "");
    find_closed_port();
    fd = live_datagram(&live, "a");
    flood = -1;
    live_send(fd, "lost", 4);
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_TX_DROPPED) == 1);
    assert_int_equal(n_failed, 32 * TRIES);
    flood = 0;
    send_numbers(fd, 0, 10);
    expect_numbers(fd, 0, 10);
    close(fd);
}

static void test_while_replies_wait_nothing_is_read(void **state) {
    int fd;

    apply("echo", "127.0.0.1", "receive_buffer = \"1M\";");
    fd = live_datagram(&live, "a");
    send_never = true;
    live_send(fd, "x", 1);
    LIVE_UNTIL(&live, n_failed >= 3);
    send_numbers(fd, 0, 40);
    LIVE_UNTIL(&live, n_failed >= 6);
    assert_int_equal(live_counter(&live, "a", STAT_RX_DATAGRAMS), 1);
    send_never = false;
    live_expect_text(fd, "x");
    expect_numbers(fd, 0, 40);
    close(fd);
}

static void test_replies_that_wait_are_counted_when_the_listener_goes(void **state) {
    struct listener *a;
    struct stats_snapshot s;
    int fd;

    apply("echo", "127.0.0.1", "");
    a = listener_ref(net_listener(live.net, "a"));
    fd = live_datagram(&live, "a");
    send_never = true;
    live_send(fd, "x", 1);
    LIVE_UNTIL(&live, n_failed >= 1);
    live_must_apply(&live, "listeners = { };");
    listener_stats(a, &s);
    assert_int_equal(s.counter[STAT_TX_DROPPED], 1);
    listener_unref(a);
    close(fd);
}

/* ---- the kernel's drops ---- */

static pthread_barrier_t hold;

static void wait_for_flood(struct task *task, struct worker *w) {
    pthread_barrier_wait(&hold);
    pthread_barrier_wait(&hold);
}

static void on_held(struct task *task) {
    task_end(task);
}

/* Datagrams that come while nobody reads, of which the endpoint has no room for most. */
static void overflow(struct task *task, int fd) {
    static const char data[1000];

    assert_int_equal(pthread_barrier_init(&hold, NULL, 2), 0);
    *task = (struct task){ .begin = wait_for_flood, .done = on_held };
    assert_int_equal(task_send_all(task, live.net), 0);
    pthread_barrier_wait(&hold);
    for (unsigned i = 0; i < 100; i++)
        live_send(fd, data, sizeof(data));
}

static void release(void) {
    pthread_barrier_wait(&hold);
    live_turn(&live); /* the worker has left the barrier */
    pthread_barrier_destroy(&hold);
}

static void test_what_the_kernel_drops_is_counted(void **state) {
    struct task task;
    int fd;

    live_end(&live);
    live_begin(&live, 1);
    apply("discard", "127.0.0.1", "receive_buffer = \"4K\";");
    fd = live_datagram(&live, "a");
    overflow(&task, fd);
    release();
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_RX_DATAGRAMS) > 0);
    live_send(fd, "x", 1); /* the count comes with a datagram */
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_RX_DATAGRAMS) + live_counter(&live, "a", STAT_KERNEL_DROPS) == 101);
    assert_true(live_counter(&live, "a", STAT_KERNEL_DROPS) > 0);
    close(fd);
}

static void test_drops_are_counted_when_the_listener_goes(void **state) {
    struct stats_snapshot s;
    struct listener *a;
    struct task task;
    int fd;

    live_end(&live);
    live_begin(&live, 1);
    apply("discard", "127.0.0.1", "receive_buffer = \"4K\";");
    a = listener_ref(net_listener(live.net, "a"));
    fd = live_datagram(&live, "a");
    overflow(&task, fd);
    release();
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_RX_DATAGRAMS) > 0);
    live_must_apply(&live, "listeners = { };");
    listener_stats(a, &s);
    assert_true(s.counter[STAT_KERNEL_DROPS] > 0);
    assert_int_equal(s.counter[STAT_RX_DATAGRAMS] + s.counter[STAT_KERNEL_DROPS], 100);
    listener_unref(a);
    close(fd);
}

/* A passed socket has a past. */
static void test_drops_of_an_earlier_run_are_not_counted(void **state) {
    struct endpoint *e = live_pass(&live, "a", PATH_V4, SOCK_DGRAM);
    struct address to = live_address(e);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    set_int(e->socket.fd, SOL_SOCKET, SO_RCVBUF, 4096);
    assert_int_equal(connect(fd, &to.sa, to.size), 0);
    send_numbers(fd, 0, 1000);
    live_must_apply(&live, "listeners = { a = { target = \"discard\"; }; };");
    LIVE_UNTIL(&live, live_counter(&live, "a", STAT_RX_DATAGRAMS) > 0);
    live_turn(&live);
    live_send(fd, "x", 1);
    LIVE_UNTIL(&live, recv(e->socket.fd, &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT) < 0);
    live_turn(&live);
    assert_int_equal(live_counter(&live, "a", STAT_KERNEL_DROPS), 0);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_datagram_is_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_smallest_and_the_largest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_target_without_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_denied_gets_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marks_are_counted_and_reflected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_datagram_is_whole_compressed_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_datagram_that_inflates_too_far, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies_wait_for_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_that_cannot_be_sent_does_not_hold_up_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_outlives_a_flood_of_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reply_does_not_wait_for_the_end_of_a_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_while_replies_wait_nothing_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies_that_wait_are_counted_when_the_listener_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_the_kernel_drops_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drops_are_counted_when_the_listener_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drops_of_an_earlier_run_are_not_counted, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
