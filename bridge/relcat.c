/* relcat.c - relation versions by the hash of their description, and per-connection bindings by
 * oid. */
#include "bridge/relcat.h"

#include <stdlib.h>

#include "libweir/base/map.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/frame.h"

enum { DESCRIPTION_MAX_BYTES = 4 * 1024 * 1024 };

typedef struct bound {
    weir_relation rel;
    weir_arena *a;
} bound;

struct brg_relcat {
    weir_map *by_hash; /* hash -> (void *)version */
    weir_map *by_oid;  /* oid bytes -> bound */
    uint32_t max;
};

brg_relcat *brg_relcat_new(void)
{
    brg_relcat *rc = weir_xcalloc(1, sizeof *rc);
    rc->by_hash = weir_map_new();
    rc->by_oid = weir_map_new();
    return rc;
}

void brg_relcat_free(brg_relcat *rc)
{
    if (rc) {
        brg_relcat_unbind_all(rc);
        weir_map_free(rc->by_hash);
        weir_map_free(rc->by_oid);
        free(rc);
    }
}

static weir_slice hash_key(const weir_hash128 *h)
{
    return (weir_slice){(const char *)h->b, sizeof h->b};
}

void brg_relcat_known(brg_relcat *rc, weir_hash128 hash, uint32_t version)
{
    *weir_map_slot(rc->by_hash, hash_key(&hash), NULL) = (void *)(uintptr_t)version;
    rc->max = version > rc->max ? version : rc->max;
}

uint32_t brg_relcat_version(brg_relcat *rc, const weir_relation *rel, bool *created,
                            weir_hash128 *hash)
{
    weir_buf b;
    weir_buf_init(&b, DESCRIPTION_MAX_BYTES);
    weir_relation plain = *rel;
    plain.version = 0;
    weir_relation_encode(&b, &plain);
    weir_hash128 h = weir_hash128_of(weir_buf_slice(&b));
    weir_buf_fini(&b);
    void **slot = weir_map_slot(rc->by_hash, hash_key(&h), created);
    if (*created) {
        *slot = (void *)(uintptr_t)++rc->max;
    }
    if (hash) {
        *hash = h;
    }
    return (uint32_t)(uintptr_t)*slot;
}

static void bound_free(bound *b)
{
    if (b) {
        weir_arena_free(b->a);
        free(b);
    }
}

void brg_relcat_bind(brg_relcat *rc, const weir_relation *rel, uint32_t version)
{
    bound *b = weir_xcalloc(1, sizeof *b);
    b->a = weir_arena_new(0);
    b->rel = *rel;
    b->rel.version = version;
    b->rel.schema = weir_arena_dup(b->a, rel->schema);
    b->rel.name = weir_arena_dup(b->a, rel->name);
    b->rel.cols = WEIR_ARENA_ARRAY(b->a, weir_column, rel->n);
    for (uint16_t i = 0; i < rel->n; i++) {
        b->rel.cols[i] = rel->cols[i];
        b->rel.cols[i].name = weir_arena_dup(b->a, rel->cols[i].name);
    }
    void **slot =
        weir_map_slot(rc->by_oid, (weir_slice){(const char *)&rel->oid, sizeof rel->oid}, NULL);
    bound_free(*slot);
    *slot = b;
}

const weir_relation *brg_relcat_get(const brg_relcat *rc, uint32_t oid)
{
    const bound *b = weir_map_get(rc->by_oid, (weir_slice){(const char *)&oid, sizeof oid});
    return b ? &b->rel : NULL;
}

void brg_relcat_unbind_all(brg_relcat *rc)
{
    weir_map_iter it = {0};
    while (weir_map_next(rc->by_oid, &it)) {
        bound_free(it.value);
    }
    weir_map_clear(rc->by_oid);
}
