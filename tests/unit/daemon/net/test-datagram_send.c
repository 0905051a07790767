/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <netinet/udp.h>
#include <pthread.h>
#include <zlib.h>

/* ---- a kernel that refuses ---- */

/* What the next sends meet; afterwards what happened. */
static struct {
    pthread_mutex_t lock;
    int error;     /* errno of what is refused */
    bool whole;    /* refuse only sends of several datagrams */
    unsigned pass; /* messages that are sent before that */
    unsigned left; /* how often it refuses */
    unsigned n_refused, n_whole, n_single;
} kernel = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_whole(const struct mmsghdr *m) {
    struct msghdr msg = m->msg_hdr;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
            return true;
    return false;
}

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);

/* As the real one: what comes before the refused message is sent, and tells nothing of it. */
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
    unsigned good = 0;
    int r;

    pthread_mutex_lock(&kernel.lock);
    while (good < n && (kernel.left == 0 || kernel.pass > 0 || (kernel.whole && !is_whole(&messages[good])))) {
        kernel.pass -= kernel.pass > 0;
        good++;
    }
    if (good == 0) {
        kernel.left--;
        kernel.n_refused++;
        errno = kernel.error;
        r = -1;
    } else {
        r = __real_sendmmsg(fd, messages, good, flags);
        for (int i = 0; i < r; i++)
            if (is_whole(&messages[i]))
                kernel.n_whole++;
            else
                kernel.n_single++;
    }
    pthread_mutex_unlock(&kernel.lock);
    return r;
}

static void refuse_after(unsigned pass, int error, bool whole, unsigned times) {
    pthread_mutex_lock(&kernel.lock);
    kernel.pass = pass;
    kernel.error = error;
    kernel.whole = whole;
    kernel.left = times;
    kernel.n_refused = kernel.n_whole = kernel.n_single = 0;
    pthread_mutex_unlock(&kernel.lock);
}

static void refuse(int error, bool whole, unsigned times) {
    refuse_after(0, error, whole, times);
}

#define NOTHING 0, false, 0
#define ALWAYS UINT32_MAX

static unsigned seen(const unsigned *counter) {
    unsigned n;

    pthread_mutex_lock(&kernel.lock);
    n = *counter;
    pthread_mutex_unlock(&kernel.lock);
    return n;
}

/* ---- a listener and a client ---- */

static struct live live;
static int client;

#define LISTENER(keys) "listeners = { a = { " keys " listen = [ \"udp:127.0.0.1:0\" ]; }; };"
#define NO_LISTENER "listeners = { b = { target = \"echo\"; listen = [ \"tcp:127.0.0.1:0\" ]; }; };"

static void begin(const char *config) {
    refuse(NOTHING);
    live_begin(&live, 1);
    live_must_apply(&live, config);
    client = live_datagram(&live, "a");
}

static int teardown(void **state) {
    refuse(NOTHING);
    close(client);
    live_end(&live);
    return 0;
}

static int setup_echo(void **state) {
    begin(LISTENER("target = \"echo\";"));
    return 0;
}

static int setup_ack(void **state) {
    begin(LISTENER("target = \"ack\"; reply = \"one\";"));
    return 0;
}

static int setup_zlib(void **state) {
    begin(LISTENER("target = \"echo\"; compression = \"zlib:1\";"));
    return 0;
}

#define SIZE 100

/* `n` datagrams of SIZE bytes in one call, so that one turn answers all of them. The first bytes number them. */
static void ask(unsigned n) {
    static char data[128 * SIZE];

    memset(data, '.', sizeof(data));
    for (unsigned i = 0; i < n; i++)
        snprintf(data + (size_t) i * SIZE, SIZE, "%u", i);
    set_int(client, SOL_UDP, UDP_SEGMENT, SIZE);
    live_send(client, data, (size_t) n * SIZE);
}

static void expect_answers(unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++) {
        char got[2 * SIZE];

        assert_int_equal(recv(client, got, sizeof(got), 0), SIZE);
        assert_int_equal(strtoul(got, NULL, 10), i);
    }
}

