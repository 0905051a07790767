/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "server.h"

struct fixture {
    sd_event *event;
    struct server_config config;
    struct server *server;
    char directory[64], path[96];
};

static void on_call(struct call *call, _unused_ void *userdata) {
    call_reply(call,
               json_pack("{s:i, s:i}", "uid", (int) call_peer(call)->uid, "access", (int) call_peer(call)->access));
}

static int begin(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->config = (struct server_config){
        .limits = LIMITS_DEFAULT,
        .policy = { .own_uid = geteuid(), .admin_gid = ACCESS_NO_GROUP, .look_gid = ACCESS_NO_GROUP },
        .dispatch = on_call,
    };
    strcpy(f->directory, "/tmp/sockq-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void) snprintf(f->path, sizeof(f->path), "%s/deep/socket", f->directory);
    assert_true(sd_event_new(&f->event) >= 0);
    assert_int_equal(server_new(f->event, &f->config, &f->server), 0);
    *state = f;
    return 0;
}

static int end(void **state) {
    struct fixture *f = *state;
    char deep[96];

    server_free(f->server);
    sd_event_unref(f->event);
    (void) unlink(f->path);
    (void) snprintf(deep, sizeof(deep), "%s/deep", f->directory);
    (void) rmdir(deep);
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
    return 0;
}

static void make_deep(const struct fixture *f) {
    char deep[96];

    (void) snprintf(deep, sizeof(deep), "%s/deep", f->directory);
    assert_int_equal(mkdir(deep, 0755), 0);
}

static int client(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    return fd;
}

static int listener(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void settle(struct fixture *f) {
    while (sd_event_run(f->event, 0) > 0)
        ;
}

static void check_served(struct fixture *f, int fd) {
    static const char call[] = "{\"method\":\"t.Who\"}";
    char answer[256], expected[256];
    ssize_t n;

    assert_int_equal(send(fd, call, sizeof(call), 0), sizeof(call));
    settle(f);
    n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    (void) snprintf(expected, sizeof(expected), "{\"parameters\":{\"uid\":%u,\"access\":%d}}", geteuid(),
                    ACCESS_CHANGE);
    assert_int_equal(n, strlen(expected) + 1);
    assert_string_equal(answer, expected);
}

static void check_closed(int fd) {
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void test_bound_path(void **state) {
    struct fixture *f = *state;
    struct stat st;
    int fd;

    assert_int_equal(server_listen_path(f->server, f->path, true), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    fd = client(f->path);
    check_served(f, fd);
    assert_int_equal(server_sessions(f->server), 1);
    assert_false(server_idle(f->server));
    close(fd);
    settle(f);
    assert_int_equal(server_sessions(f->server), 0);
    assert_true(server_idle(f->server));
    f->server = server_free(f->server);
    assert_int_equal(stat(f->path, &st), -1);
}

static void test_parent_only_when_asked_for(void **state) {
    struct fixture *f = *state;

    assert_int_equal(server_listen_path(f->server, f->path, false), -ENOENT);
}

static void test_made_parent_is_open_to_all(void **state) {
    struct fixture *f = *state;
    mode_t before = umask(077);
    char deep[96];
    struct stat st;

    assert_int_equal(server_listen_path(f->server, f->path, true), 0);
    umask(before);
    (void) snprintf(deep, sizeof(deep), "%s/deep", f->directory);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
}

static void test_path_too_long(void **state) {
    struct fixture *f = *state;
    char path[200];

    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(server_listen_path(f->server, path, false), -ENAMETOOLONG);
    assert_int_equal(server_listen_path(f->server, "", false), -EINVAL);
}

static void test_another_daemon_is_left_alone(void **state) {
    struct fixture *f = *state;
    struct stat st;
    int fd;

    make_deep(f);
    fd = listener(f->path);
    assert_int_equal(server_listen_path(f->server, f->path, true), -EADDRINUSE);
    assert_int_equal(stat(f->path, &st), 0);
    close(fd);
}

static void test_stale_socket_is_replaced(void **state) {
    struct fixture *f = *state;
    int fd;

    make_deep(f);
    close(listener(f->path));
    assert_int_equal(server_listen_path(f->server, f->path, true), 0);
    fd = client(f->path);
    check_served(f, fd);
    close(fd);
}

static void test_other_files_are_left_alone(void **state) {
    struct fixture *f = *state;
    struct stat st;
    FILE *file;

    make_deep(f);
    file = fopen(f->path, "we");
    assert_non_null(file);
    (void) fclose(file);
    assert_int_equal(server_listen_path(f->server, f->path, true), -EEXIST);
    assert_int_equal(stat(f->path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void test_successors_socket_is_left_alone(void **state) {
    struct fixture *f = *state;
    struct stat st;
    int fd;

    assert_int_equal(server_listen_path(f->server, f->path, true), 0);
    assert_int_equal(unlink(f->path), 0);
    fd = listener(f->path);
    f->server = server_free(f->server);
    assert_int_equal(stat(f->path, &st), 0);
    close(fd);
}

static void test_passed_socket(void **state) {
    struct fixture *f = *state;
    struct stat st;
    int fd;

    make_deep(f);
    assert_int_equal(server_listen_fd(f->server, listener(f->path)), 0);
    assert_int_equal(server_listen_path(f->server, f->path, true), -EBUSY);
    fd = client(f->path);
    check_served(f, fd);
    close(fd);
    f->server = server_free(f->server);
    assert_int_equal(stat(f->path, &st), 0);
}

static void test_passed_socket_of_another_kind(void **state) {
    struct fixture *f = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(server_listen_fd(f->server, fds[0]), -EINVAL);
    close(fds[0]);
    close(fds[1]);
}

static void restart(struct fixture *f) {
    server_free(f->server);
    assert_int_equal(server_new(f->event, &f->config, &f->server), 0);
    assert_int_equal(server_listen_path(f->server, f->path, true), 0);
}

static void test_sessions_of_one_user_are_limited(void **state) {
    struct fixture *f = *state;
    int fds[3];

    f->config.limits.sessions_per_uid = 2;
    restart(f);
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = client(f->path);
    settle(f);
    assert_int_equal(server_sessions(f->server), 2);
    check_served(f, fds[0]);
    check_served(f, fds[1]);
    check_closed(fds[2]);

    /* Room again. */
    close(fds[0]);
    close(fds[2]);
    settle(f);
    fds[0] = client(f->path);
    settle(f);
    check_served(f, fds[0]);
    close(fds[0]);
    close(fds[1]);
}

static void test_sessions_in_all_are_limited(void **state) {
    struct fixture *f = *state;
    int a, b;

    f->config.limits.sessions = 1;
    f->config.limits.sessions_kept = 0;
    restart(f);
    a = client(f->path);
    b = client(f->path);
    settle(f);
    check_served(f, a);
    check_closed(b);
    close(a);
    close(b);
}

/* Exits with 0 when the daemon closes at once. */
static pid_t fork_stranger(const char *path) {
    pid_t pid = fork();
    char byte;

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    alarm(30);
    _exit(setuid(65534) < 0 || recv(client(path), &byte, 1, 0) != 0);
}

/* Others are refused while there still is room for administrators: which this process is. */
static void test_some_sessions_are_kept(void **state) {
    struct fixture *f = *state;
    int fd, status;
    pid_t pid;

    if (geteuid() != 0)
        skip(); /* only root may become somebody else */
    f->config.limits.sessions = f->config.limits.sessions_kept = 1;
    restart(f);
    assert_int_equal(chmod(f->directory, 0755), 0);
    pid = fork_stranger(f->path);
    while (waitpid(pid, &status, WNOHANG) == 0)
        assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    fd = client(f->path);
    settle(f);
    check_served(f, fd);
    close(fd);
}

/* A client that cannot be accepted yet must not keep the loop busy, and is served as soon as there is room. */
static void test_out_of_descriptors(void **state) {
    struct fixture *f = *state;
    struct rlimit before, none;
    int fd;

    assert_int_equal(server_listen_path(f->server, f->path, true), 0);
    fd = client(f->path);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    settle(f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(server_sessions(f->server), 0);
    while (server_sessions(f->server) == 0)
        assert_true(sd_event_run(f->event, 10 * USEC_PER_SEC) > 0);
    check_served(f, fd);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bound_path, begin, end),
        cmocka_unit_test_setup_teardown(test_parent_only_when_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(test_made_parent_is_open_to_all, begin, end),
        cmocka_unit_test_setup_teardown(test_path_too_long, begin, end),
        cmocka_unit_test_setup_teardown(test_another_daemon_is_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_stale_socket_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown(test_other_files_are_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_successors_socket_is_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_passed_socket, begin, end),
        cmocka_unit_test_setup_teardown(test_passed_socket_of_another_kind, begin, end),
        cmocka_unit_test_setup_teardown(test_sessions_of_one_user_are_limited, begin, end),
        cmocka_unit_test_setup_teardown(test_sessions_in_all_are_limited, begin, end),
        cmocka_unit_test_setup_teardown(test_some_sessions_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(test_out_of_descriptors, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
