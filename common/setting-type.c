/* SPDX-License-Identifier: MIT */
#include "setting-type.h"

#include <stdio.h>

#include "reason.h"
#include "unit.h"

#define KEEPALIVE_SEC_MAX 32767 /* MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL of the kernel */
#define KEEPALIVE_COUNT_MAX 127 /* MAX_TCP_KEEPCNT */

static int parse_seconds(const char *text, uint32_t *ret) {
    int64_t usec;

    if (unit_parse_duration(text, &usec) < 0 || usec % (int64_t) USEC_PER_SEC != 0)
        return -EINVAL;
    int64_t sec = usec / (int64_t) USEC_PER_SEC;
    if (sec < 1 || sec > KEEPALIVE_SEC_MAX)
        return -ERANGE;
    *ret = (uint32_t) sec;
    return 0;
}

static int parse_count(const char *text, uint32_t *ret) {
    int64_t count;

    if (unit_parse_decimal(text, &count) < 0)
        return -EINVAL;
    if (count < 1 || count > KEEPALIVE_COUNT_MAX)
        return -ERANGE;
    *ret = (uint32_t) count;
    return 0;
}

static int parse_keepalive(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    char words[3][16], quoted[REASON_QUOTE_MAX];
    union setting_value v = {};
    int end = 0, r = -EINVAL;

    if (streq(text, s->zero_word)) {
        *ret = v;
        return 0;
    }
    if (sscanf(text, "%15[^, ],%15[^, ],%15[^, ]%n", words[0], words[1], words[2], &end) == 3 && !text[end]) {
        r = parse_seconds(words[0], &v.keepalive.idle_sec);
        if (r == 0)
            r = parse_seconds(words[1], &v.keepalive.interval_sec);
        if (r == 0)
            r = parse_count(words[2], &v.keepalive.count);
    }
    if (r == -ERANGE)
        return reason_set(ret_reason, r, "keepalive %s is out of range 1s-%ds,1s-%ds,1-%d", reason_quote(text, quoted),
                          KEEPALIVE_SEC_MAX, KEEPALIVE_SEC_MAX, KEEPALIVE_COUNT_MAX);
    if (r < 0)
        return reason_set(ret_reason, r,
                          "%s is not IDLE,INTERVAL,COUNT in whole seconds, write for example 60s,10s,5 or %s",
                          reason_quote(text, quoted), s->zero_word);

    *ret = v;
    return 0;
}

static char *format_keepalive(const struct setting *s, const union setting_value *v) {
    char *text = NULL;

    if (v->keepalive.idle_sec == 0)
        return strdup(s->zero_word);
    if (asprintf(&text, "%us,%us,%u", v->keepalive.idle_sec, v->keepalive.interval_sec, v->keepalive.count) < 0)
        return NULL;
    return text;
}

static bool equal_keepalive(const union setting_value *a, const union setting_value *b) {
    return a->keepalive.idle_sec == b->keepalive.idle_sec && a->keepalive.interval_sec == b->keepalive.interval_sec &&
           a->keepalive.count == b->keepalive.count;
}

static int parse_name(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    char quoted[REASON_QUOTE_MAX];

    if (n == 0 || text[n] || n >= sizeof(ret->name))
        return reason_set(ret_reason, -EINVAL, "%s is not a name of 1-%zu characters out of a-z, 0-9, '_' and '-'",
                          reason_quote(text, quoted), sizeof(ret->name) - 1);
    strcpy(ret->name, text);
    return 0;
}

static char *format_name(const struct setting *s, const union setting_value *v) {
    return strdup(v->name);
}

static bool equal_name(const union setting_value *a, const union setting_value *b) {
    return streq(a->name, b->name);
}

/* A decoder takes every level: what is said about it is accepted and forgotten. */
static bool has_level(const struct setting *s, enum coding id) {
    return setting_client_id(s->id) == SETTING_COMPRESSION && coding_info(id)->level_max > 0;
}

