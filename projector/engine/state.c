/* state.c - LMDB behind the engine: rows with their indexes, scans over pooled cursors. */
#include "projector/engine/state.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"
#include "projector/engine/row.h"

enum { POOL = 16, DOCKEY_CUT = 400 };

struct weir_state {
    weir_lmdb *e;
    weir_lmdb_txn *t;
    weir_lmdb_db db[WEIR_DB_COUNT];
    weir_lmdb_cursor *idle[WEIR_DB_COUNT][POOL]; /* of the open transaction */
    int nidle[WEIR_DB_COUNT];
    weir_val *old_vals, *new_vals; /* scratch: one row each */
    size_t cap_vals;
};

static const char *const db_names[WEIR_DB_COUNT] = {"meta",  "row",  "idx",    "emit", "parked",
                                                    "dirty", "task", "recent", "named"};

weir_rc weir_state_open(weir_state **out, const char *dir, size_t map_bytes, weir_error *err)
{
    *out = NULL;
    weir_state *st = weir_xcalloc(1, sizeof *st);
    weir_rc rc = weir_lmdb_open(&st->e, dir, map_bytes, WEIR_DB_COUNT, false, err);
    for (int i = 0; i < WEIR_DB_COUNT && rc == WEIR_OK; i++) {
        rc = weir_lmdb_db_open(st->e, db_names[i], &st->db[i], err);
    }
    if (rc != WEIR_OK) {
        weir_state_close(st);
        return rc;
    }
    *out = st;
    return WEIR_OK;
}

void weir_state_close(weir_state *st)
{
    if (st) {
        weir_state_abort(st);
        weir_lmdb_close(st->e);
        free(st->old_vals);
        free(st->new_vals);
        free(st);
    }
}

weir_lmdb *weir_state_lmdb(weir_state *st)
{
    return st->e;
}

weir_rc weir_state_begin(weir_state *st, weir_error *err)
{
    return weir_lmdb_begin(st->e, true, &st->t, err);
}

static void close_cursors(weir_state *st)
{
    for (int d = 0; d < WEIR_DB_COUNT; d++) {
        while (st->nidle[d] > 0) {
            weir_lmdb_cursor_close(st->idle[d][--st->nidle[d]]);
        }
    }
}

weir_rc weir_state_commit(weir_state *st, weir_error *err)
{
    close_cursors(st);
    weir_lmdb_txn *t = st->t;
    st->t = NULL;
    return weir_lmdb_commit(t, err);
}

void weir_state_abort(weir_state *st)
{
    close_cursors(st);
    weir_lmdb_abort(st->t);
    st->t = NULL;
}

