/* SPDX-License-Identifier: MIT */
#include "place.h"

/* The argument's placeholder of an option word that has it still to come; NULL: none, or it is there ("--level=debug"). */
static const char *awaited(const char *word) {
    int id = option_find(word);

    return id >= 0 && !strchr(word, '=') ? option_row(id)->argument : NULL;
}

/* The word number `index` of a synopsis; the last one may repeat. NULL: no more words. */
static const char *word_of(const char *synopsis, size_t index) {
    for (const char *at = synopsis; *at; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        bool repeats = at[length] == 0 && strstr(at, "...");

        if (index == 0 || repeats)
            return at;
        index--;
        at += length;
    }
    return NULL;
}

static bool is_option(const char *word) {
    return word[0] == '-' && word[1] != 0;
}

/* The unfinished word begins with a dash. */
static void expect_option(struct place *p) {
    const char *equals = strchr(p->word, '=');
    int id = equals ? option_find(p->word) : -EINVAL;

    p->option = !equals;
    if (id >= 0) {
        p->expects = option_row(id)->argument;
        p->current = equals + 1;
    }
}

void place_find(const char *const *words, size_t n, struct place *ret) {
    struct place p = { .word = n > 0 ? words[n - 1] : "" };
    const char *verb = NULL, *placeholder = NULL, *option = NULL;
    bool ended = false;
    size_t n_words = 0;

    for (size_t i = 0; i + 1 < n; i++) {
        if (placeholder) {
            if (option_find(option) == OPTION_CONTROL)
                p.control = words[i];
            placeholder = NULL;
        } else if (!ended && streq(words[i], "--")) {
            ended = true;
        } else if (!ended && is_option(words[i])) {
            option = words[i];
            placeholder = awaited(option);
            if (!placeholder && option_find(option) == OPTION_CONTROL)
                p.control = strchr(option, '=') + 1;
        } else if (!verb) {
            verb = words[i];
            p.verb = verb_find(verb);
        } else if (n_words++ == 0) {
            p.first = words[i];
        }
    }
    p.current = p.word;
    if (placeholder)
        p.expects = placeholder;
    else if (!ended && p.word[0] == '-')
        expect_option(&p);
    else if (!verb)
        p.expects = "VERB";
    else if (p.verb)
        p.expects = word_of(p.verb->words, n_words);
    *ret = p;
}

bool place_alternative(const char **at, const char **ret, size_t *ret_length) {
    const char *name = *at + strspn(*at, "[|");
    size_t length = strcspn(name, "| []."), rest;

    if (length == 0)
        return false;
    /* What repeats or is optional in it is no alternative of its own. */
    rest = strcspn(name, "| ");
    *at = name + rest;
    *ret = name;
    *ret_length = length;
    return true;
}
