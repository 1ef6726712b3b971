/* rows.h - the changes of one table within a group, one per key: what a sequence of changes comes
 * to. Pure.
 *
 * Strict: the target had each row as the source had it, so insert + delete is nothing and delete +
 * insert is an update of every column. Loose: rows may be there already or be gone, so an upsert
 * stays an upsert and a delete a delete. Columns an update left unchanged (TOAST) keep the value of
 * the change before.
 */
#ifndef WEIR_MIGRATIONS_SYNC_ROWS_H
#define WEIR_MIGRATIONS_SYNC_ROWS_H

#include "libweir/base/arena.h"
#include "libweir/base/map.h"
#include "libweir/codec/tuple.h"

typedef enum sync_op {
    SYNC_OP_NONE, /* it came and went */
    SYNC_OP_INSERT,
    SYNC_OP_UPSERT,
    SYNC_OP_UPDATE,
    SYNC_OP_DELETE
} sync_op;

typedef struct sync_row {
    sync_op op;
    const weir_val *v; /* n columns; of a DELETE only the key's are looked at */
} sync_row;

typedef enum sync_put {
    SYNC_PUT_OK,
    SYNC_PUT_ODD,    /* cannot follow what was before: apply one by one */
    SYNC_PUT_BARRIER /* cannot be merged: apply what is there first, then put again */
} sync_put;

typedef struct sync_rows {
    uint16_t n;       /* columns */
    bool no_replace;  /* a row cannot be replaced by an update of all its columns */
    weir_map *by_key; /* key bytes -> sync_row */
    sync_row **row;   /* in order of first change */
    size_t nrows, cap;
} sync_rows;

void sync_rows_init(sync_rows *r, uint16_t n, bool no_replace);
void sync_rows_fini(sync_rows *r);
void sync_rows_clear(sync_rows *r);
/* v is borrowed (n values); what is merged is allocated in a. */
sync_put sync_rows_put(sync_rows *r, weir_slice key, sync_op op, const weir_val *v, weir_arena *a);

#endif
