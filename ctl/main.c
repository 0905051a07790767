/* SPDX-License-Identifier: MIT */
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "standard_fds.h"
#include "text.h"
#include "verb.h"

static enum status usage(const char *reason, const char *verb) {
    _cleanup_free_ char *safe = reason ? text_escape(reason, strlen(reason)) : NULL;

    output_complain("%s (try: sockqctl help%s%s)", safe ? safe : "out of memory", verb ? " " : "", verb ? verb : "");
    return STATUS_USAGE;
}

static enum status usage_verb(const char *word) {
    _cleanup_free_ char *reason = NULL;
    const char *near = verb_suggest(word);
    int r;

    if (near)
        r = asprintf(&reason, "unknown verb '%s', did you mean '%s'?", word, near);
    else
        r = asprintf(&reason, "unknown verb '%s'", word);
    return usage(r < 0 ? NULL : reason, NULL);
}

/* 0; or the status to end with. */
static enum status take_timeout(struct ctl *ctl) {
    const char *text = ctl->args->option[OPTION_TIMEOUT];
    int64_t usec;

    if (!text)
        return STATUS_DONE;
    if (args_duration(text, &usec) < 0 || usec <= 0)
        return usage("--timeout needs a time above 0, for example 5 or 500ms", ctl->args->verb);
    ctl->timeout_usec = (uint64_t) usec;
    return STATUS_DONE;
}

static enum status finish(struct ctl *ctl, enum status status) {
    int r = output_flush(&ctl->out);
    ctl_done(ctl);
    if (r >= 0 || r == -EPIPE)
        return status;
    output_complain("cannot write the output: %s", strerror(-r));
    return status == STATUS_DONE ? STATUS_FAILED : status;
}

static enum status run(const struct args *args) {
    struct ctl ctl = { .args = args, .interrupt_fd = -1 };
    _cleanup_free_ char *reason = NULL;
    const struct verb *verb = NULL;

    output_init(&ctl.out, stdout, args->option[OPTION_JSON] != NULL, args->option[OPTION_NO_COLOR] != NULL);
    if (args->verb && !(verb = verb_find(args->verb)))
        return usage_verb(args->verb);
    if (args->option[OPTION_HELP] || args->option[OPTION_VERSION])
        return finish(&ctl, args->option[OPTION_HELP] ? help_show(&ctl) : help_version(&ctl));
    if (!args->verb)
        return usage("which verb?", NULL);
    if (verb_check(verb, args, &reason) < 0)
        return usage(reason, args->verb);

    enum status status = take_timeout(&ctl);
    return finish(&ctl, status == STATUS_DONE ? verb->run(&ctl) : status);
}

int main(int argc, char **argv) {
    _cleanup_(args_done) struct args args = { 0 };
    _cleanup_free_ char *reason = NULL;

    standard_fds_fill();
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    if (args_parse(argc, (const char *const *) argv, &args, &reason) < 0)
        return usage(reason, NULL);
    return run(&args);
}
