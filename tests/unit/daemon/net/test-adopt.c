/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "adopt.h"
#include "baselines.h"

/* What a child is passed, from fd 3 on. */
struct passing {
    int fds[8];
    const char *names[8];
    unsigned n;
};

static void pass(struct passing *p, int fd, const char *name) {
    assert_true(fd >= 0);
    p->fds[p->n] = fd;
    p->names[p->n++] = name;
}

/* In the child: as the service manager does it. */
static int receive(const struct passing *p) {
    char names[256] = "", number[16];
    int moved[8];

    for (unsigned i = 0; i < p->n; i++) {
        moved[i] = fcntl(p->fds[i], F_DUPFD_CLOEXEC, 100);
        CHECK(moved[i] >= 0);
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ":" : "", p->names[i]);
    }
    for (unsigned i = 0; i < p->n; i++)
        CHECK(dup2(moved[i], 3 + (int) i) >= 0);
    snprintf(number, sizeof(number), "%d", getpid());
    setenv("LISTEN_PID", number, 1);
    snprintf(number, sizeof(number), "%u", p->n);
    setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    return 0;
}

static void run_with(struct passing *p, int (*fn)(void)) {
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(receive(p) || fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    for (unsigned i = 0; i < p->n; i++)
        close(p->fds[i]);
}

static const struct target_ops *const no_targets[] = { NULL };

static int unix_listener(int type) {
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *) &sun, sizeof(sa_family_t)), 0); /* any abstract name */
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* ---- what fits ---- */

static int adopt_good(void) {
    struct adopted adopted;
    struct net *n;

    CHECK(net_new(1, no_targets, &n) == 0);
    CHECK(adopt_sockets(n, &adopted) == 0);
    CHECK(adopted.control_fd == 4);
    CHECK(adopted.refused == 0);
    CHECK(n->n_unclaimed == 2);
    CHECK(streq(n->unclaimed[0]->name, "orders"));
    CHECK(n->unclaimed[0]->passed);
    CHECK(n->unclaimed[0]->socket.fd == 3);
    CHECK(n->unclaimed[0]->socket.listening);
    CHECK(strncmp(n->unclaimed[0]->text, "tcp:127.0.0.1:", 14) == 0);
    CHECK(strncmp(n->unclaimed[1]->text, "udp:[::]:", 9) == 0);
    CHECK(n->unclaimed[0]->cookie != n->unclaimed[1]->cookie);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(fcntl(n->unclaimed[i]->socket.fd, F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(n->unclaimed[i]->socket.fd, F_GETFD) & FD_CLOEXEC);
    }
    CHECK(get_int(n->unclaimed[0]->socket.fd, SOL_IP, IP_RECVTOS) == 1);
    CHECK(get_int(n->unclaimed[1]->socket.fd, SOL_IPV6, IPV6_RECVPKTINFO) == 1);
    CHECK(!getenv("LISTEN_FDS")); /* not for children */
    net_free(n);
    return 0;
}

static void test_sockets_wait_for_their_listeners(void **state) {
    struct passing p = { 0 };
    struct qos_socket udp;
    int sender;

    datagram_pair(PATH_MAPPED, &udp, &sender);
    close(sender);
    pass(&p, make_listener(PATH_V4, 0).fd, "orders");
    pass(&p, unix_listener(SOCK_STREAM), ADOPT_CONTROL_NAME);
    pass(&p, udp.fd, "orders");
    run_with(&p, adopt_good);
}

static int adopt_nothing(void) {
    struct adopted adopted;
    struct net *n;

    unsetenv("LISTEN_FDS");
    CHECK(net_new(1, no_targets, &n) == 0);
    CHECK(adopt_sockets(n, &adopted) == 0);
    CHECK(adopted.control_fd < 0);
    CHECK(n->n_unclaimed == 0);
    net_free(n);
    return 0;
}

static void test_nothing_was_passed(void **state) {
    run_with(&(struct passing){ 0 }, adopt_nothing);
}

/* ---- what does not ---- */

static int adopt_bad(void) {
    struct adopted adopted;
    struct net *n;

    CHECK(net_new(1, no_targets, &n) == 0);
    CHECK(adopt_sockets(n, &adopted) == 0);
    CHECK(adopted.refused == 7);
    CHECK(adopted.control_fd == 9);
    CHECK(n->n_unclaimed == 0);
    for (int fd = 3; fd < 11; fd++)
        CHECK((fcntl(fd, F_GETFD) >= 0) == (fd == 9));
    close(adopted.control_fd);
    net_free(n);
    return 0;
}

static void test_other_kinds_are_refused_and_closed(void **state) {
    struct qos_socket listener = make_listener(PATH_V4, 0), udp;
    struct passing p = { 0 };
    int sender, ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[1]);
    datagram_pair(PATH_V4, &udp, &sender);
    close(udp.fd);
    pass(&p, ends[0], "pipe");
    pass(&p, unix_listener(SOCK_DGRAM), "unix");
    pass(&p, make_socket(AF_INET, SOCK_STREAM).fd, "not-listening");
    pass(&p, make_client(PATH_V4, &listener, 0), "connected");
    pass(&p, sender, "connected-udp");
    pass(&p, make_socket(AF_INET, SOCK_DGRAM).fd, ADOPT_CONTROL_NAME);
    pass(&p, unix_listener(SOCK_STREAM), ADOPT_CONTROL_NAME);
    pass(&p, unix_listener(SOCK_STREAM), ADOPT_CONTROL_NAME);
    run_with(&p, adopt_bad);
    close(listener.fd);
}

