/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "dscp.h"
#include "reason.h"
#include "setting-type.h"
#include "suggest.h"
#include "unit.h"

#define TOS_MAX 255

static const char *format_decimal(int64_t v, char buf[static UNIT_TEXT_MAX]) {
    snprintf(buf, UNIT_TEXT_MAX, "%" PRId64, v);
    return buf;
}

static const char *format_hex(int64_t v, char buf[static UNIT_TEXT_MAX]) {
    snprintf(buf, UNIT_TEXT_MAX, "0x%" PRIx64, (uint64_t) v);
    return buf;
}

/* How the numbers of a type are spelt, and what an error says about it. */
struct notation {
    int (*parse)(const char *text, int64_t *ret);
    const char *(*format)(int64_t v, char buf[static UNIT_TEXT_MAX]);
    const char *noun, *example;
    const char *unit; /* what a bare number may have meant; NULL: it has none */
};

static const struct notation notations[SETTING_TYPE_MAX] = {
    [SETTING_TYPE_INTEGER] = { unit_parse_integer, format_decimal, "a whole number", "5", NULL },
    [SETTING_TYPE_MARK] = { unit_parse_integer, format_hex, "a whole number", "42 or 0x2a", NULL },
    [SETTING_TYPE_SIZE] = { unit_parse_size, unit_format_size, "a size of whole bytes in B, K, M or G", "64K", "B" },
    [SETTING_TYPE_RATE] = { unit_parse_rate, unit_format_rate,
                            "a rate of whole bytes a second in bit, Kbit, Mbit, Gbit, Bps, KBps, MBps or GBps",
                            "50Mbit", "bit" },
    [SETTING_TYPE_DURATION] = { unit_parse_duration, unit_format_duration,
                                "a duration of whole microseconds in us, ms, s, m or h", "200ms", "s" },
};

static int refuse_spelling(const struct setting *s, const char *text, char **ret_reason) {
    const struct notation *n = &notations[s->type];
    const char *last = s->zero_word ? " or " : "", *zero_word = s->zero_word ?: "";
    char quoted[REASON_QUOTE_MAX];
    int64_t bare;

    reason_quote(text, quoted);
    if (n->unit && unit_parse_decimal(text, &bare) == 0)
        return reason_set(ret_reason, -EINVAL, "%s has no unit, write for example %" PRId64 "%s%s%s%s%s", quoted, bare,
                          n->unit, s->zero_word ? ", " : " or ", n->example, last, zero_word);
    return reason_set(ret_reason, -EINVAL, "%s is not %s, write for example %s%s%s", quoted, n->noun, n->example, last,
                      zero_word);
}

static int refuse_range(const struct setting *s, const char *text, char **ret_reason) {
    const struct notation *n = &notations[s->type];
    char quoted[REASON_QUOTE_MAX], min[UNIT_TEXT_MAX], max[UNIT_TEXT_MAX];

    return reason_set(ret_reason, -ERANGE, "%s %s is out of range %s-%s%s%s", s->name, reason_quote(text, quoted),
                      n->format(s->min, min), n->format(s->max, max), s->zero_word ? " or " : "", s->zero_word ?: "");
}

int setting_parse_number(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    const struct notation *n = &notations[s->type];
    char quoted[REASON_QUOTE_MAX], step[UNIT_TEXT_MAX];
    int64_t v;
    int r;

    if (s->zero_word && streq(text, s->zero_word)) {
        ret->number = 0;
        return 0;
    }
    r = n->parse(text, &v);
    if (r == -EINVAL)
        return refuse_spelling(s, text, ret_reason);
    if (r < 0 || v < s->min || v > s->max)
        return refuse_range(s, text, ret_reason);
    if (s->step > 0 && v % s->step != 0)
        return reason_set(ret_reason, -EINVAL, "%s %s is not a multiple of %s", s->name, reason_quote(text, quoted),
                          n->format(s->step, step));

    ret->number = v;
    return 0;
}

char *setting_format_number(const struct setting *s, const union setting_value *v) {
    char buf[UNIT_TEXT_MAX];

    if (v->number == 0 && s->zero_word)
        return strdup(s->zero_word);
    return strdup(notations[s->type].format(v->number, buf));
}

