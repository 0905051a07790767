/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "daemon.h"
#include "standard_fds.h"

#define EXIT_USAGE 2

static const char usage[] = "Usage: sockqd [--config FILE] [--control PATH] [--check]\n"
                            "\n"
                            "Receives TCP and UDP payloads with quality of service applied; changed live by sockqctl.\n"
                            "Takes its sockets from the service manager, or binds what `listen` says.\n"
                            "\n"
                            "  -c, --config FILE   read FILE, then FILE.d/*.conf (default " CONFIG_FILE_DEFAULT ")\n"
                            "      --control PATH  the control socket (default $SOCKQ_CONTROL, else\n"
                            "                      /run/sockq/org.sockq.Control, else below $XDG_RUNTIME_DIR)\n"
                            "      --check         check the configuration, print every fault, and exit\n"
                            "  -h, --help          print this\n"
                            "  -V, --version       print the version\n"
                            "\n"
                            "Signals: HUP reloads, TERM lets flows finish and stops, a second TERM stops at once.\n";

int main(int argc, char **argv) {
    enum { OPTION_CONTROL = 256, OPTION_CHECK };
    static const struct option long_options[] = {
        { "config", required_argument, NULL, 'c' },   { "control", required_argument, NULL, OPTION_CONTROL },
        { "check", no_argument, NULL, OPTION_CHECK }, { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },        { 0 },
    };
    struct daemon_options options = { 0 };
    bool check = false;
    int c;

    standard_fds_fill();
    while ((c = getopt_long(argc, argv, "c:hV", long_options, NULL)) >= 0) {
        switch (c) {
        case 'c':
            options.config = optarg;
            break;
        case OPTION_CONTROL:
            options.control = optarg;
            break;
        case OPTION_CHECK:
            check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts("sockqd " SOCKQ_VERSION);
            return EXIT_SUCCESS;
        default:
            fputs("Try 'sockqd --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sockqd: '%s' is not expected here. Try 'sockqd --help'.\n", argv[optind]);
        return EXIT_USAGE;
    }
    return check ? daemon_check(&options) : daemon_run(&options);
}