weir_rc weir_state_wipe(weir_state *st, weir_error *err)
{
    weir_rc rc = weir_state_begin(st, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    for (int d = WEIR_DB_META + 1; d < WEIR_DB_COUNT && rc == WEIR_OK; d++) {
        rc = weir_lmdb_drop(st->t, st->db[d], err);
    }
    if (rc != WEIR_OK) {
        weir_state_abort(st);
        return rc;
    }
    return weir_state_commit(st, err);
}

weir_rc weir_state_get(weir_state *st, weir_db db, weir_slice key, weir_slice *value,
                       weir_error *err)
{
    return weir_lmdb_get(st->t, st->db[db], key, value, err);
}

weir_rc weir_state_put(weir_state *st, weir_db db, weir_slice key, weir_slice value,
                       weir_error *err)
{
    return weir_lmdb_put(st->t, st->db[db], key, value, err);
}

weir_rc weir_state_del(weir_state *st, weir_db db, weir_slice key, weir_error *err)
{
    weir_rc rc = weir_lmdb_del(st->t, st->db[db], key, err);
    return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
}

size_t weir_state_count(weir_state *st, weir_db db)
{
    return weir_lmdb_count(st->t, st->db[db]);
}

weir_slice weir_idkey(char buf[WEIR_IDKEY_MAX], uint32_t id, weir_slice a, weir_slice b)
{
    buf[0] = (char)(id >> 24);
    buf[1] = (char)(id >> 16);
    buf[2] = (char)(id >> 8);
    buf[3] = (char)id;
    size_t n = 4;
    if (a.n) {
        size_t take = a.n < WEIR_IDKEY_MAX - n ? a.n : WEIR_IDKEY_MAX - n;
        memcpy(buf + n, a.p, take);
        n += take;
    }
    if (b.n) {
        size_t take = b.n < WEIR_IDKEY_MAX - n ? b.n : WEIR_IDKEY_MAX - n;
        memcpy(buf + n, b.p, take);
        n += take;
    }
    return (weir_slice){buf, n};
}

weir_slice weir_dockey_state(char buf[WEIR_IDKEY_MAX], uint32_t id, weir_slice key, bool *cut)
{
    weir_slice tail = {NULL, 0};
    weir_hash128 h;
    *cut = key.n > DOCKEY_CUT;
    if (*cut) {
        h = weir_hash128_of(key);
        tail = (weir_slice){(const char *)h.b, sizeof h.b};
        key.n = DOCKEY_CUT;
    }
    return weir_idkey(buf, id, key, tail);
}

/* --- rows and indexes
 * ------------------------------------------------------------------------------- */

weir_rc weir_state_row_get(weir_state *st, const weir_ltable *t, weir_slice rowkey, weir_slice *row,
                           weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    return weir_lmdb_get(st->t, st->db[WEIR_DB_ROW],
                         weir_idkey(buf, t->id, rowkey, (weir_slice){NULL, 0}), row, err);
}

/* The columns part of an index entry. WEIR_E_NOTFOUND: the row has none. */
static weir_rc index_key(const weir_lindex *x, const weir_val *vals, weir_key *k, weir_error *err)
{
    weir_val picked[WEIR_KEY_COLS_MAX];
    for (int i = 0; i < x->ncols; i++) {
        picked[i] = vals[x->cols[i]];
    }
    return weir_key_make(k, (size_t)x->ncols, x->types, picked, err);
}

static weir_rc index_put(weir_state *st, const weir_lindex *x, const weir_key *k, weir_slice rowkey,
                         bool put, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    weir_slice key = weir_idkey(buf, x->id, weir_key_slice(k), rowkey);
    if (put) {
        return weir_lmdb_put(st->t, st->db[WEIR_DB_IDX], key, (weir_slice){"", 0}, err);
    }
    return weir_state_del(st, WEIR_DB_IDX, key, err);
}

static weir_rc index_change(weir_state *st, const weir_lindex *x, weir_slice rowkey, bool had,
                            bool has, weir_error *err)
{
    weir_key was;
    weir_key is;
    weir_rc r1 = had ? index_key(x, st->old_vals, &was, err) : WEIR_E_NOTFOUND;
    weir_rc r2 = has ? index_key(x, st->new_vals, &is, err) : WEIR_E_NOTFOUND;
    if ((r1 != WEIR_OK && r1 != WEIR_E_NOTFOUND) || (r2 != WEIR_OK && r2 != WEIR_E_NOTFOUND)) {
        return r1 != WEIR_OK && r1 != WEIR_E_NOTFOUND ? r1 : r2;
    }
    if (r1 == WEIR_OK && r2 == WEIR_OK &&
        weir_slice_eq(weir_key_slice(&was), weir_key_slice(&is))) {
        return WEIR_OK;
    }
    weir_rc rc = WEIR_OK;
    if (r1 == WEIR_OK) {
        rc = index_put(st, x, &was, rowkey, false, err);
    }
    if (rc == WEIR_OK && r2 == WEIR_OK) {
        rc = index_put(st, x, &is, rowkey, true, err);
    }
    return rc;
}

static void need_vals(weir_state *st, size_t n)
{
    if (n > st->cap_vals) {
        st->cap_vals = n * 2;
        st->old_vals = weir_xrealloc(st->old_vals, st->cap_vals * sizeof(weir_val));
        st->new_vals = weir_xrealloc(st->new_vals, st->cap_vals * sizeof(weir_val));
    }
}

static size_t indexed_cols(const weir_ltable *t)
{
    int n = 0;
    for (int i = 0; i < t->nindexes; i++) {
        for (int c = 0; c < t->indexes[i]->ncols; c++) {
            n = t->indexes[i]->cols[c] >= n ? t->indexes[i]->cols[c] + 1 : n;
        }
    }
    return (size_t)n;
}

weir_rc weir_state_row_write(weir_state *st, const weir_ltable *t, weir_slice rowkey,
                             weir_slice old_row, weir_slice new_row, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    weir_slice key = weir_idkey(buf, t->id, rowkey, (weir_slice){NULL, 0});
    weir_rc rc = new_row.n ? weir_lmdb_put(st->t, st->db[WEIR_DB_ROW], key, new_row, err)
                           : weir_state_del(st, WEIR_DB_ROW, key, err);
    if (rc != WEIR_OK || t->nindexes == 0) {
        return rc;
    }
    size_t n = indexed_cols(t);
    need_vals(st, n);
    if ((old_row.n && !weir_row_decode(old_row, st->old_vals, n)) ||
        (new_row.n && !weir_row_decode(new_row, st->new_vals, n))) {
        return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
    }
    for (int i = 0; i < t->nindexes && rc == WEIR_OK; i++) {
        rc = index_change(st, t->indexes[i], rowkey, old_row.n > 0, new_row.n > 0, err);
    }
    return rc;
}

weir_rc weir_state_index_row(weir_state *st, const weir_lindex *x, weir_slice rowkey,
                             weir_slice row, weir_error *err)
{
    size_t n = indexed_cols(x->table);
    need_vals(st, n);
    if (!weir_row_decode(row, st->new_vals, n)) {
        return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
    }
    weir_key k;
    weir_rc rc = index_key(x, st->new_vals, &k, err);
    if (rc == WEIR_E_NOTFOUND) {
        return WEIR_OK;
    }
    return rc == WEIR_OK ? index_put(st, x, &k, rowkey, true, err) : rc;
}

/* --- scans
 * ------------------------------------------------------------------------------------------ */

weir_rc weir_scan_start(weir_state *st, weir_scan *s, weir_db db, weir_slice prefix,
                        weir_slice from, weir_error *err)
{
    s->cur = NULL;
    s->db = db;
    s->started = false;
    if (prefix.n > WEIR_LMDB_MAX_KEY || from.n > WEIR_LMDB_MAX_KEY) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "a scan's prefix is too long");
    }
    s->nprefix = (uint16_t)prefix.n;
    if (prefix.n) {
        memcpy(s->prefix, prefix.p, prefix.n);
    }
    weir_slice at = from.n ? from : prefix;
    s->nat = (uint16_t)at.n;
    if (at.n) {
        memcpy(s->at, at.p, at.n);
    }
    if (st->nidle[db] > 0) {
        s->cur = st->idle[db][--st->nidle[db]];
        return WEIR_OK;
    }
    return weir_lmdb_cursor_open(st->t, st->db[db], &s->cur, err);
}

weir_rc weir_scan_next(weir_scan *s, weir_slice *rest, weir_slice *value, weir_error *err)
{
    weir_slice key;
    weir_rc rc = s->started ? weir_lmdb_next(s->cur, &key, value)
                            : weir_lmdb_seek(s->cur, (weir_slice){s->at, s->nat}, &key, value);
    s->started = true;
    if (rc == WEIR_E_NOTFOUND) {
        return WEIR_E_EOF;
    }
    if (rc != WEIR_OK) {
        return weir_fail(err, rc, 0, "the state cannot be read");
    }
    if (!weir_slice_starts(key, (weir_slice){s->prefix, s->nprefix})) {
        return WEIR_E_EOF;
    }
    *rest = (weir_slice){key.p + s->nprefix, key.n - s->nprefix};
    return WEIR_OK;
}

void weir_scan_end(weir_state *st, weir_scan *s)
{
    if (!s->cur) {
        return;
    }
    if (st->nidle[s->db] < POOL) {
        st->idle[s->db][st->nidle[s->db]++] = s->cur;
    } else {
        weir_lmdb_cursor_close(s->cur);
    }
    s->cur = NULL;
}
