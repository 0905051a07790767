/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct qos_socket make_socket(int domain, int type) {
    struct qos_socket s;
    int fd = socket(domain, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(qos_socket_init(&s, fd), 0);
    return s;
}

static int domain_of(enum path path) {
    return path == PATH_V4 ? AF_INET : AF_INET6;
}

static struct qos_socket make_bound(enum path path, int type, int receive_buffer) {
    struct qos_socket s = make_socket(domain_of(path), type);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

    if (receive_buffer > 0)
        set_int(s.fd, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    if (path == PATH_V4)
        assert_int_equal(bind(s.fd, (struct sockaddr *) &in, sizeof(in)), 0);
    else {
        set_int(s.fd, SOL_IPV6, IPV6_V6ONLY, 0);
        assert_int_equal(bind(s.fd, (struct sockaddr *) &in6, sizeof(in6)), 0);
    }
    return s;
}

struct qos_socket make_listener(enum path path, int receive_buffer) {
    struct qos_socket s = make_bound(path, SOCK_STREAM, receive_buffer);

    assert_int_equal(listen(s.fd, 8), 0);
    assert_int_equal(qos_socket_init(&s, s.fd), 0);
    return s;
}

static void connect_to(int fd, enum path path, const struct qos_socket *to) {
    struct sockaddr_in6 name = { 0 };
    socklen_t size = sizeof(name);

    /* The port stands in the same place for both families. */
    assert_int_equal(getsockname(to->fd, (struct sockaddr *) &name, &size), 0);
    if (path == PATH_V6) {
        name.sin6_addr = in6addr_loopback;
        assert_int_equal(connect(fd, (struct sockaddr *) &name, sizeof(name)), 0);
    } else {
        struct sockaddr_in in = { .sin_family = AF_INET,
                                  .sin_port = name.sin6_port,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        assert_int_equal(connect(fd, (struct sockaddr *) &in, sizeof(in)), 0);
    }
}

static struct qos_socket make_sender(enum path path, int type) {
    return make_socket(path == PATH_V6 ? AF_INET6 : AF_INET, type);
}

int make_client(enum path path, const struct qos_socket *listener, uint8_t tos) {
    struct qos_socket s = make_sender(path, SOCK_STREAM);

    if (path == PATH_V6)
        set_int(s.fd, SOL_IPV6, IPV6_TCLASS, tos);
    else
        set_int(s.fd, SOL_IP, IP_TOS, tos);
    connect_to(s.fd, path, listener);
    return s.fd;
}

struct qos_socket accept_one(const struct qos_socket *listener) {
    struct qos_socket s;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(qos_socket_init(&s, fd), 0);
    return s;
}

void connection_make(struct connection *c, enum path path) {
    c->listener = make_listener(path, 0);
    c->client = make_client(path, &c->listener, 0);
    c->server = accept_one(&c->listener);
}

void connection_done(struct connection *c) {
    close(c->client);
    close(c->server.fd);
    close(c->listener.fd);
}

void datagram_pair(enum path path, struct qos_socket *ret_receiver, int *ret_sender) {
    *ret_receiver = make_bound(path, SOCK_DGRAM, 0);
    *ret_sender = make_sender(path, SOCK_DGRAM).fd;
    connect_to(*ret_sender, path, ret_receiver);
}

int get_int(int fd, int level, int optname) {
    socklen_t size = sizeof(int);
    int value;

    assert_int_equal(getsockopt(fd, level, optname, &value, &size), 0);
    return value;
}

void set_int(int fd, int level, int optname, int value) {
    assert_int_equal(setsockopt(fd, level, optname, &value, sizeof(value)), 0);
}

void send_and_receive(int from, int to) {
    char byte;

    assert_int_equal(send(from, "x", 1, 0), 1);
    assert_int_equal(recv(to, &byte, 1, 0), 1);
}

void settings_make(struct settings *ret, ...) {
    const char *text;
    va_list ap;

    settings_defaults(ret);
    va_start(ap, ret);
    while ((text = va_arg(ap, const char *))) {
        _cleanup_free_ char *name = strndup(text, strcspn(text, "=")), *reason = NULL;

        assert_non_null(name);
        assert_non_null(setting_find(name));
        if (settings_set_text(ret, setting_find(name), text + strlen(name) + 1, &reason) < 0)
            fail_msg("%s: %s", text, reason);
    }
    va_end(ap);
}

void assert_value(enum setting_id id, const union setting_value *v, const char *text) {
    _cleanup_free_ char *got = setting_format(setting_by_id(id), v);

    assert_non_null(got);
    assert_string_equal(got, text);
}

uint64_t bit(const char *name) {
    return SETTING_BIT(setting_find(name)->id);
}

uint64_t bits(const char *name) {
    return setting_keys(setting_find(name));
}

struct qos_result apply_one(const struct qos_socket *s, const char *name, const char *text,
                            const struct qos_baseline *base) {
    struct qos_result result;
    struct settings set;
    char pair[128];

    snprintf(pair, sizeof(pair), "%s=%s", name, text);
    settings_make(&set, pair, NULL);
    qos_apply_one(s, setting_find(name)->id, &set, base, &result);
    settings_done(&set);
    return result;
}

void assert_applied(const struct qos_socket *s, const char *name, const char *text) {
    struct qos_result result = apply_one(s, name, text, NULL);
    union setting_value now;

    if (result.outcome != QOS_APPLIED)
        fail_msg("%s = %s: outcome %d, error %d", name, text, result.outcome, result.error);
    assert_int_equal(result.error, 0);
    assert_true(result.has_effective);
    assert_value(setting_find(name)->id, &result.effective, text);
    assert_int_equal(qos_read(s, setting_find(name)->id, &now), 0);
    assert_value(setting_find(name)->id, &now, text);
}

void need_net_admin(void) {
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int mark = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) {
        print_message("skipped: needs CAP_NET_ADMIN\n");
        close_fd(TAKE_FD(fd));
        skip();
    }
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    return (int) syscall(SYS_capset, &header, none);
}

static int exit_status_of(int (*fn)(void *arg), void *arg) {
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(drop_capabilities() < 0 ? 2 : fn(arg));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void run_unprivileged(int (*fn)(void *arg), void *arg) {
    assert_int_equal(exit_status_of(fn, arg), 0);
}

static int raise_busy_poll(void *arg) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), usec = 900000;

    return setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &usec, sizeof(usec)) < 0;
}

bool busy_poll_is_guarded(void) {
    return exit_status_of(raise_busy_poll, NULL) == 1;
}

long read_sysctl(const char *path) {
    FILE *f = fopen(path, "re");
    long value;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &value), 1);
    fclose(f);
    return value;
}
