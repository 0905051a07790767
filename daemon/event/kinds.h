/* SPDX-License-Identifier: MIT */
/*
 * Every kind of event that the daemon reports, one row each: identifier, syslog priority, MESSAGE_ID (made once with
 * `systemd-id128 new`, never changed), rate-limited. The journal catalog is written against this list.
 */
#pragma once

#include <syslog.h>

/* X(identifier, priority, message id, rate-limited) */
#define EVENT_KINDS(X)                                                                                                 \
    X(DAEMON_STARTED, LOG_INFO, "d50ae5562666436e9e1b014746195f55", 0)                                                 \
    X(DAEMON_READY, LOG_NOTICE, "11479a2adb6347febbe7c13e7614f42d", 0)                                                 \
    X(DAEMON_STOPPING, LOG_NOTICE, "484e01f5d38b40c1a4dcfa2548ae5fa9", 0)                                              \
    X(DAEMON_IDLE, LOG_NOTICE, "45a3f7612b0b4a4687c3d4d167e7b722", 0)                                                  \
    X(DAEMON_STOPPED, LOG_INFO, "1f3bd7ffca814076bb34cfae97509ee0", 0)                                                 \
    X(START_FAILED, LOG_ERR, "464a4fbbf28a466588a8926d9c01a191", 0)                                                    \
    X(DRAIN_ENDED, LOG_NOTICE, "3f06acced51f4a91b50c9b0b69636799", 0)                                                  \
    X(CONFIG_LOADED, LOG_NOTICE, "9c8de1c8f05449bdabc8143506c322d3", 0)                                                \
    X(CONFIG_FAULT, LOG_ERR, "978480505bd74b0dbb80c9eb02ae01e4", 0)                                                    \
    X(CONFIG_KEPT, LOG_ERR, "0e2e59d1fa96425794fe6f43822f568f", 0)                                                     \
    X(LISTENER_ADDED, LOG_INFO, "e65839edcf9d4eb2a08de648c289eb7c", 0)                                                 \
    X(LISTENER_REMOVED, LOG_INFO, "90764edcb08c4838aa1dd3e7a6d04209", 0)                                               \
    X(SOCKET_UNCLAIMED, LOG_WARNING, "40ee730b4f4040698b51240efe2e256b", 0)                                            \
    X(SOCKET_REFUSED, LOG_ERR, "4cc1e1f9ebcb4257891be57065616c9d", 0)                                                  \
    X(SOCKET_RESTORED, LOG_NOTICE, "d39d1f15a0ce4b5b98fe65519f1ab70d", 0)                                              \
    X(SETTING_CHANGED, LOG_NOTICE, "07730a1ce47047ca865b867d5c847f22", 0)                                              \
    X(SETTING_UNSET, LOG_NOTICE, "cb21a79271bd43e6a0b3f193a439b910", 0)                                                \
    X(SETTING_FAILED, LOG_WARNING, "2579a308988f4d70aff8d219fba55863", 0)                                              \
    X(SETTING_LIMITED, LOG_WARNING, "ecf6d5a8a7c04a6eac255b3dd201f3df", 1)                                             \
    X(ACCESS_DENIED, LOG_WARNING, "115e4842ad73420fb9a7522e4d9f3879", 1)                                               \
    X(CONTROL_ERROR, LOG_WARNING, "62e706897a0c4ecb8fbc8d5941873320", 1)                                               \
    X(FLOW_OPENED, LOG_DEBUG, "6311cde2b5ad43e38fd72657499e2777", 0)                                                   \
    X(FLOW_CLOSED, LOG_DEBUG, "fb91136c4d184afca58a189c7e7d0060", 0)                                                   \
    X(FLOW_FAILED, LOG_INFO, "b7920ead56c440b290ec779755a8dd37", 1)                                                    \
    X(FLOW_REFUSED, LOG_INFO, "317a2c247f8749ab9cb6bc4e12703d96", 1)                                                   \
    X(FLOWS_CLOSED, LOG_NOTICE, "8e155589f90340d1aefc8c5dfe3b7ce0", 0)                                                 \
    X(DECODE_FAILED, LOG_WARNING, "03082c3e6e544f1bb5430ea03f0e4fba", 1)                                               \
    X(FRAME_FAILED, LOG_WARNING, "a48b9c8ab1794fef963afc9b1560be19", 1)                                                \
    X(ACCEPT_FAILED, LOG_ERR, "9cd2ff757229439d9b252df5d2d629e4", 1)                                                   \
    X(LISTENER_FULL, LOG_WARNING, "c10b4e9a3b674837a35301a5cd37b329", 1)                                               \
    X(DATAGRAM_FAILED, LOG_WARNING, "341c74659f5f41db9dd646ed983cb00f", 1)                                             \
    X(SEGMENTATION_OFF, LOG_NOTICE, "d664e3b25a35444c942e2df2d954ddca", 0)                                             \
    X(UPSTREAM_FAILED, LOG_INFO, "6538178dcf24417db46af6e45b0cdbbd", 1)                                                \
    X(UPSTREAM_DOWN, LOG_WARNING, "21e4b43a73174a338fa91139fdafc68c", 1)                                               \
    X(UPSTREAM_UP, LOG_NOTICE, "cb96a64fd26b4f5ebcf5f35d17903e79", 1)                                                  \
    X(UPSTREAM_RESOLVED, LOG_INFO, "9cd3b64158894c86acd88c3a00ab9637", 1)                                              \
    X(UPSTREAM_UNRESOLVED, LOG_WARNING, "bf02c73c1b2c4f5f93f2b24ddad39381", 1)                                         \
    X(UPSTREAM_CHANGED, LOG_NOTICE, "a22b783720984bc6a90bf00d41ee485a", 0)                                             \
    X(PAYLOAD, LOG_INFO, "d9b126eb1f6542b2b8b7bd5dce3f6b06", 0)                                                        \
    X(PAYLOADS_SUPPRESSED, LOG_WARNING, "f4459b514a374be6ae668a50f10c1ff1", 0)                                         \
    X(EVENTS_SUPPRESSED, LOG_WARNING, "28c829d1929c4a58a1e936e9d0601772", 0)                                           \
    X(STATS, LOG_INFO, "90f7f678f4c8487a9c622784cd0e2fb1", 0)                                                          \
    X(LOG_LEVEL_CHANGED, LOG_NOTICE, "17cbf9df84454fdf87daae9d1af70fd5", 0)                                            \
    X(WORKER_STUCK, LOG_CRIT, "99ace5a58e174787bb1402a9a98c088d", 1)                                                   \
    X(INTERNAL_ERROR, LOG_ERR, "a6c845c36eb64f6db92f918fd2da90bc", 1)

enum event_kind {
#define X(id, priority, message_id, limited) EVENT_##id,
    EVENT_KINDS(X)
#undef X
            EVENT_KIND_MAX,
};