static int refuse_dscp(const char *text, char **ret_reason) {
    char quoted[REASON_QUOTE_MAX], name[DSCP_TEXT_MAX];
    int64_t v;

    reason_quote(text, quoted);
    if (unit_parse_integer(text, &v) != 0) {
        const char *near = suggest_near(text, dscp_names());
        if (near)
            return reason_set(ret_reason, -EINVAL, "unknown DSCP name %s, did you mean '%s'?", quoted, near);
        return reason_set(ret_reason, -EINVAL,
                          "%s is not a DSCP: write a name such as EF, 0-63, reflect or passthrough", quoted);
    }
    if (v <= TOS_MAX && ecn_from_tos((uint8_t) v) == 0)
        return reason_set(ret_reason, -ERANGE, "DSCP %s is out of range 0-63, as a TOS byte it is dscp %s", quoted,
                          dscp_format(dscp_from_tos((uint8_t) v), name));
    return reason_set(ret_reason, -ERANGE, "DSCP %s is out of range 0-63", quoted);
}

/* The numbers that are no mark; 0 if the text is none of their names. */
static int parse_mark_word(const char *text) {
    return streq(text, "reflect") ? DSCP_REFLECT : streq(text, "passthrough") ? DSCP_PASSTHROUGH : 0;
}

/* NULL: it is a mark. */
static const char *mark_word(int64_t dscp) {
    return dscp == DSCP_REFLECT ? "reflect" : dscp == DSCP_PASSTHROUGH ? "passthrough" : NULL;
}

int setting_parse_dscp(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    int dscp = parse_mark_word(text);

    if (dscp == 0)
        dscp = dscp_parse(text);
    if (dscp < 0)
        return refuse_dscp(text, ret_reason);
    ret->number = dscp;
    return 0;
}

char *setting_format_dscp(const struct setting *s, const union setting_value *v) {
    char buf[DSCP_TEXT_MAX];

    if (mark_word(v->number))
        return strdup(mark_word(v->number));
    return strdup(dscp_format((unsigned) v->number, buf));
}

int setting_parse_tos(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    char quoted[REASON_QUOTE_MAX], name[DSCP_TEXT_MAX];
    int64_t v;
    int r;

    ret->number = parse_mark_word(text);
    if (ret->number != 0)
        return 0;
    r = unit_parse_integer(text, &v);
    reason_quote(text, quoted);
    if (r == -EINVAL) {
        int dscp = dscp_parse(text);
        if (dscp >= 0)
            return reason_set(ret_reason, -EINVAL, "TOS is a byte: write dscp %s or tos 0x%02x", dscp_name(dscp),
                              dscp_to_tos((uint8_t) dscp));
        return reason_set(ret_reason, -EINVAL, "%s is not a TOS byte: write 0x00-0xfc, 0-252, reflect or passthrough",
                          quoted);
    }
    if (r < 0 || v > TOS_MAX)
        return reason_set(ret_reason, -ERANGE, "TOS %s is out of range 0x00-0xfc", quoted);

    unsigned ecn = ecn_from_tos((uint8_t) v), dscp = dscp_from_tos((uint8_t) v);
    if (ecn != 0)
        return reason_set(ret_reason, -EINVAL,
                          "TOS 0x%02x has ECN bits set, which belong to the kernel (RFC 3168); 0x%02x (dscp %s) is the "
                          "mark without them",
                          (unsigned) v, (unsigned) v - ecn, dscp_format(dscp, name));
    ret->number = dscp;
    return 0;
}

char *setting_format_tos(const struct setting *s, const union setting_value *v) {
    char buf[sizeof("0xff")];

    if (mark_word(v->number))
        return strdup(mark_word(v->number));
    snprintf(buf, sizeof(buf), "0x%02x", dscp_to_tos((uint8_t) v->number));
    return strdup(buf);
}

static const char *const bool_words[][2] = { { "false", "true" }, { "off", "on" }, { "no", "yes" } };

int setting_parse_bool(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    char quoted[REASON_QUOTE_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(bool_words); i++)
        for (int v = 0; v <= 1; v++)
            if (streq(text, bool_words[i][v])) {
                ret->number = v;
                return 0;
            }
    return reason_set(ret_reason, -EINVAL, "%s is neither true nor false (on and off, yes and no are understood too)",
                      reason_quote(text, quoted));
}

char *setting_format_bool(const struct setting *s, const union setting_value *v) {
    return strdup(bool_words[0][v->number != 0]);
}

int setting_parse_word(const struct setting *s, const char *text, union setting_value *ret, char **ret_reason) {
    const char *near = suggest_near(text, s->words);
    char quoted[REASON_QUOTE_MAX];

    for (size_t i = 0; s->words[i]; i++)
        if (streq(text, s->words[i])) {
            ret->number = (int64_t) i;
            return 0;
        }
    return reason_set(ret_reason, -EINVAL, "%s is not one of %s%s%s%s", reason_quote(text, quoted), s->syntax,
                      near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

char *setting_format_word(const struct setting *s, const union setting_value *v) {
    return strdup(s->words[v->number]);
}
