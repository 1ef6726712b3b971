/* map.h - how the rows of one source relation version lie in a target table: columns, key, and the
 * statements over them. */
#ifndef WEIR_MIGRATIONS_SYNC_MAP_H
#define WEIR_MIGRATIONS_SYNC_MAP_H

#include "libweir/codec/tuple.h"
#include "libweir/io/pg.h"
#include "migrations/sync/apply.h"

typedef struct sync_column {
    const char *name, *ident, *type; /* type: schema-qualified, for "type[]" */
    uint16_t from;                   /* index in the source relation */
    bool as_text;                    /* has no array of its own: sent as text[] and cast */
    bool always;                     /* GENERATED ALWAYS AS IDENTITY: inserted, never updated */
    bool key;
} sync_column;

/* Do source and target order the key alike? */
typedef enum sync_order { SYNC_ORDER_UNKNOWN, SYNC_ORDER_SAME, SYNC_ORDER_OTHER } sync_order;

typedef struct sync_map {
    sync_route_kind kind;
    sync_rules rules;
    const weir_relation *rel;
    const char *table; /* quoted schema.name */
    const char *from; /* behind FROM, UPDATE, TRUNCATE: with its partitions, without the children of
                         plain inheritance, which are tables of their own */
    const char *plain;    /* for messages, = table */
    const char *unquoted; /* schema.name as the crawler writes it */
    const char *schema, *name;
    uint16_t n;
    sync_column *col; /* in the source's order */
    uint16_t nkey;    /* 0: no key, rows are found by their whole value */
    uint16_t key[32]; /* indexes into col */
    sync_order ordered;
    uint16_t range[32];      /* the same in the order of the source's key, when ordered is SAME */
    const char **orphan_sql; /* per foreign key to this table (apply_orphan.c) */
    size_t norphan_sql;
    bool joining; /* its rows are not all here yet (apply_join.c) */
    int id;       /* unique per target table and relation version: for statement names */
} sync_map;

/* Asks the target's catalog. In the arena. WEIR_E_STATE: the table, a column or the unique index on
 * the key is missing there; err says what to do. */
WEIR_MUST_CHECK weir_rc sync_map_make(weir_pg *pg, const weir_relation *rel,
                                      const sync_route *route, int id, weir_arena *a, sync_map *out,
                                      weir_error *err);

/* A set of columns as bits of at most 1664. */
typedef struct sync_mask {
    uint64_t w[26];
} sync_mask;

/* What was put into b as a text in the arena; b is at its end. NULL: too long. */
const char *sync_text_in(weir_arena *a, weir_buf *b);
/* Statements over arrays, one parameter per column, in column order (delete: key columns). In the
 * arena; for a map with a key. */
const char *sync_sql_insert(const sync_map *m, weir_arena *a, bool upsert);
const char *sync_sql_update(const sync_map *m, weir_arena *a, const sync_mask *present,
                            bool guarded);
const char *sync_sql_delete(const sync_map *m, weir_arena *a, bool guarded);
const char *sync_sql_copy(const sync_map *m, weir_arena *a);
/* guarded: two more parameters, an origin's id and a time (us since 2000). Rows that were last
 * changed here (not under that origin) after that time are not touched: the count tells. This one
 * finds the keys that were deleted here after it; it must find none. */
const char *sync_sql_deleted(const sync_map *m, weir_arena *a);
/* Deletes rows whose key is not among the named; conditions follow. */
const char *sync_sql_not_named(const sync_map *m, weir_arena *a);
/* The condition of guarded: parameters number origin and time; xid: an expression. */
void sync_sql_put_guard(weir_buf *b, const char *xid, int origin, int time);

/* Statements over one row, text parameters cast to the columns' types. Moves: parameters are the
 * present columns (key included), then the old key. */
const char *sync_sql_row_insert(const sync_map *m, weir_arena *a, const sync_mask *present);
const char *sync_sql_row_update(const sync_map *m, weir_arena *a, const sync_mask *present,
                                bool or_new_key);
const char *sync_sql_row_delete(const sync_map *m, weir_arena *a);
/* The row of a key, locked: commit time (us since 2000, NULL unknown), origin id. tracked: the
 * server keeps commit timestamps. */
const char *sync_sql_row_look(const sync_map *m, weir_arena *a, bool tracked);
/* The same of the key's tombstone. */
const char *sync_sql_row_deleted(const sync_map *m, weir_arena *a);
const char *sync_sql_row_json(const sync_map *m, weir_arena *a);
/* Without key: one row equal to all the given columns. */
const char *sync_sql_whole_delete(const sync_map *m, weir_arena *a);
const char *sync_sql_whole_update(const sync_map *m, weir_arena *a, const sync_mask *present);

static inline bool sync_mask_has(const sync_mask *m, uint16_t i)
{
    return (m->w[i / 64] >> (i % 64) & 1) != 0;
}
static inline void sync_mask_set(sync_mask *m, uint16_t i)
{
    m->w[i / 64] |= UINT64_C(1) << (i % 64);
}

#endif
