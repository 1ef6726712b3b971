/* key.c - sets of keys, and how often each is held. */
#include "write-service/key.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/xalloc.h"

static void remove_at(wsvc_keys *ks, size_t i)
{
    ks->n--;
    memmove(ks->k + i, ks->k + i + 1, (ks->n - i) * sizeof ks->k[0]);
}

static void add_whole(wsvc_keys *ks, uint64_t domain)
{
    for (size_t i = ks->n; i-- > 0;) {
        if (ks->k[i].domain == domain) {
            remove_at(ks, i);
        }
    }
    if (ks->n < WSVC_KEYS_MAX) {
        ks->k[ks->n++] = (wsvc_key){domain, WSVC_KEY_WHOLE};
    }
}

bool wsvc_keys_cover(const wsvc_keys *ks, wsvc_key k)
{
    for (size_t i = 0; i < ks->n; i++) {
        if (ks->k[i].domain == k.domain &&
            (ks->k[i].value == k.value || ks->k[i].value == WSVC_KEY_WHOLE)) {
            return true;
        }
    }
    return false;
}

static size_t count_of(const wsvc_keys *ks, uint64_t domain)
{
    size_t n = 0;
    for (size_t i = 0; i < ks->n; i++) {
        n += ks->k[i].domain == domain;
    }
    return n;
}

/* Room for a key of another domain: the one with most rows is taken to be touched whole. */
static void make_room(wsvc_keys *ks)
{
    uint64_t domain = 0;
    size_t most = 0;
    for (size_t i = 0; i < ks->n; i++) {
        size_t n = count_of(ks, ks->k[i].domain);
        if (n > most) {
            most = n;
            domain = ks->k[i].domain;
        }
    }
    if (most > 1) {
        add_whole(ks, domain);
    }
}

void wsvc_keys_add(wsvc_keys *ks, wsvc_key k)
{
    if (wsvc_keys_cover(ks, k)) {
        return;
    }
    bool full = ks->n == WSVC_KEYS_MAX, first = count_of(ks, k.domain) == 0;
    if (full && first) {
        make_room(ks);
    }
    if (k.value == WSVC_KEY_WHOLE || (full && !first)) {
        add_whole(ks, k.domain);
    } else if (ks->n < WSVC_KEYS_MAX) {
        ks->k[ks->n++] = k;
    }
}

/* --- the bag: open addressing; a key that is held by nobody stays until the table grows ------- */

typedef struct slot {
    wsvc_key key;
    uint32_t count;
    uint32_t round; /* older than the bag's: empty */
} slot;

struct wsvc_keybag {
    slot *slots;
    size_t cap, used; /* cap is a power of two; used counts slots of this round */
    uint32_t round;
};

enum { FIRST_CAP = 256 };

/* Beside each row its domain is counted, under a value no row has. */
static const uint64_t any_row = UINT64_MAX;

wsvc_keybag *wsvc_keybag_new(void)
{
    wsvc_keybag *b = weir_xcalloc(1, sizeof *b);
    b->cap = FIRST_CAP;
    b->slots = weir_xcalloc(b->cap, sizeof *b->slots);
    b->round = 1;
    return b;
}

void wsvc_keybag_free(wsvc_keybag *b)
{
    if (b) {
        free(b->slots);
        free(b);
    }
}

void wsvc_keybag_clear(wsvc_keybag *b)
{
    b->used = 0;
    if (++b->round == 0) {
        memset(b->slots, 0, b->cap * sizeof *b->slots);
        b->round = 1;
    }
}

static slot *find(const wsvc_keybag *b, wsvc_key k)
{
    uint64_t h = (k.domain ^ (k.value * 0x9e3779b97f4a7c15U)) * 0xff51afd7ed558ccdU;
    size_t i = (size_t)(h >> 32) & (b->cap - 1);
    while (b->slots[i].round == b->round && !wsvc_key_same(b->slots[i].key, k)) {
        i = (i + 1) & (b->cap - 1);
    }
    return &b->slots[i];
}

static void put(wsvc_keybag *b, wsvc_key k, uint32_t n)
{
    slot *s = find(b, k);
    if (s->round != b->round) {
        *s = (slot){k, 0, b->round};
        b->used++;
    }
    s->count += n;
}

static void rebuild(wsvc_keybag *b)
{
    wsvc_keybag old = *b;
    size_t live = 0;
    for (size_t i = 0; i < old.cap; i++) {
        live += old.slots[i].round == old.round && old.slots[i].count > 0;
    }
    while (b->cap < live * 4) {
        b->cap *= 2;
    }
    b->slots = weir_xcalloc(b->cap, sizeof *b->slots);
    b->used = 0;
    b->round = 1;
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].round == old.round && old.slots[i].count > 0) {
            put(b, old.slots[i].key, old.slots[i].count);
        }
    }
    free(old.slots);
}

void wsvc_keybag_add(wsvc_keybag *b, wsvc_key k)
{
    if ((b->used + 2) * 2 > b->cap) {
        rebuild(b);
    }
    put(b, k, 1);
    put(b, (wsvc_key){k.domain, any_row}, 1);
}

static void take(wsvc_keybag *b, wsvc_key k)
{
    slot *s = find(b, k);
    assert(s->round == b->round && s->count > 0);
    s->count--;
}

void wsvc_keybag_drop(wsvc_keybag *b, wsvc_key k)
{
    take(b, k);
    take(b, (wsvc_key){k.domain, any_row});
}

static bool held(const wsvc_keybag *b, wsvc_key k)
{
    const slot *s = find(b, k);
    return s->round == b->round && s->count > 0;
}

bool wsvc_keybag_meets(const wsvc_keybag *b, wsvc_key k)
{
    if (b->used == 0) {
        return false;
    }
    if (k.value == WSVC_KEY_WHOLE) {
        return held(b, (wsvc_key){k.domain, any_row});
    }
    return held(b, k) || held(b, (wsvc_key){k.domain, WSVC_KEY_WHOLE});
}

bool wsvc_keybag_meets_any(const wsvc_keybag *b, const wsvc_keys *ks)
{
    for (size_t i = 0; i < ks->n; i++) {
        if (wsvc_keybag_meets(b, ks->k[i])) {
            return true;
        }
    }
    return false;
}
