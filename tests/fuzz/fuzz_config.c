/* SPDX-License-Identifier: MIT */
/* The input as a configuration file; what follows a line "# next file" is a drop-in beside it. */
#include <stdio.h>
#include <sys/stat.h>

#include "config.h"
#include "fuzz.h"

#define SEPARATOR "# next file\n"

/* libconfig forgets a string that stands where none may; an empty one it makes in another place. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

static char folder[] = "/tmp/sockq-fuzz-XXXXXX", main_file[64], drop_ins[68], drop_in[80];

static void clean_up(void) {
    (void) unlink(drop_in);
    (void) unlink(main_file);
    (void) rmdir(drop_ins);
    (void) rmdir(folder);
}

static void make_folder(void) {
    int r;

    if (*main_file)
        return;
    assert(mkdtemp(folder));
    (void) snprintf(main_file, sizeof(main_file), "%s/conf", folder);
    (void) snprintf(drop_ins, sizeof(drop_ins), "%s.d", main_file);
    (void) snprintf(drop_in, sizeof(drop_in), "%s/1.conf", drop_ins);
    r = mkdir(drop_ins, 0700);
    assert(r == 0);
    (void) atexit(clean_up);
}

static void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wbe");
    size_t n;

    assert(file);
    n = fwrite(data, 1, size, file);
    assert(n == size);
    (void) fclose(file);
}

static void write_files(const uint8_t *data, size_t size) {
    const uint8_t *next = memmem(data, size, SEPARATOR, strlen(SEPARATOR));

    write_file(main_file, data, next ? (size_t) (next - data) : size);
    if (next)
        write_file(drop_in, next, (size_t) (data + size - next));
    else
        (void) unlink(drop_in);
}

/* An upstream is of one kind, its text is fit for a terminal, and names the same upstream. */
static void check_upstream(const struct config_upstream *u) {
    struct config_upstream again;
    int r;

    assert((u->address.size > 0) + (u->host != NULL) + (u->path != NULL) == 1);
    for (const char *c = u->text; *c; c++)
        assert(*c >= ' ' && *c <= '~');
    r = config_upstream_parse(u->text, &again, NULL);
    assert(r == 0 && streq(again.text, u->text) && again.type == u->type && again.port == u->port);
    config_upstream_done(&again);
}

static void check_forward(const struct config_forward *f) {
    assert(f->n_upstreams > 0 && f->n_upstreams <= CONFIG_UPSTREAMS_MAX);
    for (size_t i = 0; i < f->n_upstreams; i++)
        check_upstream(&f->upstreams[i]);
    assert(f->accept_proxy && f->max_failures > 0 && f->failure_window_usec > 0 && f->retry_after_usec > 0);
    assert(config_forward_equal(f, f));
}

static void check_listener(const struct config_listener *l) {
    assert(config_name_valid(l->name));
    assert(l->target);
    assert(frame_ops(l->framing));
    for (size_t i = 0; i < l->n_listen; i++)
        assert(l->listen[i].text);
    assert(!l->forward == !streq(l->target, "forward"));
    if (l->forward)
        check_forward(l->forward);
    assert((l->settings.set_mask & ~SETTINGS_ALL) == 0);
}

static void check_config(struct config *c) {
    assert(c->n_listeners <= CONFIG_LISTENERS_MAX && c->n_profiles <= CONFIG_PROFILES_MAX);
    for (size_t i = 0; i < c->n_listeners; i++) {
        check_listener(&c->listeners[i]);
        assert(config_listener(c, c->listeners[i].name) == &c->listeners[i]);
    }
    for (size_t i = 0; i < c->n_profiles; i++)
        assert(config_profile(c, c->profiles[i].name) == &c->profiles[i]);
    (void) config_unref(c);
}

static void check_faults(const struct config_faults *faults) {
    assert(faults->n > 0 && faults->n <= CONFIG_FAULTS_MAX);
    for (size_t i = 0; i < faults->n; i++) {
        _cleanup_free_ char *text = config_fault_format(&faults->items[i]);
        assert(text && !strpbrk(text, "\n\r\x1b"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const targets[] = { "ack", "discard", "echo", "forward", "journal", NULL };
    const struct config_schema schema = { .targets = targets };
    struct config_faults faults = { 0 };
    struct config *config = NULL;
    int r;

    make_folder();
    write_files(data, size);
    r = config_load(main_file, &schema, &config, &faults);
    if (r == 0) {
        assert(faults.n == 0);
        check_config(config);
    } else {
        assert(r == -EINVAL && !config);
        check_faults(&faults);
    }
    config_faults_done(&faults);
    return 0;
}
