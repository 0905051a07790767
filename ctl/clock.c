/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

uint64_t clock_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

int clock_wait(int fd, short events, int interrupt_fd, uint64_t deadline_usec) {
    struct pollfd fds[2] = { { .fd = interrupt_fd, .events = POLLIN }, { .fd = fd, .events = events } };

    for (;;) {
        uint64_t now = clock_now();
        uint64_t left_usec = deadline_usec > now ? deadline_usec - now : 0;
        struct timespec left = {
            .tv_sec = (time_t) (left_usec / USEC_PER_SEC),
            .tv_nsec = (long) (left_usec % USEC_PER_SEC * NSEC_PER_USEC),
        };

        int n = ppoll(fds, 2, deadline_usec == CLOCK_NEVER ? NULL : &left, NULL);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        if (fds[0].revents)
            return -EINTR;
        if (fds[1].revents)
            return 0;
        return -ETIMEDOUT;
    }
}

int clock_interrupt_fd(void) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}
