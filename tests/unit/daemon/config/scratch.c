/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

/* libconfig 1.5 loses the string that stands where a syntax error is. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:strbuf_append\n";
}

static const char *const targets[] = { "ack", "discard", "echo", "forward", "journal", NULL };
static const struct config_schema schema = { .targets = targets };

int scratch_setup(void **state) {
    struct scratch *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    strcpy(s->directory, "/tmp/sockq-config-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    *state = s;
    return 0;
}

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

int scratch_teardown(void **state) {
    struct scratch *s = *state;

    config_unref(s->config);
    config_faults_done(&s->faults);
    nftw(s->directory, on_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(s);
    return 0;
}

const char *scratch_path(const struct scratch *s, const char *name) {
    static char path[4096];

    snprintf(path, sizeof(path), "%s/%s", s->directory, name);
    return path;
}

void scratch_write_bytes(const struct scratch *s, const char *name, const char *bytes, size_t size) {
    const char *slash = strchr(name, '/');

    if (slash) {
        _cleanup_free_ char *directory = strndup(name, (size_t) (slash - name));
        assert_non_null(directory);
        assert_true(mkdir(scratch_path(s, directory), 0755) == 0 || errno == EEXIST);
    }
    _cleanup_close_ int fd = open(scratch_path(s, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t) size);
}

void scratch_write(const struct scratch *s, const char *name, const char *text) {
    scratch_write_bytes(s, name, text, strlen(text));
}

int scratch_load(struct scratch *s) {
    s->config = config_unref(s->config);
    config_faults_done(&s->faults);
    int r = config_load(scratch_path(s, "a.conf"), &schema, &s->config, &s->faults);
    assert_true(r == 0 ? s->config && s->faults.n == 0 : r == -EINVAL && !s->config && s->faults.n > 0);
    return r;
}

/* All faults as text, the directory left out. */
static char *faults_text(const struct scratch *s) {
    char *text = NULL;
    size_t size, skip = strlen(s->directory) + 1;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    for (size_t i = 0; i < s->faults.n; i++) {
        _cleanup_free_ char *line = config_fault_format(&s->faults.items[i]);
        assert_non_null(line);
        assert_memory_equal(line, s->directory, skip - 1);
        fprintf(f, "%s\n", line + skip);
    }
    fclose(f);
    return text;
}

const struct config *scratch_good(struct scratch *s, const char *text) {
    scratch_write(s, "a.conf", text);
    scratch_load(s);
    _cleanup_free_ char *faults = faults_text(s);
    assert_string_equal(faults, "");
    return s->config;
}

/* Whether `text` begins with what `pattern` has before a final "*", or is the same. Both lines end with "\n". */
static bool line_matches(const char *pattern, const char *text) {
    size_t n = strcspn(pattern, "\n");

    if (n > 0 && pattern[n - 1] == '*')
        return strncmp(pattern, text, n - 1) == 0;
    return strncmp(pattern, text, n + 1) == 0;
}

void scratch_expect(struct scratch *s, const char *expected) {
    scratch_load(s);
    _cleanup_free_ char *faults = faults_text(s);
    const char *e = expected, *f = faults;

    for (; *e && *f; e += strcspn(e, "\n") + 1, f += strcspn(f, "\n") + 1)
        if (!line_matches(e, f))
            break;
    if (*e || *f)
        assert_string_equal(faults, expected);
}

void scratch_bad(struct scratch *s, const char *text, const char *expected) {
    scratch_write(s, "a.conf", text);
    scratch_expect(s, expected);
}
