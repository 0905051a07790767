/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "stream_internal.h"

#define STORED "the stream keeps its format and carries stored blocks from here on"
#define FORMAT_FIXED "the stream has begun in another format; new flows use this one"
#define BEGUN_PLAIN "the stream has begun uncompressed; new flows are compressed"
#define DECODE_FIXED "the format of a stream's input is fixed when it begins"
#define UNIT_FIXED "what is one compressed whole is fixed when a stream begins; new flows use this"

static void change_level(struct worker *w, struct flow *f, int level, struct qos_result *ret) {
    uint8_t *out = worker_scratch(w, SCRATCH_ENCODED, codec_bound(f->encode_id, 0));
    struct coder_io io = { .out = out, .out_size = codec_bound(f->encode_id, 0) };
    int r = out ? coder_set_level(f->coding.encoder, &io, level) : -ENOMEM;

    if (r >= 0)
        r = stream_write(w, f, out, (size_t) (io.out - out));
    if (r < 0) {
        ret->outcome = QOS_FAILED;
        ret->error = r;
    }
}

/* Empty payloads make bytes, too, where a framing wraps them. */
static bool has_begun(const struct flow *f) {
    return f->client.tx_bytes > 0 || f->out;
}

static void apply_compression(struct worker *w, struct flow *f, const union setting_value *v, struct qos_result *ret) {
    enum coding id = v->coding.id;

    if (f->unit_payload) {
        f->encode_id = id; /* each reply stands alone */
        return;
    }
    if (f->coding.encoder && id == CODING_OFF) {
        ret->reason = STORED;
        change_level(w, f, 0, ret);
    } else if (f->coding.encoder && id == f->encode_id) {
        change_level(w, f, v->coding.level, ret);
    } else if (f->coding.encoder) {
        *ret = (struct qos_result){ .outcome = QOS_DEFERRED, .reason = FORMAT_FIXED };
    } else if (!has_begun(f) || id == f->encode_id) {
        f->encode_id = id;
    } else {
        *ret = (struct qos_result){ .outcome = QOS_DEFERRED, .reason = BEGUN_PLAIN };
    }
}

static void apply_decompression(struct worker *w, struct flow *f, const union setting_value *v,
                                struct qos_result *ret) {
    if (v->coding.id != f->client.set->settings.v[SETTING_DECOMPRESSION].coding.id)
        *ret = (struct qos_result){ .outcome = QOS_DEFERRED, .reason = DECODE_FIXED };
}

static void apply_unit(struct worker *w, struct flow *f, const union setting_value *v, struct qos_result *ret) {
    if ((v->number == COMPRESSION_UNIT_PAYLOAD) != f->unit_payload)
        *ret = (struct qos_result){ .outcome = QOS_DEFERRED, .reason = UNIT_FIXED };
}

/* Settings without a row here need nothing done: the flow reads them when it needs them. */
static void (*const handlers[SETTING_MAX])(struct worker *, struct flow *, const union setting_value *,
                                           struct qos_result *) = {
    [SETTING_COMPRESSION] = apply_compression,
    [SETTING_COMPRESSION_UNIT] = apply_unit,
    [SETTING_DECOMPRESSION] = apply_decompression,
};

void stream_apply(struct worker *w, struct flow *f, enum setting_id id, const struct settings *set,
                  struct qos_result *ret) {
    *ret = (struct qos_result){ .outcome = QOS_APPLIED };
    if (handlers[id])
        handlers[id](w, f, &set->v[id], ret);
    if (ret->outcome == QOS_APPLIED) {
        ret->has_effective = true;
        ret->effective = set->v[id];
    }
}
