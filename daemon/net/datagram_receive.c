/* SPDX-License-Identifier: MIT */
#include "datagram_receive.h"

#include <errno.h>

/* An ICMP error is told instead of the datagrams that are there, once each. */
#define ERRORS_MAX 4

/* Slots a little apart from powers of two: else the beginnings of all of them compete for the same lines of the cache. */
#define SLOT_SIZE (DATAGRAM_SIZE_MAX + 1 + 5 * 64)

static void reset_slot(struct datagram_intake *in, unsigned i) {
    in->messages[i].msg_hdr.msg_namelen = sizeof(in->peers[i].in6);
    in->messages[i].msg_hdr.msg_controllen = sizeof(in->controls[i]);
}

int datagram_intake_init(struct datagram_intake *in) {
    in->memory = malloc((size_t) DATAGRAM_MESSAGES * SLOT_SIZE);
    if (!in->memory)
        return -ENOMEM;
    for (unsigned i = 0; i < DATAGRAM_MESSAGES; i++) {
        in->iov[i] = (struct iovec){ in->memory + (size_t) i * SLOT_SIZE, DATAGRAM_SIZE_MAX };
        in->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &in->peers[i].sa,
            .msg_iov = &in->iov[i],
            .msg_iovlen = 1,
            .msg_control = &in->controls[i],
        };
        reset_slot(in, i);
    }
    return 0;
}

void datagram_intake_done(struct datagram_intake *in) {
    free(in->memory);
    in->memory = NULL;
}

int datagram_intake_receive(struct datagram_intake *in, int fd, int *ret_error) {
    int n = -1;

    if (ret_error)
        *ret_error = 0;

    for (unsigned i = 0; i < in->n; i++)
        reset_slot(in, i);
    for (unsigned errors = 0; n < 0 && errors < ERRORS_MAX; errors++) {
        n = recvmmsg(fd, in->messages, DATAGRAM_MESSAGES, MSG_DONTWAIT, NULL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && ret_error)
            *ret_error = -errno;
    }
    in->n = (unsigned) MAX(n, 0);
    in->next = in->part = in->n_parts = 0;
    return (int) in->n;
}

bool datagram_intake_open(struct datagram_intake *in) {
    unsigned i = in->next;

    if (i == in->n)
        return false;
    in->next++;
    in->peers[i].size = in->messages[i].msg_hdr.msg_namelen;
    datagram_control_read(&in->messages[i].msg_hdr, &in->meta);
    in->size = in->part_size = in->messages[i].msg_len;
    if (in->meta.segment_size > 0 && in->meta.segment_size < in->size)
        in->part_size = in->meta.segment_size;
    in->part = 0;
    in->n_parts = in->size == 0 ? 1 : (in->size + in->part_size - 1) / in->part_size;
    return true;
}

bool datagram_intake_take(struct datagram_intake *in, struct span *ret) {
    uint32_t offset = in->part * in->part_size;

    if (in->part == in->n_parts)
        return false;
    in->part++;
    *ret = (struct span){ (uint8_t *) in->iov[in->next - 1].iov_base + offset, MIN(in->size - offset, in->part_size) };
    return true;
}
