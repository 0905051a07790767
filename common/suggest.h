/* SPDX-License-Identifier: MIT */
/*
 * "Did you mean": the nearest of a list of words. Pure, any thread.
 */
#pragma once

/* The candidate (of a NULL-terminated list) with the smallest edit distance to `word`, ignoring case, or NULL when none
 * is near enough to be a likely typing error (at most a third of its letters, at least one). The result points into
 * the list. Words longer than 64 bytes have no suggestion. */
const char *suggest_near(const char *word, const char *const *candidates);
