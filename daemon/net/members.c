/* SPDX-License-Identifier: MIT */
#include "members.h"

#include "codec.h"

/* decompression_max_ratio is judged from here on: short texts may well repeat themselves. */
#define RATIO_FROM_BYTES (UINT64_C(1024) * 1024)

int members_next(struct leg_coding *c, enum coding id) {
    if (c->decoder && !c->member_ended)
        return 0;
    if (c->decoder)
        c->earlier_bytes += coder_out_bytes(c->decoder);
    c->decoder = coder_free(c->decoder);
    c->member_ended = false;
    return decoder_new(id, &c->decoder);
}

/* Of one member counts what it comes to; the ratio is that of all, else many small ones would make a bomb. */
const char *members_exceed(const struct leg_coding *c, const struct settings *set, uint64_t in) {
    uint64_t member = coder_out_bytes(c->decoder), out = c->earlier_bytes + member;
    uint64_t most = (uint64_t) set->v[SETTING_DECOMPRESSION_MAX_OUTPUT].number;
    uint64_t ratio = (uint64_t) set->v[SETTING_DECOMPRESSION_MAX_RATIO].number;

    if (most && member > most)
        return "more than decompression_max_output in";
    if (ratio && out > RATIO_FROM_BYTES && out / ratio > in)
        return "more than decompression_max_ratio in";
    return NULL;
}

bool members_truncated(const struct leg_coding *c) {
    return c->decoder && !c->member_ended && coder_in_bytes(c->decoder) > 0;
}
