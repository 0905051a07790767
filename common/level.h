/* SPDX-License-Identifier: MIT */
/*
 * Names of the priorities of syslog(3). Pure data, any thread.
 */
#pragma once

/* "emerg" ... "debug": the index is the priority. NULL-terminated. */
const char *const *level_names(void);
