/* SPDX-License-Identifier: MIT */
/*
 * Descriptors 0, 1 and 2 belong to standard input, output and error, also when whoever started the program closed them.
 */
#pragma once

/* Fills those that are closed, so that no socket becomes one of them and gets text written into it. What fills them can be
 * neither written to nor read from: output into it is an error that is told. First thing in main(). */
void standard_fds_fill(void);