static void expect_nothing_more(void) {
    char byte;

    live_turn(&live);
    assert_int_equal(recv(client, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* Counters are moved before the reply can be read, but for those of the send. */
static void expect_counter(enum counter id, uint64_t value) {
    LIVE_UNTIL(&live, live_counter(&live, "a", id) == value);
}

/* ---- tests ---- */

static void test_replies_leave_in_one_send(void **state) {
    ask(50);
    expect_answers(0, 50);
    expect_nothing_more();
    expect_counter(STAT_RX_DATAGRAMS, 50);
    expect_counter(STAT_PAYLOADS, 50);
    expect_counter(STAT_TX_DATAGRAMS, 50);
    expect_counter(STAT_TX_BYTES, 50 * SIZE);
    assert_int_equal(seen(&kernel.n_whole), 1);
    assert_int_equal(seen(&kernel.n_single), 0);
}

static void test_a_group_that_is_refused_goes_singly(void **state) {
    static const int errors[] = { EMSGSIZE, EINVAL };

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        refuse(errors[i], true, 1);
        ask(50);
        expect_answers(0, 50);
        expect_nothing_more();
        assert_int_equal(seen(&kernel.n_whole), 0);
        assert_int_equal(seen(&kernel.n_single), 50);
        /* The next one is tried as a whole again. */
        ask(50);
        expect_answers(0, 50);
        assert_int_equal(seen(&kernel.n_whole), 1);
    }
    expect_counter(STAT_TX_DATAGRAMS, 4 * 50);
    expect_counter(STAT_TX_DROPPED, 0);
    expect_counter(STAT_TX_TOO_LARGE, 0);
}

static void test_after_eio_all_go_singly(void **state) {
    refuse(EIO, true, 1);
    ask(50);
    expect_answers(0, 50);
    for (unsigned i = 0; i < 3; i++) {
        ask(64);
        expect_answers(0, 64);
    }
    expect_nothing_more();
    assert_int_equal(seen(&kernel.n_refused), 1);
    assert_int_equal(seen(&kernel.n_whole), 0);
    assert_int_equal(seen(&kernel.n_single), 50 + 3 * 64);
    expect_counter(STAT_TX_DROPPED, 0);
}

static void test_what_has_no_room_waits(void **state) {
    static const int errors[] = { EAGAIN, ENOBUFS, ENOMEM, EINTR };

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        refuse(errors[i], false, 3);
        ask(100);
        ask(100);
        expect_answers(0, 100);
        expect_answers(0, 100);
        expect_nothing_more();
        assert_int_equal(seen(&kernel.n_refused), 3);
    }
    expect_counter(STAT_TX_DATAGRAMS, 4 * 200);
    expect_counter(STAT_TX_DROPPED, 0);
}

static void test_a_group_that_goes_singly_waits_in_the_middle(void **state) {
    static const unsigned pass[] = { 1, 63, 64, 65, 99 };

    refuse(EIO, true, 1);
    ask(2);
    expect_answers(0, 2);
    for (size_t i = 0; i < ARRAY_SIZE(pass); i++) {
        refuse_after(pass[i], EAGAIN, false, 2);
        ask(100);
        expect_answers(0, 100);
        assert_int_equal(seen(&kernel.n_refused), 2);
    }
    expect_nothing_more();
}

/* As often as a message is tried that the kernel does not want. */
#define TRIES 16

static void test_a_reply_that_fails_is_counted(void **state) {
    refuse(EPERM, false, TRIES);
    ask(50);
    expect_counter(STAT_TX_DROPPED, 50);
    refuse(EMSGSIZE, false, 1 + TRIES); /* the group, then its first reply */
    ask(50);
    expect_answers(1, 50);
    expect_counter(STAT_TX_TOO_LARGE, 1);
    expect_nothing_more();
    expect_counter(STAT_REPLIES, 100);
    expect_counter(STAT_TX_DATAGRAMS, 49);
}

static void test_an_error_of_an_earlier_reply_costs_no_other(void **state) {
    static const int errors[] = { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES, EPROTO, EMSGSIZE };

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        refuse(errors[i], false, TRIES - 1);
        ask(50);
        expect_answers(0, 50);
    }
    expect_nothing_more();
    expect_counter(STAT_TX_DATAGRAMS, ARRAY_SIZE(errors) * 50);
    expect_counter(STAT_TX_DROPPED, 0);
    expect_counter(STAT_TX_TOO_LARGE, 0);
}

/* Each message anew. */
static void test_errors_between_replies_cost_none(void **state) {
    refuse(EIO, true, 1);
    ask(2);
    expect_answers(0, 2);
    for (unsigned pass = 1; pass < 20; pass++) {
        refuse_after(pass, ECONNREFUSED, false, TRIES - 1);
        ask(20);
        expect_answers(0, 20);
    }
    expect_counter(STAT_TX_DROPPED, 0);
}

