/* SPDX-License-Identifier: MIT */
/*
 * Exit statuses of sockqctl, as sockqctl(1) promises them to scripts.
 */
#pragma once

enum status {
    STATUS_DONE = 0,
    STATUS_FAILED = 1,      /* refused or failed */
    STATUS_USAGE = 2,       /* the command line is wrong; nothing was sent */
    STATUS_UNREACHABLE = 3, /* no answer from the daemon */
    STATUS_PARTLY = 4,      /* done for some sockets only */
};