static int parse_coding(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    char quoted[REASON_QUOTE_MAX];
    enum coding id;
    int level, r;

    if (setting_client_id(s->id) == SETTING_DECOMPRESSION && streq(text, coding_info(CODING_AUTO)->name)) {
        ret->coding.id = CODING_AUTO;
        ret->coding.level = 0;
        return 0;
    }
    r = coding_parse(text, &id, &level);
    if (r < 0)
        return reason_set(ret_reason, r, "%s %s, write %s", reason_quote(text, quoted),
                          r == -ERANGE ? "has an unknown level" : "is not a known format", s->syntax);
    ret->coding.id = (uint8_t) id;
    ret->coding.level = (int8_t) (has_level(s, id) ? level : 0);
    return 0;
}

static char *format_coding(const struct setting *s, const union setting_value *v) {
    enum coding id = (enum coding) v->coding.id;
    char *text = NULL;

    if (!has_level(s, id))
        return strdup(coding_info(id)->name);
    if (asprintf(&text, "%s:%d", coding_info(id)->name, v->coding.level) < 0)
        return NULL;
    return text;
}

static bool equal_coding(const union setting_value *a, const union setting_value *b) {
    return a->coding.id == b->coding.id && a->coding.level == b->coding.level;
}

static int parse_cidrs(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    char quoted[REASON_QUOTE_MAX];
    _cleanup_free_ char *bad = NULL;
    int r;

    r = cidr_list_parse(text, &ret->cidrs, &bad);
    if (r == -E2BIG)
        return reason_set(ret_reason, -ERANGE, "more than %d address prefixes", CIDR_LIST_MAX);
    if (r == -EINVAL)
        return reason_set(
                ret_reason, r,
                "%s is not an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32 without bits set behind "
                "the prefix",
                reason_quote(bad, quoted));
    return r;
}

static char *format_cidrs(const struct setting *s, const union setting_value *v) {
    return cidr_list_format(v->cidrs);
}

static bool equal_cidrs(const union setting_value *a, const union setting_value *b) {
    return cidr_list_equal(a->cidrs, b->cidrs);
}

static void ref_cidrs(union setting_value *v) {
    cidr_list_ref(v->cidrs);
}

static void done_cidrs(union setting_value *v) {
    v->cidrs = cidr_list_unref(v->cidrs);
}

static const struct setting_type_ops types[SETTING_TYPE_MAX] = {
    [SETTING_TYPE_DSCP] = { .parse = setting_parse_dscp, .format = setting_format_dscp },
    [SETTING_TYPE_TOS] = { .parse = setting_parse_tos, .format = setting_format_tos },
    [SETTING_TYPE_INTEGER] = { .parse = setting_parse_number, .format = setting_format_number },
    [SETTING_TYPE_MARK] = { .parse = setting_parse_number, .format = setting_format_number },
    [SETTING_TYPE_SIZE] = { .parse = setting_parse_number, .format = setting_format_number },
    [SETTING_TYPE_RATE] = { .parse = setting_parse_number, .format = setting_format_number },
    [SETTING_TYPE_DURATION] = { .parse = setting_parse_number, .format = setting_format_number },
    [SETTING_TYPE_BOOL] = { .parse = setting_parse_bool, .format = setting_format_bool },
    [SETTING_TYPE_WORD] = { .parse = setting_parse_word, .format = setting_format_word },
    [SETTING_TYPE_KEEPALIVE] = { .parse = parse_keepalive, .format = format_keepalive, .equal = equal_keepalive },
    [SETTING_TYPE_NAME] = { .parse = parse_name, .format = format_name, .equal = equal_name },
    [SETTING_TYPE_CODING] = { .parse = parse_coding, .format = format_coding, .equal = equal_coding },
    [SETTING_TYPE_CIDR_LIST] = { .parse = parse_cidrs,
                                 .format = format_cidrs,
                                 .equal = equal_cidrs,
                                 .ref = ref_cidrs,
                                 .done = done_cidrs },
};

const struct setting_type_ops *setting_type_ops(enum setting_type type) {
    return &types[type];
}
