/* SPDX-License-Identifier: MIT */
#include "access.h"

#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>

#define GROUP_BUFFER_MAX (1024 * 1024)

/* getgrnam_r(3) lists the errors that different name services use for "no such group". */
static bool means_missing(int error) {
    return error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static int group_find(const char *name, gid_t *ret) {
    for (size_t size = 4096; size <= GROUP_BUFFER_MAX; size *= 4) {
        _cleanup_free_ char *buffer = malloc(size);
        struct group group, *found = NULL;
        int r;

        if (!buffer)
            return -ENOMEM;
        do {
            r = getgrnam_r(name, &group, buffer, size, &found);
        } while (r == EINTR);
        if (r == ERANGE)
            continue;
        if (r != 0 && !means_missing(r))
            return -r;
        *ret = r == 0 && found ? found->gr_gid : ACCESS_NO_GROUP;
        return 0;
    }
    return -ERANGE;
}

int access_policy_load(struct access_policy *ret) {
    struct access_policy policy = { .own_uid = geteuid() };
    int r;

    r = group_find(ACCESS_GROUP_ADMIN, &policy.admin_gid);
    if (r < 0)
        return r;
    r = group_find(ACCESS_GROUP_LOOK, &policy.look_gid);
    if (r < 0)
        return r;
    *ret = policy;
    return 0;
}

static bool in_group(const struct credentials *c, gid_t gid) {
    if (gid == ACCESS_NO_GROUP)
        return false;
    if (c->gid == gid)
        return true;
    for (size_t i = 0; i < c->n_groups; i++)
        if (c->groups[i] == gid)
            return true;
    return false;
}

enum access access_granted(const struct access_policy *policy, const struct credentials *c) {
    if (c->uid == 0 || c->uid == policy->own_uid || in_group(c, policy->admin_gid))
        return ACCESS_CHANGE;
    if (in_group(c, policy->look_gid))
        return ACCESS_LOOK;
    return ACCESS_ANY;
}

static int peer_groups(int fd, gid_t **ret, size_t *ret_n) {
    socklen_t size = 64 * sizeof(gid_t);

    /* The kernel says with ERANGE how much room it wants. */
    for (;;) {
        _cleanup_free_ gid_t *groups = malloc(size);

        if (!groups)
            return -ENOMEM;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) >= 0) {
            *ret_n = size / sizeof(gid_t);
            *ret = TAKE_PTR(groups);
            return 0;
        }
        if (errno != ERANGE)
            return -errno;
        if (size > ACCESS_GROUPS_MAX * sizeof(gid_t))
            return -EOVERFLOW;
    }
}

int credentials_of_peer(int fd, struct credentials *ret) {
    struct ucred cred;
    socklen_t size = sizeof(cred);
    struct credentials c = { 0 };
    int r;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return -errno;
    r = peer_groups(fd, &c.groups, &c.n_groups);
    if (r < 0)
        return r;
    c.uid = cred.uid;
    c.gid = cred.gid;
    c.pid = cred.pid;
    *ret = c;
    return 0;
}

struct peer_text peer_text(const struct peer *peer) {
    struct peer_text text;

    (void) snprintf(text.uid, sizeof(text.uid), "%u", peer->uid);
    (void) snprintf(text.pid, sizeof(text.pid), "%d", peer->pid);
    return text;
}

void credentials_done(struct credentials *c) {
    free(c->groups);
    *c = (struct credentials){ 0 };
}
