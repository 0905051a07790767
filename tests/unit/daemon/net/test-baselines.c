/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "baselines.h"

static int memfd_of(const char *text, size_t size) {
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    return fd;
}

static void assert_empty(int fd) {
    json_t *b = baselines_read(fd);

    assert_non_null(b);
    assert_true(json_is_object(b));
    assert_int_equal(json_object_size(b), 0);
    json_decref(b);
}

static void assert_text_is_empty(const char *text, size_t size) {
    _cleanup_close_ int fd = memfd_of(text, size);

    assert_empty(fd);
}

static void test_a_first_run_has_none(void **state) {
    assert_empty(-EBADF);
}

static void test_what_makes_no_sense_is_as_if_there_were_none(void **state) {
    static const char *const texts[] = {
        "", "{", "[]", "7", "null", "\"x\"", "{}x", "{\"1\":{},\"1\":{}}", "{\"\xff\":{}}"
    };
    _cleanup_close_ int pipe_end = -EBADF, directory = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    int ends[2];

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_text_is_empty(texts[i], strlen(texts[i]));
    assert_text_is_empty("{}\0{}", 5);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* would block */
    pipe_end = ends[0];
    close(ends[1]);
    assert_empty(pipe_end);
    assert_empty(directory);
}

static void test_too_much_is_not_read(void **state) {
    _cleanup_close_ int fd = memfd_of("{}", 2);

    assert_int_equal(ftruncate(fd, INT64_C(1) << 40), 0); /* sparse */
    assert_empty(fd);
}

static void test_deep_nesting_is_refused(void **state) {
    static char text[200001];

    memset(text, '[', sizeof(text) - 1);
    assert_text_is_empty(text, sizeof(text) - 1);
    for (size_t i = 0; i + 5 < sizeof(text); i += 5)
        memcpy(text + i, "{\"1\":", 5);
    assert_text_is_empty(text, sizeof(text) - 1);
}

static struct qos_baseline captured(void) {
    struct qos_socket s = make_socket(AF_INET6, SOCK_STREAM);
    struct qos_baseline b;

    set_int(s.fd, SOL_IPV6, IPV6_TCLASS, 0x48);
    qos_baseline_capture(&s, &b);
    close(s.fd);
    return b;
}

static void test_baselines_are_found_by_cookie(void **state) {
    struct qos_baseline in = captured(), out, untouched;
    json_t *b = json_object();

    assert_int_equal(baselines_add(b, 1, &in), 0);
    assert_int_equal(baselines_add(b, UINT64_MAX, &in), 0);
    assert_int_equal(baselines_find(b, UINT64_MAX, &out), 0);
    assert_int_equal(out.known, in.known);
    assert_int_equal(out.option[QOS_OPTION_TCLASS], 0x48);
    assert_memory_equal(out.option, in.option, sizeof(in.option));
    assert_string_equal(out.congestion, in.congestion);
    untouched = out;
    assert_int_equal(baselines_find(b, 2, &out), -ENOENT);
    assert_memory_equal(&out, &untouched, sizeof(out));
    json_decref(b);
}

static void test_a_baseline_that_makes_no_sense_is_not_found(void **state) {
    static const char text[] =
            "{\"1\": {\"tos\": -1}, \"2\": {\"tos\": \"0\"}, \"3\": [], \"4\": {\"tos\": 4294967296},"
            " \"5\": {\"congestion\": \"a name that is far too long\"}, \"6\": {\"new\": 1}}";
    _cleanup_close_ int fd = memfd_of(text, strlen(text));
    json_t *b = baselines_read(fd);
    struct qos_baseline out;

    for (uint64_t cookie = 0; cookie <= 5; cookie++)
        assert_int_equal(baselines_find(b, cookie, &out), -ENOENT);
    assert_int_equal(baselines_find(b, 6, &out), 0); /* of a newer daemon: what it names is passed over */
    assert_int_equal(out.known, 0);
    json_decref(b);
}

static void test_without_a_service_manager_there_is_nothing_to_do(void **state) {
    json_t *b = json_object();

    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(baselines_store(b, "name"), 0);
    json_decref(b);
}

/* The service manager's end of the notification socket. */
static int manager(char path[static 108]) {
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(path, 108, "@sockq-test-baselines-%d", getpid());
    memcpy(sun.sun_path + 1, path + 1, strlen(path + 1));
    assert_int_equal(
            bind(fd, (struct sockaddr *) &sun, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path))), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    return fd;
}

/* One message, and the fd that came along or -EBADF. Messages without text (barriers) are passed over. */
static int receive(int fd, char *text, size_t size) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = { text, size - 1 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    int passed = -EBADF;

    assert_true(n >= 0);
    text[n] = '\0';
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&passed, CMSG_DATA(c), sizeof(passed));
    return passed;
}

static void test_the_store_gets_a_sealed_copy_in_place_of_the_earlier_one(void **state) {
    struct qos_baseline in = captured(), out;
    json_t *b = json_object(), *back;
    char path[108], text[256];
    _cleanup_close_ int fd = manager(path), stored = -EBADF;

    assert_int_equal(baselines_add(b, 42, &in), 0);
    assert_int_equal(baselines_store(b, "the-name"), 0);
    assert_true(receive(fd, text, sizeof(text)) < 0);
    assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=the-name");
    stored = receive(fd, text, sizeof(text));
    assert_string_equal(text, "FDSTORE=1\nFDNAME=the-name");
    assert_true(stored >= 0);
    assert_true(write(stored, "x", 1) < 0);
    assert_true(ftruncate(stored, 0) < 0);

    back = baselines_read(stored);
    assert_int_equal(baselines_find(back, 42, &out), 0);
    assert_memory_equal(out.option, in.option, sizeof(in.option));
    json_decref(back);
    back = baselines_read(stored); /* the position does not matter */
    assert_int_equal(json_object_size(back), 1);
    json_decref(back);
    json_decref(b);
    unsetenv("NOTIFY_SOCKET");
}

static void test_a_manager_that_has_gone_is_an_error(void **state) {
    json_t *b = json_object();

    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    assert_true(baselines_store(b, "name") < 0);
    unsetenv("NOTIFY_SOCKET");
    json_decref(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_run_has_none),
        cmocka_unit_test(test_what_makes_no_sense_is_as_if_there_were_none),
        cmocka_unit_test(test_too_much_is_not_read),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_baselines_are_found_by_cookie),
        cmocka_unit_test(test_a_baseline_that_makes_no_sense_is_not_found),
        cmocka_unit_test(test_without_a_service_manager_there_is_nothing_to_do),
        cmocka_unit_test(test_the_store_gets_a_sealed_copy_in_place_of_the_earlier_one),
        cmocka_unit_test(test_a_manager_that_has_gone_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
