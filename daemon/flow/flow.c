/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include <errno.h>
#include <stdio.h>

const char *flow_id_format(struct flow_id id, char buf[static FLOW_ID_TEXT_MAX]) {
    snprintf(buf, FLOW_ID_TEXT_MAX, "%u.%u.%u", id.worker, id.slot, id.generation);
    return buf;
}

int flow_id_parse(const char *text, struct flow_id *ret) {
    unsigned long part[3];
    const char *at = text;

    for (unsigned i = 0; i < 3; i++) {
        char *end;

        if (*at < '0' || *at > '9')
            return -EINVAL;
        errno = 0;
        part[i] = strtoul(at, &end, 10);
        if (errno || part[i] > UINT32_MAX || *end != (i < 2 ? '.' : '\0'))
            return -EINVAL;
        at = end + 1;
    }
    if (part[0] > UINT16_MAX)
        return -EINVAL;
    *ret = (struct flow_id){ (uint16_t) part[0], (uint32_t) part[1], (uint32_t) part[2] };
    return 0;
}

const char *flow_state_name(enum flow_state state) {
    static const char *const names[FLOW_STATE_MAX] = { "free", "open", "finishing", "flushing", "lingering" };

    return names[state];
}

struct qos_socket flow_qos_socket(const struct flow *f, int domain) {
    return (struct qos_socket){
        .fd = f->client.source.fd,
        .domain = domain,
        .type = SOCK_STREAM,
        .v4_mapped = f->v4_mapped,
    };
}

static int grow(struct flow_table *t) {
    struct flow **chunks, *chunk;

    chunks = reallocarray(t->chunks, t->n_chunks + 1, sizeof(*chunks));
    if (!chunks)
        return -ENOMEM;
    t->chunks = chunks;
    chunk = calloc(FLOW_CHUNK, sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    t->chunks[t->n_chunks] = chunk;
    for (unsigned i = FLOW_CHUNK; i-- > 0;) {
        chunk[i].id = (struct flow_id){ t->worker, t->n_chunks * FLOW_CHUNK + i, 1 };
        chunk[i].next = t->free;
        t->free = &chunk[i];
    }
    t->n_chunks++;
    return 0;
}

struct flow *flow_table_take(struct flow_table *t) {
    struct flow_id id;
    struct flow *f;

    if (!t->free && grow(t) < 0)
        return NULL;
    f = t->free;
    t->free = f->next;
    t->n_used++;
    id = f->id;
    *f = (struct flow){ .id = id };
    return f;
}

void flow_table_give(struct flow_table *t, struct flow *f) {
    f->id.generation++;
    f->state = FLOW_FREE;
    f->next = t->free;
    t->free = f;
    t->n_used--;
}

struct flow *flow_table_at(const struct flow_table *t, uint32_t slot) {
    struct flow *f = &t->chunks[slot / FLOW_CHUNK][slot % FLOW_CHUNK];

    return f->state == FLOW_FREE ? NULL : f;
}

uint32_t flow_table_slots(const struct flow_table *t) {
    return t->n_chunks * FLOW_CHUNK;
}

struct flow *flow_table_find(const struct flow_table *t, struct flow_id id) {
    struct flow *f;

    if (id.slot >= flow_table_slots(t))
        return NULL;
    f = flow_table_at(t, id.slot);
    return f && f->id.generation == id.generation ? f : NULL;
}

void flow_table_done(struct flow_table *t) {
    for (uint32_t i = 0; i < t->n_chunks; i++)
        free(t->chunks[i]);
    free(t->chunks);
    *t = (struct flow_table){ 0 };
}
