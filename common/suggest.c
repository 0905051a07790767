/* SPDX-License-Identifier: MIT */
#include "suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>

#include "macro.h"

#define WORD_MAX 64

static bool same(char a, char b) {
    return tolower((unsigned char) a) == tolower((unsigned char) b);
}

/* Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
static unsigned distance(const char *a, size_t n_a, const char *b, size_t n_b) {
    uint8_t rows[3][WORD_MAX + 1];
    uint8_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= n_b; j++)
        last[j] = (uint8_t) j;
    for (size_t i = 1; i <= n_a; i++) {
        now[0] = (uint8_t) i;
        for (size_t j = 1; j <= n_b; j++) {
            int best = MIN(last[j] + 1, now[j - 1] + 1);
            best = MIN(best, last[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                best = MIN(best, before[j - 2] + 1);
            now[j] = (uint8_t) best;
        }
        uint8_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[n_b];
}

const char *suggest_near(const char *word, const char *const *candidates) {
    size_t n = strnlen(word, WORD_MAX + 1);
    unsigned best = (unsigned) MAX(n / 3, (size_t) 1) + 1;
    const char *found = NULL;

    if (n > WORD_MAX)
        return NULL;
    for (; *candidates; candidates++) {
        size_t n_candidate = strnlen(*candidates, WORD_MAX + 1);
        /* Each letter that one has more is a change. */
        if (n_candidate > WORD_MAX || MAX(n, n_candidate) - MIN(n, n_candidate) >= best)
            continue;
        unsigned d = distance(word, n, *candidates, n_candidate);
        /* With no letter in common even one change is no typing error. */
        if (d < best && d < MAX(n, n_candidate)) {
            best = d;
            found = *candidates;
        }
    }
    return found;
}
