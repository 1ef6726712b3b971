/* chunk.c - chunks of copied rows. */
#include "bridge/chunk.h"

#include <stdlib.h>

#include "libweir/base/map.h"
#include "libweir/base/xalloc.h"

enum { KEY_MAX_BYTES = 64 * 1024 * 1024 };

brg_chunk *brg_chunk_new(const brg_table *table, weir_slice copy_id, size_t max_bytes)
{
    brg_chunk *c = weir_xcalloc(1, sizeof *c);
    c->a = weir_arena_new(max_bytes);
    c->table = table;
    c->copy_id = copy_id;
    return c;
}

void brg_chunk_free(brg_chunk *c)
{
    if (c) {
        weir_arena_free(c->a);
        free(c->rows);
        free(c);
    }
}

weir_rc brg_chunk_add(brg_chunk *c, const weir_tuple *row, weir_error *err)
{
    weir_val *v = weir_arena_alloc(c->a, row->n * sizeof *v);
    for (uint16_t i = 0; v && i < row->n; i++) {
        v[i] = row->v[i];
        if (v[i].kind == WEIR_VAL_TEXT) {
            v[i].text = weir_arena_dup(c->a, v[i].text);
            if (!v[i].text.p) {
                v = NULL;
            }
        }
    }
    if (!v) {
        return weir_fail(err, WEIR_E_LIMIT, 0,
                         "table %.*s.%.*s: too many bytes to copy at once; give it a primary key",
                         WEIR_SLICE_ARG(c->table->rel.schema), WEIR_SLICE_ARG(c->table->rel.name));
    }
    if (c->nrows == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 1024;
        c->rows = weir_xrealloc(c->rows, c->cap * sizeof *c->rows);
    }
    c->rows[c->nrows++] = (weir_tuple){row->n, v};
    return WEIR_OK;
}

weir_tuple brg_chunk_last_key(const brg_chunk *c, weir_arena *a)
{
    weir_tuple key = {0, NULL};
    if (c->nrows == 0) {
        return key;
    }
    const weir_tuple *row = &c->rows[c->nrows - 1];
    key.n = c->table->nkey;
    key.v = WEIR_ARENA_ARRAY(a, weir_val, key.n);
    for (uint16_t i = 0; i < key.n; i++) {
        key.v[i] = row->v[c->table->key[i]];
        key.v[i].text = weir_arena_dup(a, key.v[i].text);
    }
    return key;
}

static weir_rc put_read(brg_assembler *as, uint32_t version, const weir_tuple *row, weir_error *err)
{
    weir_ev ev = {.kind = WEIR_EV_READ, .rel = version, .new_row = *row};
    return brg_assembler_chunk_put(as, &ev, err);
}

/* Rows without a key: the balance of unseen changes, by whole row text. */
typedef struct balances {
    weir_map *m; /* row text -> (void *)index + 1 */
    weir_buf k;
    struct {
        const weir_tuple *row;
        int64_t n;
    } * b;
    size_t n, cap;
} balances;

static void note_balance(void *arg, const weir_tuple *row, int64_t n)
{
    balances *bs = arg;
    if (bs->n == bs->cap) {
        bs->cap = bs->cap ? bs->cap * 2 : 64;
        bs->b = weir_xrealloc(bs->b, bs->cap * sizeof *bs->b);
    }
    weir_buf_reset(&bs->k);
    brg_window_key(row, NULL, 0, &bs->k);
    bs->b[bs->n].row = row;
    bs->b[bs->n++].n = n;
    *weir_map_slot(bs->m, weir_buf_slice(&bs->k), NULL) = (void *)(uintptr_t)bs->n;
}

/* The table as it is at this place: emptied, then every row of the snapshot without those removed
 * since, then those added. */
