/* SPDX-License-Identifier: MIT */
#include "standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include "macro.h"

void standard_fds_fill(void) {
    static const int flags[] = { [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDONLY };

    /* The lowest free one is taken: none below is left open. */
    for (int fd = 0; fd < (int) ARRAY_SIZE(flags); fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) < 0)
            _exit(EXIT_FAILURE);
}
