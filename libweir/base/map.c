/* map.c - a hash map from byte keys to one pointer: open addressing, linear probing, tombstones.
 *
 * Tombstones (and no shrinking in delete) let the owner delete while iterating. Keys of up to 16
 * bytes live in the entry.
 */
#include "libweir/base/map.h"

#include <stdlib.h>

#include "libweir/base/hash.h"
#include "libweir/base/xalloc.h"

enum { INLINE_KEY = 16, FIRST_CAP = 16 };
enum { EMPTY = 0, TOMB = 1, FIRST_HASH = 2 };

typedef struct entry {
    uint64_t hash; /* EMPTY, TOMB, or the key's hash (never below FIRST_HASH) */
    size_t n;
    union {
        char in[INLINE_KEY];
        char *out;
    } key;
    void *value;
} entry;

struct weir_map {
    entry *e;
    size_t cap; /* a power of two, or 0 */
    size_t len;
    size_t tombs;
};

weir_map *weir_map_new(void)
{
    return weir_xcalloc(1, sizeof(weir_map));
}

static const char *entry_key(const entry *e)
{
    return e->n <= INLINE_KEY ? e->key.in : e->key.out;
}

static void entry_drop(entry *e)
{
    if (e->hash >= FIRST_HASH && e->n > INLINE_KEY) {
        free(e->key.out);
    }
}

void weir_map_clear(weir_map *m)
{
    for (size_t i = 0; i < m->cap; i++) {
        entry_drop(&m->e[i]);
        m->e[i].hash = EMPTY;
    }
    m->len = 0;
    m->tombs = 0;
}

void weir_map_free(weir_map *m)
{
    if (m) {
        weir_map_clear(m);
        free(m->e);
        free(m);
    }
}

size_t weir_map_len(const weir_map *m)
{
    return m->len;
}

static uint64_t key_hash(weir_slice key)
{
    uint64_t h = weir_hash64(key);
    return h < FIRST_HASH ? h + FIRST_HASH : h;
}

static entry *find(const weir_map *m, weir_slice key, uint64_t hash)
{
    if (m->cap == 0) {
        return NULL;
    }
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        entry *e = &m->e[i];
        if (e->hash == EMPTY) {
            return NULL;
        }
        if (e->hash == hash && e->n == key.n &&
            (key.n == 0 || memcmp(entry_key(e), key.p, key.n) == 0)) {
            return e;
        }
    }
}

void *weir_map_get(const weir_map *m, weir_slice key)
{
    entry *e = find(m, key, key_hash(key));
    return e ? e->value : NULL;
}

bool weir_map_has(const weir_map *m, weir_slice key)
{
    return find(m, key, key_hash(key)) != NULL;
}

static entry *free_place(entry *e, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (e[i].hash >= FIRST_HASH) {
        i = (i + 1) & (cap - 1);
    }
    return &e[i];
}

/* At most three quarters used, tombstones included, so that a probe always meets an empty entry. */
static void make_room(weir_map *m)
{
    if (m->cap && (m->len + m->tombs + 1) * 4 <= m->cap * 3) {
        return;
    }
    size_t cap = m->cap ? m->cap : FIRST_CAP;
    while ((m->len + 1) * 2 > cap) {
        cap *= 2;
    }
    entry *e = weir_xcalloc(cap, sizeof *e);
    for (size_t i = 0; i < m->cap; i++) {
        if (m->e[i].hash >= FIRST_HASH) {
            *free_place(e, cap, m->e[i].hash) = m->e[i];
        }
    }
    free(m->e);
    m->e = e;
    m->cap = cap;
    m->tombs = 0;
}

void **weir_map_slot(weir_map *m, weir_slice key, bool *created)
{
    uint64_t hash = key_hash(key);
    entry *e = find(m, key, hash);
    if (created) {
        *created = !e;
    }
    if (e) {
        return &e->value;
    }
    make_room(m);
    e = free_place(m->e, m->cap, hash);
    if (e->hash == TOMB) {
        m->tombs--;
    }
    e->hash = hash;
    e->n = key.n;
    e->value = NULL;
    if (key.n > INLINE_KEY) {
        e->key.out = weir_xmalloc(key.n);
        memcpy(e->key.out, key.p, key.n);
    } else if (key.n) {
        memcpy(e->key.in, key.p, key.n);
    }
    m->len++;
    return &e->value;
}

void *weir_map_del(weir_map *m, weir_slice key)
{
    entry *e = find(m, key, key_hash(key));
    if (!e) {
        return NULL;
    }
    entry_drop(e);
    e->hash = TOMB;
    m->len--;
    m->tombs++;
    return e->value;
}

bool weir_map_next(const weir_map *m, weir_map_iter *it)
{
    while (it->i < m->cap) {
        entry *e = &m->e[it->i++];
        if (e->hash >= FIRST_HASH) {
            it->key = (weir_slice){entry_key(e), e->n};
            it->value = e->value;
            return true;
        }
    }
    return false;
}