static weir_rc emit_keyless(brg_chunk *c, brg_assembler *as, brg_window *w, uint32_t version,
                            uint64_t *emitted, weir_error *err)
{
    balances bs = {.m = weir_map_new()};
    weir_buf_init(&bs.k, KEY_MAX_BYTES);
    brg_window_balance(w, &c->snapshot, note_balance, &bs);
    weir_ev truncate = {.kind = WEIR_EV_TRUNCATE, .nrels = 1, .rels = &version};
    weir_rc rc = brg_assembler_chunk_put(as, &truncate, err);
    for (size_t i = 0; i < c->nrows && rc == WEIR_OK; i++) {
        weir_buf_reset(&bs.k);
        brg_window_key(&c->rows[i], NULL, 0, &bs.k);
        size_t at = (size_t)(uintptr_t)weir_map_get(bs.m, weir_buf_slice(&bs.k));
        if (at && bs.b[at - 1].n < 0) {
            bs.b[at - 1].n++;
            continue;
        }
        rc = put_read(as, version, &c->rows[i], err);
        (*emitted)++;
    }
    for (size_t i = 0; i < bs.n; i++) {
        for (int64_t k = 0; k < bs.b[i].n && rc == WEIR_OK; k++) {
            rc = put_read(as, version, bs.b[i].row, err);
            (*emitted)++;
        }
    }
    weir_map_free(bs.m);
    weir_buf_fini(&bs.k);
    free(bs.b);
    return rc;
}

/* Only what is known of the row: its other columns stay what they are, wherever it is. */
static weir_rc put_known(brg_assembler *as, uint32_t version, const weir_tuple *row,
                         weir_error *err)
{
    weir_ev ev = {.kind = WEIR_EV_UPDATE, .rel = version, .new_row = *row};
    return brg_assembler_chunk_put(as, &ev, err);
}

typedef struct arrivals {
    brg_assembler *as;
    uint32_t version;
    uint64_t *emitted;
    weir_rc rc;
    weir_error *err;
} arrivals;

static void put_arrived(void *arg, const weir_tuple *row, bool whole)
{
    arrivals *to = arg;
    if (to->rc == WEIR_OK) {
        to->rc = whole ? put_read(to->as, to->version, row, to->err)
                       : put_known(to->as, to->version, row, to->err);
        (*to->emitted)++;
    }
}

static weir_rc emit_keyed(brg_chunk *c, brg_assembler *as, brg_window *w, uint32_t version,
                          uint64_t *emitted, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < c->nrows && rc == WEIR_OK; i++) {
        brg_merge m = brg_window_merge(w, &c->snapshot, &c->rows[i]);
        if (m != BRG_ROW_GONE) {
            rc = m == BRG_ROW_PARTIAL ? put_known(as, version, &c->rows[i], err)
                                      : put_read(as, version, &c->rows[i], err);
            (*emitted)++;
        }
    }
    if (rc == WEIR_OK && c->range) {
        arrivals to = {as, version, emitted, WEIR_OK, err};
        brg_window_arrived(w, &c->snapshot, put_arrived, &to);
        rc = to.rc;
    }
    return rc;
}

weir_rc brg_chunk_marks(const brg_chunk *c, uint32_t version, brg_assembler *as, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (c->range) {
        weir_ev ev = {.kind = WEIR_EV_RANGE,
                      .rel = version,
                      .copy_id = c->copy_id,
                      .old_row = c->lo,
                      .new_row = c->hi};
        rc = brg_assembler_chunk_put(as, &ev, err);
    }
    if (rc == WEIR_OK && c->final) {
        weir_ev ev = {.kind = WEIR_EV_COPIED,
                      .rel = version,
                      .copy_id = c->copy_id,
                      .a = c->table->rel.schema,
                      .b = c->table->rel.name};
        rc = brg_assembler_chunk_put(as, &ev, err);
    }
    return rc == WEIR_OK ? brg_assembler_chunk_end(as, err) : rc;
}

weir_rc brg_chunk_emit(brg_chunk *c, brg_assembler *as, brg_window *w, const char **redo,
                       uint64_t *emitted, weir_error *err)
{
    *emitted = 0;
    *redo = c->final ? NULL : brg_window_redo(w, &c->snapshot, &c->table->rel);
    if (*redo) {
        return WEIR_OK;
    }
    uint32_t version = 0;
    weir_rc rc = brg_assembler_version(as, &c->table->rel, &version, err);
    if (rc != WEIR_OK || c->final) {
        return rc == WEIR_OK ? brg_chunk_marks(c, version, as, err) : rc;
    }
    rc = c->table->nkey ? emit_keyed(c, as, w, version, emitted, err)
                        : emit_keyless(c, as, w, version, emitted, err);
    return rc == WEIR_OK ? brg_chunk_marks(c, version, as, err) : rc;
}
