/* SPDX-License-Identifier: MIT */
/*
 * The beginning of a connection that may have a PROXY header: what is one stays one whatever follows, every part of it is
 * waited for, nothing is waited for beyond the longest header, and addresses that were read come back from either version.
 */
#include <stdbool.h>

#include "fuzz.h"
#include "proxy.h"

struct header {
    int result;
    bool known;
    struct address from, to;
};

static struct header take(const uint8_t *data, size_t size) {
    uint8_t *copy = fuzz_copy(data, size, 0);
    struct header h = { 0 };

    h.result = proxy_read(copy, size, &h.known, &h.from, &h.to);
    free(copy);
    assert(h.result == -EAGAIN || h.result == -EBADMSG || (h.result > 0 && (size_t) h.result <= size));
    return h;
}

static bool same(const struct address *a, const struct address *b) {
    uint8_t x[16], y[16];

    address_key(a, x);
    address_key(b, y);
    return memcmp(x, y, sizeof(x)) == 0 && a->in.sin_port == b->in.sin_port;
}

static void check_written(size_t (*write)(uint8_t *buf, const struct address *from, const struct address *to),
                          const struct header *h) {
    uint8_t buf[PROXY_HEADER_MAX];
    size_t size = write(buf, &h->from, &h->to);
    struct header again;

    assert(size > 0 && size <= sizeof(buf));
    again = take(buf, size);
    assert(again.result == (int) size && again.known);
    assert(same(&again.from, &h->from) && same(&again.to, &h->to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct header whole;
    bool decided = false;

    size = MIN(size, (size_t) PROXY_READ_MAX + 16);
    whole = take(data, size);
    if (size >= PROXY_READ_MAX)
        assert(whole.result != -EAGAIN);
    for (size_t n = 0; n < size; n++) {
        struct header part = take(data, n);

        if (decided || (whole.result > 0 && n >= (size_t) whole.result))
            assert(part.result == whole.result && part.known == whole.known);
        else
            assert(part.result == -EAGAIN || part.result == whole.result);
        decided = part.result != -EAGAIN;
    }
    if (whole.result > 0 && whole.known) {
        check_written(proxy_write_v1, &whole);
        check_written(proxy_write_v2, &whole);
    }
    return 0;
}
