/* SPDX-License-Identifier: MIT */
/*
 * The daemon: owns everything; start and stop order in one place. Main thread.
 */
#pragma once

#include "macro.h"

struct daemon_options {
    const char *config;  /* path of the main file; NULL: the default */
    const char *control; /* path of the control socket; NULL: see varlink_control_path() */
};

/* Runs until it is told to stop. An exit status. */
int daemon_run(const struct daemon_options *options);
/* Checks the files and prints what is wrong. An exit status. */
int daemon_check(const struct daemon_options *options);
