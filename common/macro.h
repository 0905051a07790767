/* SPDX-License-Identifier: MIT */
/*
 * Small macros that every file may use: cleanup attributes, ownership hand-over, array sizes, time units.
 * No code of its own, no state; usable from any thread.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _must_check_ __attribute__((warn_unused_result))
#define _unused_ __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                                      \
    ({                                                                                                                 \
        __typeof__(a) min_a_ = (a);                                                                                    \
        __typeof__(b) min_b_ = (b);                                                                                    \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                                             \
    })
#define MAX(a, b)                                                                                                      \
    ({                                                                                                                 \
        __typeof__(a) max_a_ = (a);                                                                                    \
        __typeof__(b) max_b_ = (b);                                                                                    \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                                             \
    })

/* The address of the struct that holds `member` at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

/* Hands a pointer over: evaluates to it and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) *take_ = &(p);                                                                                   \
        __typeof__(p) taken_ = *take_;                                                                                 \
        *take_ = NULL;                                                                                                 \
        taken_;                                                                                                        \
    })

/* Hands a file descriptor over: evaluates to it and leaves -EBADF behind. */
#define TAKE_FD(fd)                                                                                                    \
    ({                                                                                                                 \
        int *take_ = &(fd);                                                                                            \
        int taken_ = *take_;                                                                                           \
        *take_ = -EBADF;                                                                                               \
        taken_;                                                                                                        \
    })

/* Defines `func##p`, for _cleanup_(func##p), from a `_free` that accepts NULL. */
#define DEFINE_CLEANUP(type, func)                                                                                     \
    static inline void func##p(type *p) {                                                                              \
        if (*p)                                                                                                        \
            func(*p);                                                                                                  \
    }

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_SEC UINT64_C(1000000000)

static inline int streq(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static inline void freep(void *p) {
    free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

/* Closes an fd that is not negative; returns -EBADF, so that `fd = close_fd(fd)` reads well. Keeps errno. */
int close_fd(int fd);

static inline void close_fdp(int *fd) {
    close_fd(*fd);
}
#define _cleanup_close_ _cleanup_(close_fdp)
