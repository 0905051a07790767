/* SPDX-License-Identifier: MIT */
#include "baselines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#define BYTES_MAX ((off_t) 4 * 1024 * 1024)

static const char *key_of(uint64_t cookie, char buf[static 32]) {
    snprintf(buf, 32, "%" PRIu64, cookie);
    return buf;
}

json_t *baselines_read(int fd) {
    _cleanup_free_ char *text = NULL;
    struct stat st;
    json_t *b = NULL;

    if (fd >= 0 && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= BYTES_MAX) {
        text = malloc((size_t) st.st_size);
        if (text && pread(fd, text, (size_t) st.st_size, 0) == st.st_size)
            b = json_loadb(text, (size_t) st.st_size, JSON_REJECT_DUPLICATES, NULL);
    }
    if (json_is_object(b))
        return b;
    json_decref(b);
    return json_object();
}

int baselines_find(const json_t *b, uint64_t cookie, struct qos_baseline *ret) {
    char key[32];
    const json_t *one = json_object_get(b, key_of(cookie, key));

    return one && qos_baseline_from_json(one, ret) >= 0 ? 0 : -ENOENT;
}

int baselines_add(json_t *b, uint64_t cookie, const struct qos_baseline *baseline) {
    char key[32];

    return json_object_set_new(b, key_of(cookie, key), qos_baseline_to_json(baseline)) < 0 ? -ENOMEM : 0;
}

static int write_memfd(const json_t *b, const char *name) {
    _cleanup_free_ char *text = json_dumps(b, JSON_COMPACT);
    int fd;

    if (!text)
        return -ENOMEM;
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) != (ssize_t) strlen(text) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int r = errno ? -errno : -EIO;

        close_fd(fd);
        return r;
    }
    return fd;
}

int baselines_store(const json_t *b, const char *name) {
    _cleanup_close_ int fd = -EBADF;
    char state[128];
    int r;

    if (!getenv("NOTIFY_SOCKET"))
        return 0;
    fd = write_memfd(b, name);
    if (fd < 0)
        return fd;
    /* A crash in between loses nothing: the options have just been put back, so the next run finds them as they were. */
    snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    (void) sd_notify(0, state);
    snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
    r = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
    return r < 0 ? r : 0;
}
