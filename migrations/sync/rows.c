/* rows.c - the collapse of changes per key. */
#include "migrations/sync/rows.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

void sync_rows_init(sync_rows *r, uint16_t n, bool no_replace)
{
    *r = (sync_rows){.n = n, .no_replace = no_replace, .by_key = weir_map_new()};
}

void sync_rows_fini(sync_rows *r)
{
    weir_map_free(r->by_key);
    free(r->row);
}

void sync_rows_clear(sync_rows *r)
{
    weir_map_clear(r->by_key);
    r->nrows = 0;
}

static bool has_unchanged(const weir_val *v, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        if (v[i].kind == WEIR_VAL_UNCHANGED) {
            return true;
        }
    }
    return false;
}

/* now over before: where now says unchanged, before's value stays. */
static const weir_val *merged(const sync_rows *r, const weir_val *before, const weir_val *now,
                              weir_arena *a)
{
    if (!has_unchanged(now, r->n)) {
        return now;
    }
    weir_val *v = weir_arena_alloc(a, r->n * sizeof *v);
    for (uint16_t i = 0; v && i < r->n; i++) {
        v[i] = now[i].kind == WEIR_VAL_UNCHANGED ? before[i] : now[i];
    }
    return v;
}

static sync_put set(sync_row *row, sync_op op, const weir_val *v)
{
    if (!v) {
        return SYNC_PUT_BARRIER; /* the arena is full */
    }
    row->op = op;
    row->v = v;
    return SYNC_PUT_OK;
}

static sync_put after_insert(const sync_rows *r, sync_row *row, sync_op op, const weir_val *v,
                             weir_arena *a)
{
    switch (op) {
    case SYNC_OP_UPDATE: return set(row, SYNC_OP_INSERT, merged(r, row->v, v, a));
    case SYNC_OP_DELETE: return set(row, SYNC_OP_NONE, v);
    default: return SYNC_PUT_ODD;
    }
}

static sync_put after_upsert(const sync_rows *r, sync_row *row, sync_op op, const weir_val *v,
                             weir_arena *a)
{
    switch (op) {
    case SYNC_OP_UPSERT: return set(row, SYNC_OP_UPSERT, v);
    case SYNC_OP_UPDATE: return set(row, SYNC_OP_UPSERT, merged(r, row->v, v, a));
    case SYNC_OP_DELETE: return set(row, SYNC_OP_DELETE, v);
    default: return SYNC_PUT_ODD;
    }
}

static sync_put after_update(const sync_rows *r, sync_row *row, sync_op op, const weir_val *v,
                             weir_arena *a)
{
    switch (op) {
    case SYNC_OP_UPSERT: return set(row, SYNC_OP_UPSERT, v);
    case SYNC_OP_UPDATE: return set(row, SYNC_OP_UPDATE, merged(r, row->v, v, a));
    case SYNC_OP_DELETE: return set(row, SYNC_OP_DELETE, v);
    default: return SYNC_PUT_ODD;
    }
}

static sync_put after_delete(const sync_rows *r, sync_row *row, sync_op op, const weir_val *v)
{
    switch (op) {
    case SYNC_OP_INSERT: return r->no_replace ? SYNC_PUT_BARRIER : set(row, SYNC_OP_UPDATE, v);
    case SYNC_OP_UPSERT: return r->no_replace ? SYNC_PUT_BARRIER : set(row, SYNC_OP_UPSERT, v);
    case SYNC_OP_UPDATE:
        /* loose only: the row it would change is gone; strict finds that by the count */
        return SYNC_PUT_BARRIER;
    case SYNC_OP_DELETE: return SYNC_PUT_OK;
    default: return SYNC_PUT_ODD;
    }
}

static sync_row *add(sync_rows *r, weir_arena *a)
{
    sync_row *row = weir_arena_alloc(a, sizeof *row);
    if (row && r->nrows == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 256;
        r->row = weir_xrealloc(r->row, r->cap * sizeof *r->row);
    }
    if (row) {
        r->row[r->nrows++] = row;
    }
    return row;
}

sync_put sync_rows_put(sync_rows *r, weir_slice key, sync_op op, const weir_val *v, weir_arena *a)
{
    bool created = false;
    void **slot = weir_map_slot(r->by_key, key, &created);
    sync_row *row = *slot;
    if (created) {
        row = add(r, a);
        if (!row) {
            (void)weir_map_del(r->by_key, key);
            return SYNC_PUT_BARRIER;
        }
        *slot = row;
        return set(row, op, v);
    }
    switch (row->op) {
    case SYNC_OP_NONE: return op == SYNC_OP_INSERT ? set(row, op, v) : SYNC_PUT_ODD;
    case SYNC_OP_INSERT: return after_insert(r, row, op, v, a);
    case SYNC_OP_UPSERT: return after_upsert(r, row, op, v, a);
    case SYNC_OP_UPDATE: return after_update(r, row, op, v, a);
    case SYNC_OP_DELETE: return after_delete(r, row, op, v);
    }
    return SYNC_PUT_ODD;
}
