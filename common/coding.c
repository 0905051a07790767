/* SPDX-License-Identifier: MIT */
#include "coding.h"

#include "unit.h"

static const struct coding_info codings[CODING_MAX + 1] = {
    [CODING_OFF] = { .name = "off" },
    [CODING_ZLIB] = { .name = "zlib", .level_min = 1, .level_max = 9, .level_default = 6 },
    [CODING_GZIP] = { .name = "gzip", .level_min = 1, .level_max = 9, .level_default = 6 },
    [CODING_AUTO] = { .name = "auto" },
};

const struct coding_info *coding_info(enum coding id) {
    return &codings[id];
}

int coding_parse(const char *text, enum coding *ret_id, int *ret_level) {
    size_t n = strcspn(text, ":");

    for (int id = 0; id < CODING_MAX; id++) {
        const struct coding_info *c = &codings[id];
        int64_t level = c->level_default;

        if (strlen(c->name) != n || memcmp(text, c->name, n) != 0)
            continue;
        if (text[n]) {
            int r = unit_parse_decimal(text + n + 1, &level);
            if (r < 0 || level < c->level_min || level > c->level_max || c->level_max == 0)
                return -ERANGE;
        }
        *ret_id = (enum coding) id;
        *ret_level = (int) level;
        return 0;
    }
    return -EINVAL;
}
