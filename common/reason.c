/* SPDX-License-Identifier: MIT */
#include "reason.h"

#include <stdarg.h>
#include <stdio.h>

int reason_set(char **ret_reason, int error, const char *format, ...) {
    va_list ap;

    if (!ret_reason)
        return error;
    va_start(ap, format);
    int r = vasprintf(ret_reason, format, ap);
    va_end(ap);
    if (r < 0) {
        *ret_reason = NULL;
        return -ENOMEM;
    }
    return error;
}

const char *reason_quote(const char *text, char buf[static REASON_QUOTE_MAX]) {
    size_t n = 0;

    buf[n++] = '\'';
    for (; *text && n < REASON_QUOTE_MAX - sizeof("...'"); text++)
        buf[n++] = (char) (*text >= ' ' && *text <= '~' ? *text : '?');
    strcpy(buf + n, *text ? "...'" : "'");
    return buf;
}
