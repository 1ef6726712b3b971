/* catalog.h - the published tables as the catalog tells them: columns exactly as the stream sends
 * them, key, filter. */
#ifndef WEIR_BRIDGE_CATALOG_H
#define WEIR_BRIDGE_CATALOG_H

#include "bridge/window.h"
#include "libweir/io/pg.h"

typedef struct brg_table {
    weir_relation
        rel; /* as pgoutput would describe it: generated and unpublished columns left out */
    uint16_t key[BRG_KEYS_MAX]; /* positions of the columns to page by, unique and never null; nkey
                                   0: none */
    uint16_t nkey;
    const char *source;  /* quoted name for FROM, with ONLY where children speak for themselves */
    const char *columns; /* quoted, comma separated */
    const char *filter;  /* the publication's row filter, or NULL */
} brg_table;

/* All published tables, in the arena, or only schema.name (NULL: all). */
WEIR_MUST_CHECK weir_rc brg_catalog_tables(weir_pg *pg, const char *publication, const char *schema,
                                           const char *name, weir_arena *a, brg_table **out,
                                           size_t *n, weir_error *err);

/* SELECT of a chunk: rows after lo (n = 0: from the start) in key order, at most limit (0: all).
 * Parameters are lo's texts. where (may be NULL): a further column tells whether the row is wanted;
 * those that are not have only their key, and are there so that the chunk ends where its reading
 * did. keys: instead, exactly these keys (inlined as literals). */
const char *brg_catalog_chunk_sql(const brg_table *t, weir_arena *a, bool after, int64_t limit,
                                  const char *where);
const char *brg_catalog_keys_sql(const brg_table *t, weir_arena *a, const weir_tuple *keys,
                                 size_t n);
const char *brg_catalog_copy_sql(const brg_table *t, weir_arena *a);

#endif
