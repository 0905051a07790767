/* SPDX-License-Identifier: MIT */
/* In place of libFuzzer: gives every file of the folders on the command line to the target, once. */
#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

#define INPUT_MAX (1 << 20)

static int is_input(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int replay_file(const char *folder, const char *name) {
    static uint8_t input[INPUT_MAX];
    char path[4096];
    FILE *file;
    size_t size;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int) sizeof(path))
        return -1;
    puts(path);
    (void) fflush(stdout);
    file = fopen(path, "rbe");
    if (!file) {
        perror(path);
        return -1;
    }
    size = fread(input, 1, sizeof(input), file);
    (void) fclose(file);

    uint8_t *copy = fuzz_copy(input, size, 0);
    (void) LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

/* How many files, or -1. */
static int replay_folder(const char *folder) {
    struct dirent **entries;
    int n, failed = 0;

    n = scandir(folder, &entries, is_input, alphasort);
    if (n < 0) {
        perror(folder);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        failed |= replay_file(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return failed ? -1 : n;
}

int main(int argc, char **argv) {
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i]);
        if (n < 0)
            return EXIT_FAILURE;
        total += n;
    }
    printf("%d inputs\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
