/* SPDX-License-Identifier: MIT */
#include <limits.h>

#include "reason.h"
#include "suggest.h"
#include "verb.h"

#define ANY UINT_MAX
#define BIT(id) OPTION_BIT(OPTION_##id)
#define SELECTION (BIT(NEW_ONLY) | BIT(FLOW) | BIT(SOURCE))

static const struct verb verbs[] = {
    { "status", "", 0, 0, 0, "the daemon and its listeners at a glance",
      "Version, uptime, workers, build features, the files read, every listener with\n"
      "its sockets, and the sockets that systemd passed but no listener claims.",
      look_status },
    { "listeners", "", 0, 0, 0, "the listeners, one line a socket",
      "Name, state, target, profile, flows, and each socket's address and origin.", look_listeners },
    { "show", "[LISTENER|profile:NAME]", 0, 1, 0, "settings in force, and where each comes from",
      "Without a name: every listener and every profile. Origins, lowest precedence\n"
      "first: default, profile, profile (runtime), listener, listener (runtime).",
      look_show },
    { "get", "LISTENER|profile:NAME SETTING", 2, 2, 0, "the bare value of one setting",
      "Prints the value and nothing else, spelt as it was asked for: tos and dscp are\n"
      "one setting.",
      look_get },
    { "set", "LISTENER|profile:NAME SETTING=VALUE...", 2, ANY, SELECTION, "change settings now",
      "All settings are checked before any is applied; if one fails, all are put back.\n"
      "The answer says for each setting\n"
      "  applied         taken; EFFECTIVE is what the kernel says it is now\n"
      "  new flows only  holds for flows that come; a line below says why\n"
      "  not applicable  there is no such thing on these sockets, or no use for it here\n"
      "  failed          refused by the kernel; a line below says why and what to try\n"
      "The value \"inherit\" leaves what the kernel or the socket unit gave. Changes last\n"
      "until the daemon restarts.",
      change_set },
    { "unset", "LISTENER|profile:NAME [SETTING...]", 1, ANY, SELECTION, "drop runtime changes",
      "What the files say counts again. Without settings: all runtime changes of that\n"
      "listener or profile.",
      change_unset },
    { "flows", "[LISTENER]", 0, 1, BIT(FLOW) | BIT(SOURCE) | BIT(LEGS), "the connections, as ss shows them",
      "IN and OUT are bytes on the wire. DSCP is the mark that the daemon sets,\n"
      "RECEIVED the one on the peer's packets: \"handshake\" when only the handshake's\n"
      "last segment is known, \"latest\" when it is current. RTT and RETR (segments sent\n"
      "again) come from TCP, QUEUE is bytes in the kernel that wait to be read/sent.\n"
      "CODING is decompression/compression. MODE of a relayed flow is how bytes go to\n"
      "the upstream/to the client, each with how often that was switched.\n"
      "With --legs each side has a row. With --json there is more.",
      flows_list },
    { "close", "[LISTENER]", 0, 1, BIT(FLOW) | BIT(SOURCE), "close connections",
      "At least one of LISTENER, --flow and --source says which; several narrow it\n"
      "down. Closing none is status 1.",
      flows_close },
    { "upstreams", "[LISTENER]", 0, 1, 0, "what listeners forward to, and how it does",
      "STATE is up; aside after failures, until a flow or a check succeeds; unresolved\n"
      "while the name has no address; draining, disabled or removed by you. TIME is the\n"
      "mean time to connect, FAILURES are attempts to connect, IN and OUT bytes from\n"
      "and to the upstream.",
      upstreams_list },
    { "drain", "LISTENER UPSTREAM", 2, 2, 0, "no new flows to an upstream, those it has go on",
      "UPSTREAM as sockqctl upstreams shows it. Lasts until enable or disable, or until\n"
      "the daemon ends; a reload leaves it.",
      upstreams_drain },
    { "enable", "LISTENER UPSTREAM", 2, 2, 0, "let an upstream have flows again", "After drain or disable.",
      upstreams_enable },
    { "disable", "LISTENER UPSTREAM", 2, 2, 0, "no flows to an upstream: close those it has",
      "They are ended in order: what was received is delivered.", upstreams_disable },
    { "add-upstream", "LISTENER tcp:HOST:PORT|udp:HOST:PORT|unix:PATH", 2, 2, 0, "forward to one more upstream",
      "Until the daemon ends; a reload leaves it. One that was removed and is in the\n"
      "files comes back.",
      upstreams_add },
    { "remove-upstream", "LISTENER UPSTREAM", 2, 2, 0, "forward no longer to an upstream",
      "The flows that it has go on; disable it before to close them. Until the daemon\n"
      "ends; a reload leaves it, also where the files name it.",
      upstreams_remove },
    { "stats", "[LISTENER]", 0, 1, BIT(WATCH), "counters since the start, or as they move",
      "With --watch: what moved in each interval, until Ctrl-C, then all of it. With\n"
      "--json and --watch: one line a sample.",
      watch_stats },
    { "monitor", "", 0, 0, BIT(LEVEL), "events as they happen",
      "Until Ctrl-C. --level sets the least importance. With --json: one line an event,\n"
      "with its fields.",
      watch_monitor },
    { "reload", "", 0, 0, 0, "read the configuration files anew",
      "Files with faults change nothing. Runtime changes stay in force on top of what\n"
      "the files say.",
      change_reload },
    { "log-level", "[LEVEL]", 0, 1, 0, "what the daemon tells the journal",
      "Without LEVEL: the present one. Levels: emerg, alert, crit, err, warning,\n"
      "notice, info, debug.",
      change_log_level },
    { "send", "tcp:HOST:PORT|udp:HOST:PORT", 1, 1,
      BIT(DSCP) | BIT(TOS) | BIT(COUNT) | BIT(INTERVAL) | BIT(SIZE) | BIT(TEXT) | BIT(STDIN) | BIT(NO_REPLY),
      "send payloads with a mark, show what comes back",
      "The mark is set before the first packet. Prints each reply with its time and the\n"
      "mark that it carried, then a sum. TCP over IPv6 knows the latest mark; TCP over\n"
      "IPv4 does not tell the connecting side: unknown. No daemon is needed here.\n"
      "Status 1 when nothing was answered (not with --no-reply).",
      send_payloads },
    { "complete", "[WORD...]", 0, ANY, 0, "what may come next, for a shell's Tab key",
      "The words are those after sockqctl as far as they are typed, the last one\n"
      "unfinished, all behind \"--\": sockqctl complete -- set orders ds. Prints one\n"
      "possible word a line, then a tab and what it means.",
      complete_words },
    { "help", "[VERB|SETTING|settings]", 0, 1, 0, "explain a verb, a setting, all settings", "", help_show },
    { "version", "", 0, 0, 0, "versions of sockqctl and of the daemon", "", help_version },
};

const struct verb *verb_row(size_t i) {
    return i < ARRAY_SIZE(verbs) ? &verbs[i] : NULL;
}

const struct verb *verb_find(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (streq(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

const char *verb_suggest(const char *name) {
    const char *names[ARRAY_SIZE(verbs) + 1] = { NULL };

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        names[i] = verbs[i].name;
    return suggest_near(name, names);
}

int verb_check(const struct verb *v, const struct args *a, char **ret_reason) {
    for (int i = 0; i < OPTION_MAX; i++)
        if (a->option[i] && !((v->options | OPTIONS_GLOBAL) & OPTION_BIT(i)))
            return reason_set(ret_reason, -EINVAL, "%s does not take --%s", v->name, option_row(i)->name);
    if (a->n_words < v->words_min)
        return reason_set(ret_reason, -EINVAL, "%s needs %s", v->name, v->words);
    if (a->n_words > v->words_max)
        return reason_set(ret_reason, -EINVAL, "%s does not take '%s'", v->name, a->words[v->words_max]);
    return 0;
}
