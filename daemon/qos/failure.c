/* SPDX-License-Identifier: MIT */
#include "qos.h"

#define GIVE_CAP_NET_ADMIN                                                                                             \
    "give the daemon CAP_NET_ADMIN: the service by its drop-in net-admin.conf (AmbientCapabilities=, see sockqd(8)), " \
    "one that is started by hand with setcap cap_net_admin+ep on the program"

#define ANY SETTING_INVALID

/* The first row that matches counts; ANY stands for every setting. */
static const struct {
    enum setting_id id;
    int error;
    const char *cause, *remedy;
} failures[] = {
    { SETTING_DSCP, EPERM,
      "the kernel overwrites the socket's priority when the mark changes, and a priority above 6 cannot be put back "
      "without CAP_NET_ADMIN",
      GIVE_CAP_NET_ADMIN ", or set a priority of 6 or less in the socket unit (Priority=)" },
    { SETTING_PRIORITY, EPERM, "setting or putting back a priority above 6 needs CAP_NET_ADMIN",
      GIVE_CAP_NET_ADMIN ", or use a priority from 0 to 6" },
    { SETTING_MARK, EPERM, "setting or putting back a mark, even 0, needs CAP_NET_ADMIN",
      GIVE_CAP_NET_ADMIN ", or set it in the socket unit (Mark=)" },
    { SETTING_RECEIVE_BUFFER, EPERM,
      "the buffer that the socket unit forced is over net.core.rmem_max and could not be put back without "
      "CAP_NET_ADMIN",
      GIVE_CAP_NET_ADMIN ", or raise net.core.rmem_max" },
    { SETTING_SEND_BUFFER, EPERM,
      "the buffer that the socket unit forced is over net.core.wmem_max and could not be put back without "
      "CAP_NET_ADMIN",
      GIVE_CAP_NET_ADMIN ", or raise net.core.wmem_max" },
    { SETTING_CONGESTION, EPERM,
      "an algorithm that is not in net.ipv4.tcp_allowed_congestion_control needs CAP_NET_ADMIN, to set or to put back",
      GIVE_CAP_NET_ADMIN ", or add the algorithm to net.ipv4.tcp_allowed_congestion_control" },
    { SETTING_BUSY_POLL, EPERM,
      "raising busy polling above what the socket has needs CAP_NET_ADMIN, to set or to put back",
      GIVE_CAP_NET_ADMIN ", or raise net.core.busy_read, which new sockets start with" },
    { ANY, EPERM, "the kernel asks for CAP_NET_ADMIN", GIVE_CAP_NET_ADMIN },
    { SETTING_CONGESTION, ENOENT, "the kernel has no such congestion control, or its module is not loaded",
      "choose from net.ipv4.tcp_available_congestion_control, or load the module (modprobe tcp_NAME)" },
    { SETTING_CONGESTION, EBUSY, "the module of this congestion control is being unloaded",
      "load it again (modprobe tcp_NAME) and repeat the change" },
    { ANY, ENOBUFS, "the kernel has no memory left for sockets",
      "repeat the change when the load is lower, or raise net.ipv4.tcp_mem, net.ipv4.udp_mem or net.core.optmem_max" },
    { ANY, ENOMEM, "the kernel has no memory left",
      "repeat the change when the load is lower, or give the machine or the unit (MemoryMax=) more memory" },
    { ANY, EMFILE, "the daemon has no file descriptors left to try the change on a scratch socket",
      "raise LimitNOFILE= in a drop-in (systemctl edit sockqd.service)" },
    { ANY, ENFILE, "the system has no file descriptors left to try the change on a scratch socket",
      "raise fs.file-max" },
    { ANY, EOPNOTSUPP, "this kernel has no such option for this kind of socket",
      "leave the setting at inherit on this kernel" },
    { ANY, EINVAL, "the kernel does not accept this value on this socket",
      "choose another value; sockqctl help settings shows the range" },
};

static size_t find(enum setting_id id, int error) {
    size_t i = 0;

    id = setting_client_id(id);
    while (i < ARRAY_SIZE(failures) &&
           !((failures[i].id == id || failures[i].id == ANY) && failures[i].error == abs(error)))
        i++;
    return i;
}

const char *qos_failure_cause(enum setting_id id, int error) {
    size_t i = find(id, error);

    return i < ARRAY_SIZE(failures) ? failures[i].cause : "the kernel refused the option";
}

const char *qos_failure_remedy(enum setting_id id, int error) {
    size_t i = find(id, error);

    return i < ARRAY_SIZE(failures) ? failures[i].remedy : "repeat the change, or leave the setting at inherit";
}