/* ---- what an earlier run left ---- */

static int notify_fd;

/* The memfd that the daemon put into the store. */
static json_t *stored(void) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    char text[256];
    struct iovec iov = { text, sizeof(text) };

    for (;;) {
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };

        if (recvmsg(notify_fd, &msg, MSG_DONTWAIT) < 0)
            return NULL;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
            if (c->cmsg_type == SCM_RIGHTS) {
                int fd;

                memcpy(&fd, CMSG_DATA(c), sizeof(fd));
                return baselines_read(fd);
            }
    }
}

static int adopt_again(void) {
    struct qos_baseline b;
    struct adopted adopted;
    json_t *next;
    struct net *n;

    CHECK(net_new(1, no_targets, &n) == 0);
    CHECK(adopt_sockets(n, &adopted) == 0);
    CHECK(n->n_unclaimed == 2);
    CHECK(adopted.refused == 0);
    CHECK(fcntl(5, F_GETFD) < 0); /* the old memfd is closed */

    /* Known: back to what was found then. Not known: as it is. */
    CHECK(get_int(3, SOL_IP, IP_TOS) == 0x20);
    CHECK(get_int(4, SOL_IP, IP_TOS) == 0x48);

    next = stored();
    CHECK(next && json_object_size(next) == 2);
    CHECK(baselines_find(next, n->unclaimed[0]->cookie, &b) == 0);
    CHECK(b.option[QOS_OPTION_TOS] == 0x20);
    CHECK(baselines_find(next, n->unclaimed[1]->cookie, &b) == 0);
    CHECK(b.option[QOS_OPTION_TOS] == 0x48);
    json_decref(next);
    net_free(n);
    return 0;
}

static uint64_t cookie_of(int fd) {
    uint64_t cookie;
    socklen_t size = sizeof(cookie);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
    return cookie;
}

static int memfd_of(json_t *b) {
    _cleanup_free_ char *text = json_dumps(b, JSON_COMPACT);
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    json_decref(b);
    return fd;
}

static void listen_for_notifications(void) {
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    char path[64];

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    notify_fd = fcntl(fd, F_DUPFD_CLOEXEC, 50); /* out of the way of what is passed */
    assert_true(notify_fd >= 0);
    snprintf(path, sizeof(path), "@sockq-test-adopt-%d", getpid());
    memcpy(sun.sun_path + 1, path + 1, strlen(path + 1));
    assert_int_equal(bind(notify_fd, (struct sockaddr *) &sun,
                          (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path))),
                     0);
    setenv("NOTIFY_SOCKET", path, 1);
}

static void test_what_an_earlier_run_left_is_put_back(void **state) {
    struct qos_socket known = make_listener(PATH_V4, 0), fresh = make_listener(PATH_V4, 0);
    struct qos_baseline b;
    struct passing p = { 0 };
    json_t *earlier = json_object();

    set_int(known.fd, SOL_IP, IP_TOS, 0x20);
    qos_baseline_capture(&known, &b);
    assert_int_equal(baselines_add(earlier, cookie_of(known.fd), &b), 0);
    set_int(known.fd, SOL_IP, IP_TOS, 0xb8);
    set_int(fresh.fd, SOL_IP, IP_TOS, 0x48);
    listen_for_notifications();
    pass(&p, known.fd, "a");
    pass(&p, fresh.fd, "b");
    pass(&p, memfd_of(earlier), ADOPT_BASELINES_NAME);
    run_with(&p, adopt_again);
    unsetenv("NOTIFY_SOCKET");
    close(notify_fd);
}

static int adopt_with_rubbish(void) {
    struct adopted adopted;
    struct net *n;

    CHECK(net_new(1, no_targets, &n) == 0);
    CHECK(adopt_sockets(n, &adopted) == 0);
    CHECK(n->n_unclaimed == 1);
    CHECK(get_int(4, SOL_IP, IP_TOS) == 0x48);
    net_free(n);
    return 0;
}

static void test_a_store_that_makes_no_sense_changes_nothing(void **state) {
    struct qos_socket s = make_listener(PATH_V4, 0);
    struct passing p = { 0 };
    json_t *earlier = json_array();

    set_int(s.fd, SOL_IP, IP_TOS, 0x48);
    pass(&p, memfd_of(earlier), ADOPT_BASELINES_NAME);
    pass(&p, s.fd, "a");
    run_with(&p, adopt_with_rubbish);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sockets_wait_for_their_listeners),
        cmocka_unit_test(test_nothing_was_passed),
        cmocka_unit_test(test_other_kinds_are_refused_and_closed),
        cmocka_unit_test(test_what_an_earlier_run_left_is_put_back),
        cmocka_unit_test(test_a_store_that_makes_no_sense_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
