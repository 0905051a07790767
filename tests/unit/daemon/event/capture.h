/* SPDX-License-Identifier: MIT */
/*
 * stderr of the test program as a pipe, for one test at a time.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>

struct capture {
    int saved, reader;
    pthread_t thread;
    char *text;
    size_t n;
};

/* stderr goes to a pipe that a thread reads. */
void capture_begin(struct capture *capture);
/* stderr is what it was; returns all that was written, NUL-terminated, to be freed. */
char *capture_end(struct capture *capture);

/* stderr goes to a pipe that is full and that nobody reads. */
void capture_begin_blocked(struct capture *capture);
/* Reads the pipe of capture_begin_blocked() until `text` has gone by. */
void capture_unblock(struct capture *capture, const char *text);
/* stderr is what it was. */
void capture_end_blocked(struct capture *capture);

/* A line of the text, without its newline; *at moves on. NULL at the end. */
char *capture_line(char **at);
