/* SPDX-License-Identifier: MIT */
#include "socket_path.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int unix_socket(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

static int make_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = NULL;

    if (!slash || slash == path)
        return 0;
    parent = strndup(path, (size_t) (slash - path));
    if (!parent)
        return -ENOMEM;
    if (mkdir(parent, 0755) < 0)
        return errno == EEXIST ? 0 : -errno;
    /* Whatever the umask, other users must get to the socket. */
    return chmod(parent, 0755) < 0 ? -errno : 0;
}

/* 0: the socket at this address was left behind, and is gone now. */
static int remove_stale(const struct sockaddr_un *address) {
    _cleanup_close_ int fd = -EBADF;
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    fd = unix_socket();
    if (fd < 0)
        return fd;
    /* EAGAIN: somebody listens and is busy. */
    if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0 || errno == EAGAIN)
        return -EADDRINUSE;
    if (errno != ECONNREFUSED)
        return -errno;
    return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_fresh(int fd, const struct sockaddr_un *address) {
    int r;

    if (bind(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0)
        return 0;
    if (errno != EADDRINUSE)
        return -errno;
    r = remove_stale(address);
    if (r < 0)
        return r;
    return bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0 ? -errno : 0;
}

int socket_path_bind(const char *path, bool make_directory, struct socket_path *ret) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    _cleanup_(socket_path_done) struct socket_path bound = { 0 };
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ char *copy = NULL;
    struct stat st;
    int r;

    if (path[0] == '\0')
        return -EINVAL;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    r = make_directory ? make_parent(path) : 0;
    if (r < 0)
        return r;
    fd = unix_socket();
    if (fd < 0)
        return fd;
    r = bind_fresh(fd, &address);
    if (r < 0)
        return r;
    if (lstat(path, &st) < 0)
        return -errno;
    bound = (struct socket_path){ .path = TAKE_PTR(copy), .dev = st.st_dev, .ino = st.st_ino };
    /* Before listen(), so that nobody sees it with other rights. */
    if (chmod(path, 0666) < 0 || listen(fd, SOMAXCONN) < 0)
        return -errno;
    *ret = bound;
    bound.path = NULL;
    return TAKE_FD(fd);
}

void socket_path_done(struct socket_path *b) {
    struct stat st;

    if (b->path && lstat(b->path, &st) >= 0 && st.st_dev == b->dev && st.st_ino == b->ino)
        (void) unlink(b->path);
    free(b->path);
    b->path = NULL;
}