/* A group may be larger than the whole queue, and some queues drop a part of it without a word. */
static void test_a_full_queue_gets_replies_singly_for_a_while(void **state) {
    refuse(ENOBUFS, true, 1);
    for (unsigned i = 0; i < 64; i++) {
        ask(10);
        expect_answers(0, 10);
    }
    expect_nothing_more();
    assert_int_equal(seen(&kernel.n_refused), 1);
    assert_int_equal(seen(&kernel.n_whole), 0);
    ask(10);
    expect_answers(0, 10);
    assert_int_equal(seen(&kernel.n_whole), 1);
}

static void test_a_queue_that_stays_full_is_not_waited_for(void **state) {
    refuse(ENOBUFS, false, ALWAYS);
    ask(3);
    expect_counter(STAT_TX_DROPPED, 3);
    assert_true(seen(&kernel.n_refused) > 20);

    /* Nor by those who come later, for some time. */
    refuse(ENOBUFS, false, 2);
    ask(20);
    expect_answers(2, 20);
    expect_counter(STAT_TX_DROPPED, 5);
    expect_counter(STAT_TX_DATAGRAMS, 18);
    assert_int_equal(seen(&kernel.n_refused), 2);
}

/* Sends to a port that nobody has: the error comes back at once. */
static void provoke_error(void) {
    const struct endpoint *e = live_endpoint(&live, "a", SOCK_DGRAM, 0);
    struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(nobody);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *) &nobody, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &nobody, &size), 0);
    close(fd);
    (void) sendto(e->socket.fd, "x", 1, 0, (struct sockaddr *) &nobody, size);
}

static void test_errors_are_taken_while_replies_wait(void **state) {
    static const int waits[] = { EAGAIN, ENOBUFS };
    uint64_t n_errors = 0;

    for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
        refuse(waits[i], false, ALWAYS);
        ask(10);
        LIVE_UNTIL(&live, seen(&kernel.n_refused) > 1);
        for (unsigned k = 0; k < 60; k++) { /* none of them uses up the time that a reply may rest */
            provoke_error();
            expect_counter(STAT_ICMP_ERRORS, ++n_errors);
        }
        refuse(NOTHING);
        expect_answers(0, 10);
    }
    expect_counter(STAT_TX_DROPPED, 0);
}

static void test_an_error_does_not_hold_up_what_comes_in(void **state) {
    for (unsigned i = 1; i <= 50; i++) {
        provoke_error();
        ask(10);
        expect_answers(0, 10);
        expect_counter(STAT_ICMP_ERRORS, i);
    }
    expect_counter(STAT_TX_DATAGRAMS, 500);
}

/* More than fits in one go, so that payloads are still unanswered when the first replies have to wait. */
static void ask_much(void) {
    static char data[64];

    set_int(client, SOL_UDP, UDP_SEGMENT, 1);
    for (unsigned i = 0; i < 32; i++)
        live_send(client, data, sizeof(data));
}

static void expect_much(void) {
    char byte;

    for (unsigned i = 0; i < 32 * 64; i++)
        assert_int_equal(recv(client, &byte, 1, 0), 1);
}

static void test_payloads_wait_behind_replies(void **state) {
    set_int(client, SOL_SOCKET, SO_RCVBUF, 4 << 20);
    refuse(EAGAIN, false, ALWAYS);
    ask_much();
    LIVE_UNTIL(&live, seen(&kernel.n_refused) > 2);
    refuse(NOTHING);
    expect_much();
    expect_nothing_more();
    expect_counter(STAT_TX_DATAGRAMS, 32 * 64);
}

static void test_another_endpoint_goes_on(void **state) {
    int other;

    live_must_apply(&live, "listeners = { a = { target = \"echo\"; listen = [ \"udp:127.0.0.1:0\" ]; };"
                           "              c = { target = \"echo\"; listen = [ \"udp:127.0.0.1:0\" ]; }; };");
    close(client);
    client = live_datagram(&live, "a");
    other = live_datagram(&live, "c");
    refuse(EAGAIN, true, ALWAYS);
    ask(50);
    LIVE_UNTIL(&live, seen(&kernel.n_refused) > 0);
    for (unsigned i = 0; i < 10; i++) {
        live_send(other, "x", 1);
        live_expect_text(other, "x");
    }
    close(other);
    refuse(NOTHING);
    expect_answers(0, 50);
}

static void test_replies_that_wait_survive_their_target(void **state) {
    char got[8];

    refuse(EAGAIN, false, ALWAYS);
    ask(3);
    LIVE_UNTIL(&live, seen(&kernel.n_refused) > 0);
    live_must_apply(&live, LISTENER("target = \"ack\"; reply = \"two\";"));
    live_turn(&live);
    refuse(NOTHING);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(recv(client, got, sizeof(got), 0), 3);
        assert_memory_equal(got, "one", 3);
    }
    ask(1);
    assert_int_equal(recv(client, got, sizeof(got), 0), 3);
    assert_memory_equal(got, "two", 3);
}

