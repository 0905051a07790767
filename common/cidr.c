/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdio.h>

#include "address.h"
#include "unit.h"

#define SEPARATORS ", \t\r\n"
#define CIDR_V4_BITS 96 /* prefix of the v4-mapped space */

static bool key_is_v4(const uint8_t key[static 16]) {
    struct in6_addr in6;

    memcpy(&in6, key, sizeof(in6));
    return IN6_IS_ADDR_V4MAPPED(&in6);
}

static bool is_v4(const struct cidr *c) {
    return c->length >= CIDR_V4_BITS && key_is_v4(c->key);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
    unsigned bytes = bits / 8, rest = bits % 8;

    if (memcmp(a, b, bytes) != 0)
        return false;
    return rest == 0 || ((a[bytes] ^ b[bytes]) & (0xff00 >> rest) & 0xff) == 0;
}

static bool has_host_bits(const struct cidr *c) {
    for (unsigned bit = c->length; bit < 128; bit++)
        if (c->key[bit / 8] & (0x80 >> bit % 8))
            return true;
    return false;
}

int cidr_parse(const char *text, struct cidr *ret) {
    char host[INET6_ADDRSTRLEN];
    size_t n = strcspn(text, "/");
    struct address a = {};
    int64_t length;
    struct cidr c;

    if (n >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';

    bool v4 = !strchr(host, ':');
    a.sa.sa_family = v4 ? AF_INET : AF_INET6;
    if (inet_pton(a.sa.sa_family, host, v4 ? (void *) &a.in.sin_addr : &a.in6.sin6_addr) != 1)
        return -EINVAL;
    if (!text[n])
        length = v4 ? 32 : 128;
    else if (unit_parse_decimal(text + n + 1, &length) < 0 || length > (v4 ? 32 : 128))
        return -EINVAL;

    address_key(&a, c.key);
    c.length = (uint8_t) (v4 ? length + CIDR_V4_BITS : length);
    if (has_host_bits(&c))
        return -EINVAL;

    *ret = c;
    return 0;
}

const char *cidr_format(const struct cidr *c, char buf[static ADDRESS_TEXT_MAX]) {
    bool v4 = is_v4(c);

    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? c->key + 12 : c->key, buf, ADDRESS_TEXT_MAX);
    if (c->length < 128) {
        size_t n = strlen(buf);
        snprintf(buf + n, ADDRESS_TEXT_MAX - n, "/%d", v4 ? c->length - CIDR_V4_BITS : c->length);
    }
    return buf;
}

bool cidr_contains(const struct cidr *c, const uint8_t key[static 16]) {
    if (c->length < CIDR_V4_BITS && key_is_v4(key))
        return false;
    return same_bits(c->key, key, c->length);
}

/* Never reaches zero references, so that "none" needs no memory. */
static struct cidr_list nothing = { .refs = 1 };

static int append(struct cidr_list **l, size_t *allocated, const struct cidr *c) {
    size_t n = *l ? (*l)->n : 0;

    if (n >= CIDR_LIST_MAX)
        return -E2BIG;
    if (n >= *allocated) {
        size_t more = MAX(*allocated * 2, (size_t) 8);
        struct cidr_list *grown = realloc(*l, sizeof(*grown) + more * sizeof(*c));
        if (!grown)
            return -ENOMEM;
        if (!*l)
            *grown = (struct cidr_list){ .refs = 1 };
        *l = grown;
        *allocated = more;
    }
    (*l)->items[(*l)->n++] = *c;
    return 0;
}

static int refuse_word(const char *word, size_t n, char **ret_bad) {
    if (!ret_bad)
        return -EINVAL;
    *ret_bad = strndup(word, n);
    return *ret_bad ? -EINVAL : -ENOMEM;
}

int cidr_list_parse(const char *text, struct cidr_list **ret, char **ret_bad) {
    _cleanup_free_ struct cidr_list *l = NULL;
    size_t allocated = 0, n;
    int r;

    if (streq(text, "none"))
        text = "";
    for (const char *p = text + strspn(text, SEPARATORS); *p; p += n, p += strspn(p, SEPARATORS)) {
        char word[ADDRESS_TEXT_MAX];
        struct cidr c;

        n = strcspn(p, SEPARATORS);
        if (n >= sizeof(word))
            return refuse_word(p, n, ret_bad);
        memcpy(word, p, n);
        word[n] = '\0';
        if (cidr_parse(word, &c) < 0)
            return refuse_word(p, n, ret_bad);
        r = append(&l, &allocated, &c);
        if (r < 0)
            return r;
    }

    *ret = l ? TAKE_PTR(l) : cidr_list_ref(&nothing);
    return 0;
}

char *cidr_list_format(const struct cidr_list *l) {
    char item[ADDRESS_TEXT_MAX];

    if (l->n == 0)
        return strdup("none");
    char *text = malloc(l->n * ADDRESS_TEXT_MAX);
    if (!text)
        return NULL;
    char *end = text;
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            *end++ = ',';
        end = stpcpy(end, cidr_format(&l->items[i], item));
    }
    return text;
}

struct cidr_list *cidr_list_ref(struct cidr_list *l) {
    __atomic_fetch_add(&l->refs, 1, __ATOMIC_RELAXED);
    return l;
}

struct cidr_list *cidr_list_unref(struct cidr_list *l) {
    if (l && __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(l);
    return NULL;
}

bool cidr_list_equal(const struct cidr_list *a, const struct cidr_list *b) {
    if (a == b)
        return true;
    /* struct cidr has no padding. */
    return a->n == b->n && memcmp(a->items, b->items, a->n * sizeof(a->items[0])) == 0;
}

int cidr_list_match(const struct cidr_list *l, const uint8_t key[static 16]) {
    int longest = -1;

    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].length > longest && cidr_contains(&l->items[i], key))
            longest = l->items[i].length;
    return longest;
}
