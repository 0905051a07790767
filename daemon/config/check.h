/* SPDX-License-Identifier: MIT */
/*
 * From the merged tree to struct config, with a fault for everything that is wrong. For this room only. Main thread.
 *
 * The check functions return 0, faults or not, or -ENOMEM. Those that take a value return 1 if they have one, 0 if they
 * added a fault instead.
 */
#pragma once

#include <stdbool.h>

#include "tree.h"

/* One key of the daemon or of a listener that is not a setting. */
struct check_key {
    const char *name;
    const char *target; /* the only target that has this key; NULL: all */
    int (*take)(struct load *l, const struct node *n, void *into);
};

/* check.c: the whole tree into l->config. */
int check_tree(struct load *l, const struct node *root) _must_check_;
/* A fault about `n`, whose name nothing knows. `words` (NULL-terminated) are candidates for a suggestion; `settings`:
 * the names of settings are too. */
void check_unknown_key(struct load *l, const struct node *n, const char *const *words, bool settings);

/* check-listener.c: one listener. */
int check_listener(struct load *l, const struct node *group, struct config_listener *into) _must_check_;
/* check-forward.c: the keys of target forward, `n` of them. */
extern const struct check_key forward_keys[];
extern const size_t n_forward_keys;
/* Makes room for them, with their defaults. 0 or -ENOMEM. */
int check_forward_begin(struct config_listener *into) _must_check_;
/* What must not be missing. */
void check_forward_end(struct load *l, const struct node *group, const struct config_listener *listener);

/* The name is a listener's own key: not a setting, not for a profile. */
bool check_is_listener_key(const char *name);
/* Endpoints that two entries of `listen` ask for. */
int check_duplicate_endpoints(struct load *l) _must_check_;

/* check-value.c: a number in the range of `row`. */
int check_number(struct load *l, const struct node *n, const struct setting *row, int64_t *ret) _must_check_;
/* The profile that a string names; 0 also where a file that could not be read may have it. */
int check_profile_name(struct load *l, const struct node *n, const struct config_profile **ret) _must_check_;
/* A string that is one of `words` (NULL-terminated); *ret_index is its place. `what` names it: "log level". */
int check_word(struct load *l, const struct node *n, const char *what, const char *const *words,
               size_t *ret_index) _must_check_;
/* A list of address prefixes: ret->cidrs, one reference. */
int check_prefixes(struct load *l, const struct node *n, const struct setting *row,
                   union setting_value *ret) _must_check_;
/* The words in one string, owned by the caller; NULL when out of memory. */
char *check_join(const char *const *words, const char *separator) _must_check_;
/* The keys of a profile or listener that hold a group of settings for one leg, NULL-terminated. */
extern const char *const check_leg_names[];
/* The settings that a profile or listener says, those for one leg included; `other` is handed every key that is none. */
int check_settings(struct load *l, const struct node *group, void (*other)(struct load *l, const struct node *n),
                   struct settings *into) _must_check_;

/* check.c: false, after a fault, if `n` is not a group. */
bool check_is_group(struct load *l, const struct node *n);
