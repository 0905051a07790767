/* SPDX-License-Identifier: MIT */
/*
 * Relayed flows whose legs compress: what one leg sends is decompressed as that leg's settings say, and compressed again as the
 * other leg's do. Such a way copies, it never splices. On the flow's worker.
 */
#pragma once

#include "life.h"

struct way_coding {
    uint8_t decode_id, encode_id; /* enum coding */
    bool finished;                /* the trailer is written */
    bool cut;                     /* we do not read on, so that a trailer may be missing */
    struct leg_coding coder;
    struct buf *in; /* received, not yet decompressed: the receiver was blocked */
};

/* Of both ways. */
struct relay_coding {
    struct way_coding to_upstream, to_client;
};

/* For a flow that begins: *ret is NULL if neither leg compresses. 0 or -ENOMEM. */
int recode_new(const struct effective *set, struct relay_coding **ret) _must_check_;
/* Accepts NULL, returns NULL. *ret_lost: bytes that were received and not passed on. */
struct relay_coding *recode_free(struct worker *w, struct relay_coding *c, uint64_t *ret_lost);

/* NULL: the bytes of this way pass as they are. */
static inline struct way_coding *recode_of_way(const struct flow *f, const struct relay_way *way) {
    struct way_coding *c;

    if (f->relay.connecting || !f->relay.coding)
        return NULL;
    c = way == &f->relay.to_upstream ? &f->relay.coding->to_upstream : &f->relay.coding->to_client;
    return c->decode_id == CODING_OFF && c->encode_id == CODING_OFF ? NULL : c;
}

/* Where the output goes: 0; 1: taken, but no more for now; negative: failed. */
typedef int (*recode_write_fn)(void *userdata, const void *data, size_t size);

/* Takes received bytes, the last ones of the `received` that there were in all, through both coders, as far as the receiver goes
 * along, some blocks at a time; the rest is kept. `from` and `to` are the two legs' settings. With `at_end` and nothing kept, the
 * trailer as well. 0; -EBADMSG with *ret_reason (static, see members_exceed()): corrupt, truncated or too much; -ENOMEM; what
 * `write` returned. */
int recode_run(struct worker *w, struct way_coding *c, const struct settings *from, const struct settings *to,
               const uint8_t *data, size_t size, uint64_t received, bool at_end, recode_write_fn write, void *userdata,
               const char **ret_reason) _must_check_;
/* Is there input that was kept? Unless the receiver is blocked, it wants another run. */
static inline bool recode_has_kept(const struct way_coding *c) {
    return c && c->in;
}

/* compression of a leg, live, for the way that leads to it: a level acts at once, "off" goes on with stored blocks, another format
 * holds for new flows. */
void recode_apply(struct worker *w, struct way_coding *c, const union setting_value *v, recode_write_fn write,
                  void *userdata, struct qos_result *ret);