static void test_an_endpoint_that_goes_answers_and_counts(void **state) {
    struct listener *a = listener_ref(net_listener(live.net, "a"));
    struct stats_snapshot s;

    refuse(EAGAIN, false, ALWAYS);
    ask_much();
    LIVE_UNTIL(&live, seen(&kernel.n_refused) > 2 && live_counter(&live, "a", STAT_RX_DATAGRAMS) > 0);
    live_must_apply(&live, NO_LISTENER);
    live_turn(&live);
    listener_stats(a, &s);
    assert_true(s.counter[STAT_TX_DROPPED] > 0);
    assert_int_equal(s.counter[STAT_TX_DATAGRAMS], 0);
    assert_int_equal(s.counter[STAT_PAYLOADS], s.counter[STAT_RX_DATAGRAMS]);
    assert_int_equal(s.counter[STAT_TX_DROPPED], s.counter[STAT_PAYLOADS]);
    listener_unref(a);
}

/* Compressed replies are copies that must stay until they are sent. */
static void test_compressed_replies_wait(void **state) {
    uint8_t first[512], again[512];
    ssize_t size;

    ask(1);
    size = recv(client, first, sizeof(first), 0);
    assert_true(size > 0 && size < SIZE);
    refuse(EAGAIN, false, 1);
    ask(50);
    for (unsigned i = 0; i < 50; i++) {
        ssize_t n = recv(client, again, sizeof(again), 0);

        assert_true(n > 0 && n < SIZE);
        if (i == 0) {
            assert_int_equal(n, size);
            assert_memory_equal(again, first, (size_t) size);
        }
    }
    expect_nothing_more();
    expect_counter(STAT_TX_DROPPED, 0);
}

/* They take long, and more memory than there is for one turn. */
static void test_large_payloads_to_compress(void **state) {
    enum { N = 20, LARGE = 60000 };
    static uint8_t data[N][LARGE], got[LARGE], coded[65536];
    unsigned seed = 1;

    for (unsigned i = 0; i < N; i++)
        for (unsigned k = 0; k < LARGE; k++)
            data[i][k] = (uint8_t) ((seed = seed * 1103515245 + 12345) >> 16);
    need_net_admin();
    set_int(live_endpoint(&live, "a", SOCK_DGRAM, 0)->socket.fd, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
    set_int(client, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
    refuse(EAGAIN, false, ALWAYS);
    for (unsigned i = 0; i < N; i++)
        live_send(client, data[i], LARGE);
    refuse(NOTHING);
    for (unsigned i = 0; i < N; i++) {
        ssize_t n = recv(client, coded, sizeof(coded), 0);
        uLongf size = sizeof(got);

        assert_true(n > 0);
        assert_int_equal(uncompress(got, &size, coded, (uLong) n), Z_OK);
        assert_int_equal(size, LARGE);
        assert_memory_equal(got, data[i], LARGE);
    }
    expect_counter(STAT_TX_DATAGRAMS, N);
}

int main(void) {
#define TEST(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_replies_leave_in_one_send, setup_echo),
        TEST(test_a_group_that_is_refused_goes_singly, setup_echo),
        TEST(test_after_eio_all_go_singly, setup_echo),
        TEST(test_what_has_no_room_waits, setup_echo),
        TEST(test_a_group_that_goes_singly_waits_in_the_middle, setup_echo),
        TEST(test_a_reply_that_fails_is_counted, setup_echo),
        TEST(test_an_error_of_an_earlier_reply_costs_no_other, setup_echo),
        TEST(test_errors_between_replies_cost_none, setup_echo),
        TEST(test_a_full_queue_gets_replies_singly_for_a_while, setup_echo),
        TEST(test_a_queue_that_stays_full_is_not_waited_for, setup_echo),
        TEST(test_errors_are_taken_while_replies_wait, setup_echo),
        TEST(test_an_error_does_not_hold_up_what_comes_in, setup_echo),
        TEST(test_payloads_wait_behind_replies, setup_echo),
        TEST(test_another_endpoint_goes_on, setup_echo),
        TEST(test_replies_that_wait_survive_their_target, setup_ack),
        TEST(test_an_endpoint_that_goes_answers_and_counts, setup_echo),
        TEST(test_compressed_replies_wait, setup_zlib),
        TEST(test_large_payloads_to_compress, setup_zlib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
