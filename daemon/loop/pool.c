/* SPDX-License-Identifier: MIT */
#include "pool.h"

#define CLASS_MIN_BYTES ((size_t) 4096)

/* Sizes count the header, so that a class is a whole number of pages. */
static unsigned class_of(size_t size) {
    unsigned class = 0;

    while ((CLASS_MIN_BYTES << class) - sizeof(struct buf) < size)
        if (++class == POOL_CLASSES)
            break;
    return class;
}

struct buf *pool_borrow(struct pool *p, size_t size) {
    unsigned class = class_of(size);
    struct buf *b;

    if (class == POOL_CLASSES)
        return NULL;
    b = p->free[class];
    if (b) {
        p->free[class] = b->next;
        p->kept_bytes -= CLASS_MIN_BYTES << class;
    } else {
        b = malloc(CLASS_MIN_BYTES << class);
        if (!b)
            return NULL;
        b->capacity = (CLASS_MIN_BYTES << class) - sizeof(*b);
    }
    b->next = NULL;
    b->start = b->end = 0;
    p->borrowed_bytes += CLASS_MIN_BYTES << class;
    return b;
}

struct buf *pool_return(struct pool *p, struct buf *b) {
    size_t bytes;

    if (!b)
        return NULL;
    bytes = b->capacity + sizeof(*b);
    p->borrowed_bytes -= bytes;
    if (p->kept_bytes + bytes > POOL_KEPT_BYTES_MAX) {
        free(b);
        return NULL;
    }
    b->next = p->free[class_of(b->capacity)];
    p->free[class_of(b->capacity)] = b;
    p->kept_bytes += bytes;
    return NULL;
}

int pool_append(struct pool *p, struct buf **b, const void *data, size_t size) {
    struct buf *old = *b;

    if (size == 0)
        return 0;
    if (old && old->start > 0 && old->capacity - old->end < size) {
        memmove(old->data, old->data + old->start, buf_size(old));
        old->end -= old->start;
        old->start = 0;
    }
    if (!old || old->capacity - old->end < size) {
        struct buf *larger = pool_borrow(p, buf_size(old) + size);

        if (!larger)
            return -ENOMEM;
        if (old) {
            memcpy(larger->data, old->data + old->start, buf_size(old));
            larger->end = buf_size(old);
            pool_return(p, old);
        }
        *b = larger;
    }
    memcpy((*b)->data + (*b)->end, data, size);
    (*b)->end += size;
    return 0;
}

void pool_done(struct pool *p) {
    for (unsigned i = 0; i < POOL_CLASSES; i++)
        for (struct buf *b = p->free[i], *next; b; b = next) {
            next = b->next;
            free(b);
        }
    *p = (struct pool){ 0 };
}
