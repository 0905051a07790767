/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define MESSAGE_MAX 512

int notify_open(struct notify *n) {
    const char *path = getenv("NOTIFY_SOCKET");
    size_t size = path ? strlen(path) : 0;

    *n = (struct notify){ .fd = -EBADF, .address.sun_family = AF_UNIX };
    if (size == 0)
        return 0;
    if (*path != '/' && *path != '@')
        return -EINVAL;
    if (size >= sizeof(n->address.sun_path))
        return -E2BIG;
    memcpy(n->address.sun_path, path, size);
    if (*path == '@')
        n->address.sun_path[0] = '\0';
    /* The length of an abstract name has no NUL in it, a path's may have. */
    n->address_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size + (*path == '/'));
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return n->fd < 0 ? -errno : 0;
}

void notify_close(struct notify *n) {
    n->fd = close_fd(n->fd);
}

void notify_tell(const struct notify *n, const char *format, ...) {
    char text[MESSAGE_MAX];
    va_list args;
    int size;

    if (n->fd < 0)
        return;
    va_start(args, format);
    size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size < 0)
        return;
    (void) sendto(n->fd, text, MIN((size_t) size, sizeof(text) - 1), MSG_NOSIGNAL,
                  (const struct sockaddr *) &n->address, n->address_size);
}
