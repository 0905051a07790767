/* SPDX-License-Identifier: MIT */
#include "macro.h"

int close_fd(int fd) {
    if (fd >= 0) {
        int saved_errno = errno;
        close(fd);
        errno = saved_errno;
    }
    return -EBADF;
}
