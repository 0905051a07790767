/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static void closedirp(DIR **d) {
    if (*d)
        closedir(*d);
}

static int compare_text(const void *a, const void *b) {
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static bool is_dropin(const char *name) {
    size_t n = strlen(name);

    return name[0] != '.' && n > 5 && streq(name + n - 5, ".conf");
}

/* Appends directory/name to the list, which has room for FILES_MAX and the final NULL. */
static int add_dropin(struct load *l, const struct config_where *directory, const char *name, size_t *n) {
    if (*n == FILES_MAX) {
        load_fault(l, directory, NULL, "more than %d drop-ins", FILES_MAX - 1);
        l->partial = true;
        return -E2BIG;
    }
    if (asprintf(&l->config->files[*n], "%s/%s", directory->file, name) < 0) {
        l->config->files[*n] = NULL;
        return -ENOMEM;
    }
    (*n)++;
    return 0;
}

static void refuse_directory(struct load *l, const struct config_where *where) {
    load_fault(l, where, NULL, "cannot be listed: %m");
    l->partial = true;
}

static int find_dropins(struct load *l, const char *directory, size_t *n) {
    struct config_where where = { .file = directory };
    _cleanup_(closedirp) DIR *d = opendir(directory);

    if (!d) {
        if (errno != ENOENT)
            refuse_directory(l, &where);
        return 0;
    }

    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry)
            break;
        if (!is_dropin(entry->d_name))
            continue;
        int r = add_dropin(l, &where, entry->d_name, n);
        if (r == -E2BIG)
            return 0;
        if (r < 0)
            return r;
    }
    if (errno != 0)
        refuse_directory(l, &where);
    return 0;
}

int files_find(struct load *l, const char *path) {
    _cleanup_free_ char *directory = NULL;
    size_t n = 1;

    l->config->files = calloc(FILES_MAX + 1, sizeof(char *));
    if (!l->config->files)
        return -ENOMEM;
    l->config->files[0] = strdup(path);
    if (!l->config->files[0])
        return -ENOMEM;
    if (asprintf(&directory, "%s.d", path) < 0) {
        directory = NULL;
        return -ENOMEM;
    }

    int r = find_dropins(l, directory, &n);
    if (r < 0)
        return r;
    qsort(l->config->files + 1, n - 1, sizeof(char *), compare_text);
    return 0;
}

/* Opens without waiting for the writer of a FIFO. */
static int open_regular(struct load *l, const struct config_where *where, int *ret_fd) {
    _cleanup_close_ int fd = open(where->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0) {
        load_fault(l, where, NULL, "cannot be opened: %m");
        return -EINVAL;
    }
    if (fstat(fd, &st) < 0) {
        load_fault(l, where, NULL, "cannot be read: %m");
        return -EINVAL;
    }
    if (!S_ISREG(st.st_mode)) {
        load_fault(l, where, NULL, "not a regular file");
        return -EINVAL;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* The size is counted, not asked for: the file may grow meanwhile. */
static int read_all(struct load *l, const struct config_where *where, int fd, char **ret_text, size_t *ret_size) {
    _cleanup_free_ char *text = NULL;
    size_t size = 0, room = 0;

    for (;;) {
        if (size == room) {
            room = room > 0 ? room * 2 : 16 * 1024;
            char *larger = realloc(text, room + 2);
            if (!larger)
                return -ENOMEM;
            text = larger;
        }
        ssize_t k = read(fd, text + size, room - size);
        if (k < 0) {
            load_fault(l, where, NULL, "cannot be read: %m");
            return -EINVAL;
        }
        if (k == 0)
            break;
        size += (size_t) k;
        if (size > CONFIG_FILE_BYTES_MAX) {
            load_fault(l, where, NULL, "larger than %d bytes", CONFIG_FILE_BYTES_MAX);
            return -EINVAL;
        }
    }
    text[size++] = '\n';
    text[size] = '\0';
    *ret_text = TAKE_PTR(text);
    *ret_size = size;
    return 0;
}

int file_read(struct load *l, const char *path, char **ret_text, size_t *ret_size) {
    struct config_where where = { .file = path };
    _cleanup_close_ int fd = -EBADF;

    int r = open_regular(l, &where, &fd);
    if (r < 0)
        return r;
    return read_all(l, &where, fd, ret_text, ret_size);
}
