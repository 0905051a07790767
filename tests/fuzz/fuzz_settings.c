/* SPDX-License-Identifier: MIT */
/* Every row of the settings table parses the text; what it accepts comes back the same through its canonical text. */
#include <ctype.h>

#include "fuzz.h"
#include "setting.h"

static void check_refusal(int r, const char *reason) {
    assert(r == -EINVAL || r == -ERANGE);
    assert(reason && *reason);
    for (const char *c = reason; *c; c++)
        assert(isascii(*c) && isprint((unsigned char) *c));
}

static void check_value(const struct setting *row, const union setting_value *value) {
    _cleanup_free_ char *canonical = setting_format(row, value), *again = NULL;
    union setting_value second;
    int r;

    assert(canonical);
    r = setting_parse(row, canonical, &second, NULL);
    assert(r == 0);
    assert(setting_value_equal(row, value, &second));
    again = setting_format(row, &second);
    assert(again && streq(canonical, again));
    setting_value_done(row, &second);
}

/* The upstream leg takes and shows what the client leg does. */
static void check_legs(const struct setting *row, const char *text, int expected, const struct settings *both) {
    const struct setting *upstream = setting_find_on_leg(row->name, SETTING_LEG_UPSTREAM);
    struct settings set = { 0 }, leg = { 0 };
    int r;

    if (!upstream)
        return;
    r = settings_set_text(&set, upstream, text, NULL);
    assert(r == expected);
    settings_upstream(&set, &leg);
    assert(r < 0 || settings_diff(&leg, both) == SETTING_BIT(upstream->id)); /* what `both` says of the other leg */
    settings_done(&set);
    settings_done(&leg);
}

static void check_row(const struct setting *row, const char *text) {
    _cleanup_free_ char *reason = NULL, *set_reason = NULL;
    struct settings set = { 0 };
    union setting_value value;
    int r, set_r;

    r = setting_parse(row, text, &value, &reason);
    if (r < 0)
        check_refusal(r, reason);
    else {
        check_value(row, &value);
        setting_value_done(row, &value);
    }

    set_r = settings_set_text(&set, row, text, &set_reason);
    if (set_r < 0)
        check_refusal(set_r, set_reason);
    else {
        _cleanup_free_ char *shown = settings_get_text(&set, row);
        assert(shown && set.set_mask == setting_keys(row));
        assert(r == 0 || settings_inherits(&set, row->id));
    }
    assert(r < 0 || set_r == 0);
    check_legs(row, text, set_r, &set);
    settings_done(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = fuzz_copy(data, size, 1);

    for (size_t i = 0; setting_row(i); i++)
        check_row(setting_row(i), text);
    (void) setting_find(text);
    (void) setting_suggest(text);
    return 0;
}
