/* SPDX-License-Identifier: MIT */
/*
 * Who may do what over the control socket. The socket is open to everybody; the daemon decides each method by what the
 * kernel says of the peer: SO_PEERCRED (uid, pid, primary group) and SO_PEERGROUPS (supplementary groups, which are
 * only there), unix(7) and socket(7). Both are as of connect(): a session keeps the rights that it began with.
 * Root, group sockq-admin and the daemon's own uid may change, group sockq may look. Main thread; does not log.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "macro.h"

#define ACCESS_GROUP_ADMIN "sockq-admin"
#define ACCESS_GROUP_LOOK "sockq"
#define ACCESS_GROUPS_MAX 65536      /* NGROUPS_MAX */
#define ACCESS_NO_GROUP ((gid_t) -1) /* the group does not exist on this machine */

/* What a method asks for; each includes the ones before it. */
enum access {
    ACCESS_ANY,    /* nothing */
    ACCESS_LOOK,   /* state, settings, flows, events */
    ACCESS_CHANGE, /* everything */
};

struct access_policy {
    uid_t own_uid;
    gid_t admin_gid, look_gid; /* or ACCESS_NO_GROUP */
};

struct credentials {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    gid_t *groups; /* supplementary */
    size_t n_groups;
};

/* What a session remembers of its peer. */
struct peer {
    uid_t uid;
    pid_t pid; /* for the log only: may be reused */
    enum access access;
};

/* Uid and pid as text, for the log. */
struct peer_text {
    char uid[16], pid[16];
};
struct peer_text peer_text(const struct peer *peer);

/* Looks the two groups up by name; one that does not exist is no error. 0 or negative errno (of the name service). */
int access_policy_load(struct access_policy *ret) _must_check_;
/* The most that these credentials allow. Pure. */
enum access access_granted(const struct access_policy *policy, const struct credentials *c);

static inline bool access_allowed(enum access granted, enum access asked) {
    return granted >= asked;
}

/* Asks the kernel about the other end of a connected Unix socket. 0, -EOVERFLOW (more groups than there can be),
 * -ENOMEM or another negative errno. */
int credentials_of_peer(int fd, struct credentials *ret) _must_check_;
void credentials_done(struct credentials *c);
