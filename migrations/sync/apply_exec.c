/* apply_exec.c - what a group's tables hold becomes statements: arrays, COPY, single rows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"
#include "libweir/codec/lsn.h"
#include "migrations/sync/apply_priv.h"

enum {
    COPY_FROM_ROWS = 200, /* fewer inserts go as arrays, without leaving the pipeline */
    COPY_BYTES = 1 << 20,
    ARRAY_MAX_BYTES = 900 << 20,
    SLICE_ROWS = 20000 /* rows of one array statement: bounds memory on both sides */
};

const weir_val *sync_apply_values(sync_apply *s, const sync_map *m, const weir_tuple *row,
                                  const weir_tuple *whole)
{
    static const weir_val none = {WEIR_VAL_NULL, {NULL, 0}};
    weir_val *v = weir_arena_alloc(s->a, m->n * sizeof *v);
    for (uint16_t i = 0; v && i < m->n; i++) {
        uint16_t k = m->col[i].from;
        v[i] = k < row->n ? row->v[k] : none;
        if (v[i].kind == WEIR_VAL_UNCHANGED && whole && k < whole->n) {
            v[i] = whole->v[k];
        }
    }
    return v;
}

weir_slice sync_apply_key(sync_apply *s, const sync_map *m, const weir_val *v)
{
    weir_buf_reset(&s->key);
    if (m->nkey == 1) {
        return v[m->key[0]].text;
    }
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_slice t = v[m->key[i]].text;
        weir_buf_u32(&s->key, (uint32_t)t.n);
        weir_buf_puts(&s->key, t);
    }
    return weir_buf_slice(&s->key);
}

bool sync_apply_complete(const sync_map *m, const weir_val *v)
{
    for (uint16_t i = 0; i < m->n; i++) {
        if (v[i].kind == WEIR_VAL_UNCHANGED) {
            return false;
        }
    }
    return true;
}

sync_mask sync_apply_present(const sync_map *m, const weir_val *v)
{
    sync_mask mask = {{0}};
    for (uint16_t i = 0; i < m->n; i++) {
        if (v[i].kind != WEIR_VAL_UNCHANGED) {
            sync_mask_set(&mask, i);
        }
    }
    return mask;
}

const char *sync_apply_param(sync_apply *s, const weir_val *v)
{
    return v->kind == WEIR_VAL_TEXT ? weir_arena_dupz(s->a, v->text) : NULL;
}

int sync_apply_params(sync_apply *s, const sync_map *m, const weir_val *v, const sync_mask *present,
                      const weir_val *key, const char **params)
{
    int n = 0;
    for (uint16_t i = 0; present && i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            params[n++] = sync_apply_param(s, &v[i]);
        }
    }
    for (uint16_t i = 0; key && i < m->nkey; i++) {
        params[n++] = sync_apply_param(s, &key[m->key[i]]);
    }
    return n;
}

static const char *make_sql(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask)
{
    weir_arena *a = s->maps_arena;
    switch (kind) {
    case 'i': return sync_sql_insert(m, a, false);
    case 'p': return sync_sql_insert(m, a, true);
    case 'u': return sync_sql_update(m, a, mask, false);
    case 'v': return sync_sql_update(m, a, mask, true);
    case 'd': return sync_sql_delete(m, a, false);
    case 'e': return sync_sql_delete(m, a, true);
    case 't': return sync_sql_deleted(m, a);
    case 'c': return sync_sql_copy(m, a);
    case 'I': return sync_sql_row_insert(m, a, mask);
    case 'U': return sync_sql_row_update(m, a, mask, false);
    case 'M': return sync_sql_row_update(m, a, mask, true);
    case 'D': return sync_sql_row_delete(m, a);
    case 'L': return sync_sql_row_look(m, a, s->tracked);
    case 'T': return sync_sql_row_deleted(m, a);
    case 'J': return sync_sql_row_json(m, a);
    case 'X': return sync_sql_whole_delete(m, a);
    default: return sync_sql_whole_update(m, a, mask);
    }
}

const char *sync_apply_stmt(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask,
                            char name[64])
{
    unsigned long long h = 0;
    for (size_t i = 0; mask && i < sizeof mask->w / sizeof *mask->w; i++) {
        h = (h ^ mask->w[i]) * 0x9e3779b97f4a7c15ULL + i;
    }
    (void)snprintf(name, 64, "%c%d_%llx", kind, m->id, h);
    void **slot = weir_map_slot(s->sql, weir_slice_z(name), NULL);
    if (!*slot) {
        /* NULL only for a table whose statement is larger than any server takes */
        *slot = (void *)(uintptr_t)make_sql(s, m, kind, mask);
    }
    return *slot;
}

static weir_rc too_wide(const sync_map *m, weir_error *err)
{
    return weir_fail(err, WEIR_E_LIMIT, 0, "table %s: a statement over its columns is too long",
                     m->plain);
}

static weir_rc run(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask, int n,
                   const char *const *params, int64_t expect, weir_error *err)
{
    char name[64];
    const char *sql = sync_apply_stmt(s, m, kind, mask, name);
    if (!sql) {
        return too_wide(m, err);
    }
    weir_rc rc = sync_apply_begin_tx(s, err);
    return rc == WEIR_OK ? sync_exec_send(&s->x, name, sql, n, params, expect, m->plain, err) : rc;
}

static weir_buf *column_buffer(sync_apply *s, size_t i)
{
    if (i >= s->nwide) {
        s->wide = weir_xrealloc(s->wide, (i + 1) * sizeof *s->wide);
        for (; s->nwide <= i; s->nwide++) {
            weir_buf_init(&s->wide[s->nwide], ARRAY_MAX_BYTES);
        }
    }
    weir_buf_reset(&s->wide[i]);
    return &s->wide[i];
}

const char *sync_apply_array(sync_apply *s, size_t slot, sync_row *const *list, size_t n,
                             uint16_t col)
{
    weir_buf *b = column_buffer(s, slot);
    weir_buf_u8(b, '{');
    for (size_t r = 0; r < n; r++) {
        if (r) {
            weir_buf_u8(b, ',');
        }
        sync_put_element(b, &list[r]->v[col]);
    }
    weir_buf_put(b, "}", 2); /* with the NUL */
    return b->failed ? NULL : b->p;
}

/* The rows list[0…n) as one array per column of the mask. */
static weir_rc send_arrays(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask,
                           sync_row *const *list, size_t n, weir_error *err)
{
    const char **params = weir_xcalloc((size_t)m->n + 2, sizeof *params);
    bool guarded = kind == 'v' || kind == 'e' || kind == 't';
    int nparams = 0;
    bool failed = false;
    for (uint16_t i = 0; i < m->n; i++) {
        if (!sync_mask_has(mask, i)) {
            continue;
        }
        params[nparams] = sync_apply_array(s, (size_t)nparams, list, n, i);
        failed = failed || !params[nparams];
        nparams++;
    }
    if (guarded) {
        params[nparams++] = weir_arena_printf(s->a, "%" PRId64, s->origin_id);
        params[nparams++] = weir_arena_printf(s->a, "%" PRId64, s->known_us);
    }
    int64_t expect = sync_loose(s, m) || kind == 'p' ? SYNC_ANY : kind == 't' ? 0 : (int64_t)n;
    weir_rc rc = failed
                     ? weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too many bytes at once", m->plain)
                     : run(s, m, kind, kind == 'u' || kind == 'v' ? mask : NULL, nparams, params,
                           expect, err);
    free(params);
    return rc;
}

static weir_rc send_slices(sync_apply *s, const sync_map *m, char kind, const sync_mask *mask,
                           sync_row *const *list, size_t n, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t at = 0; rc == WEIR_OK && at < n; at += SLICE_ROWS) {
        rc = send_arrays(s, m, kind, mask, list + at, n - at < SLICE_ROWS ? n - at : SLICE_ROWS,
                         err);
    }
    return rc;
}

static weir_rc send_copy(sync_apply *s, const sync_map *m, sync_row *const *list, size_t n,
                         weir_error *err)
{
    char name[64];
    weir_buf *b = column_buffer(s, 0);
    const char *sql = sync_apply_stmt(s, m, 'c', NULL, name);
    if (!sql) {
        return too_wide(m, err);
    }
    weir_rc rc = sync_apply_begin_tx(s, err);
    rc = rc == WEIR_OK ? sync_exec_plain(&s->x, err) : rc;
    rc = rc == WEIR_OK ? weir_pg_copy_in_start(s->x.pg, sql, err) : rc;
    for (size_t r = 0; rc == WEIR_OK && r < n; r++) {
        for (uint16_t i = 0; i < m->n; i++) {
            if (i) {
                weir_buf_u8(b, '\t');
            }
            sync_put_copy(b, &list[r]->v[i]);
        }
        weir_buf_u8(b, '\n');
        if (b->n > COPY_BYTES || r + 1 == n) {
            rc = b->failed
                     ? weir_fail(err, WEIR_E_LIMIT, 0, "table %s: a row is too large", m->plain)
                     : weir_pg_copy_in_put(s->x.pg, weir_buf_slice(b), err);
            weir_buf_reset(b);
        }
    }
    rc = rc == WEIR_OK ? weir_pg_copy_in_end(s->x.pg, NULL, err) : rc;
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "table %s", m->plain);
    }
    return rc;
}

/* Rows of one kind, in order; *n of them. */
static sync_row **pick(sync_apply *s, const sync_rows *rows, sync_op op, size_t *n)
{
    *n = 0;
    sync_row **list = weir_arena_alloc(s->a, (rows->nrows + 1) * sizeof(sync_row *));
    for (size_t i = 0; list && i < rows->nrows; i++) {
        if (rows->row[i]->op == op) {
            list[(*n)++] = rows->row[i];
        }
    }
    return list;
}

static bool same_mask(const sync_mask *a, const sync_mask *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Who last changed a row matters, and is known. */
static bool guards(const sync_apply *s, const sync_map *m)
{
    return s->have_origin && !sync_loose(s, m);
}

/* Updates by which columns they bring: mostly all, so mostly one statement. */
static weir_rc send_updates(sync_apply *s, const sync_map *m, sync_row **list, size_t n,
                            weir_error *err)
{
    weir_rc rc = WEIR_OK;
    sync_row **same = weir_arena_alloc(s->a, (n + 1) * sizeof(sync_row *));
    while (rc == WEIR_OK && n > 0 && same) {
        sync_mask mask = sync_apply_present(m, list[0]->v);
        size_t k = 0;
        size_t left = 0;
        for (size_t i = 0; i < n; i++) {
            sync_mask one = sync_apply_present(m, list[i]->v);
            if (same_mask(&one, &mask)) {
                same[k++] = list[i];
            } else {
                list[left++] = list[i];
            }
        }
        rc = send_slices(s, m, guards(s, m) ? 'v' : 'u', &mask, same, k, err);
        n = left;
    }
    return rc;
}

static void count(atomic_ullong *c, size_t n)
{
    atomic_fetch_add(c, n);
}

/* Deletes free unique values, updates move them, inserts take them: in this order most groups fit
 * the target's other unique indexes too; those that do not are applied row by row. */
weir_rc sync_apply_table(sync_apply *s, sync_table *t, weir_error *err)
{
    const sync_map *m = t->m;
    size_t nd = 0;
    size_t nu = 0;
    size_t ni = 0;
    size_t np = 0;
    weir_rc rc = WEIR_OK;
    if (t->rows.nrows == 0) {
        return WEIR_OK;
    }
    sync_row **d = pick(s, &t->rows, SYNC_OP_DELETE, &nd);
    sync_row **u = pick(s, &t->rows, SYNC_OP_UPDATE, &nu);
    sync_row **p = pick(s, &t->rows, SYNC_OP_UPSERT, &np);
    sync_row **ins = pick(s, &t->rows, SYNC_OP_INSERT, &ni);
    sync_mask all = {{0}};
    sync_mask keys = {{0}};
    for (uint16_t i = 0; i < m->n; i++) {
        sync_mask_set(&all, i);
        if (m->col[i].key) {
            sync_mask_set(&keys, i);
        }
    }
    if (!d || !u || !p || !ins) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "table %s: a group is too large", m->plain);
    }
    rc = send_slices(s, m, guards(s, m) ? 'e' : 'd', &keys, d, nd, err);
    rc = rc == WEIR_OK ? send_updates(s, m, u, nu, err) : rc;
    rc = rc == WEIR_OK ? send_slices(s, m, 'p', &all, p, np, err) : rc;
    if (rc == WEIR_OK && guards(s, m) && s->conf.trace) {
        rc = send_slices(s, m, 't', &keys, ins, ni, err);
    }
    if (rc == WEIR_OK) {
        rc = ni >= COPY_FROM_ROWS ? send_copy(s, m, ins, ni, err)
                                  : send_slices(s, m, 'i', &all, ins, ni, err);
    }
    if (s->conf.counts) {
        count(&s->conf.counts->deleted, nd);
        count(&s->conf.counts->updated, nu);
        count(&s->conf.counts->inserted, ni + np);
    }
    sync_rows_clear(&t->rows);
    return rc;
}

weir_rc sync_apply_tables(sync_apply *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < s->norder; i++) {
        rc = rc == WEIR_OK ? sync_apply_table(s, s->order[i], err) : rc;
        s->order[i]->used = false;
    }
    s->norder = 0;
    return rc;
}

static weir_rc upsert_whole(sync_apply *s, const sync_map *m, const weir_val *v, weir_error *err)
{
    sync_mask all = sync_apply_present(m, v);
    sync_row row = {SYNC_OP_UPSERT, v};
    sync_row *list = &row;
    return send_arrays(s, m, 'p', &all, &list, 1, err);
}

/* A row moved without all of its columns (reread.h). The flow stays loose until behind the read,
 * which is committed with the row. */
static weir_rc read_again(sync_apply *s, const sync_map *m, const weir_val *v, weir_error *err)
{
    const weir_val *now = NULL;
    uint64_t after = 0;
    if (!s->reread) {
        return WEIR_OK; /* no first copy: the row was there */
    }
    weir_rc rc = sync_reread_row(s->reread, m, v, s->xid, s->a, &now, &after, err);
    rc = rc == WEIR_OK && now ? upsert_whole(s, m, now, err) : rc;
    if (rc != WEIR_OK || after <= s->loose_until) {
        return rc;
    }
    char lsn[WEIR_LSN_TEXT_MAX];
    const char *params[] = {s->conf.flow, weir_lsn_print(after, lsn)};
    s->loose_until = after;
    return sync_exec_send(&s->x, "loose",
                          "UPDATE weir_sync.position SET loose_until = greatest(loose_until, "
                          "$2::pg_lsn) WHERE flow = $1",
                          2, params, SYNC_ANY, "weir_sync.position", err);
}

/* A key that nobody may set cannot follow. */
static weir_rc key_is_free(const sync_map *m, weir_error *err)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        const sync_column *c = &m->col[m->key[i]];
        if (c->always) {
            return weir_fail(err, WEIR_E_CONFLICT, 0,
                             "table %s: a key changed, and in the target nobody may set it: ALTER "
                             "TABLE %s ALTER %s SET GENERATED BY DEFAULT",
                             m->plain, m->table, c->ident);
        }
    }
    return WEIR_OK;
}

/* The row moves from old's key to v's. Loose: what is at the new key becomes this row. */
weir_rc sync_apply_move(sync_apply *s, const sync_map *m, const weir_val *v, const weir_val *old,
                        weir_error *err)
{
    const char **params = weir_xcalloc(SYNC_PARAMS_MAX, sizeof *params);
    sync_mask present = sync_apply_present(m, v);
    weir_rc rc = key_is_free(m, err);
    bool loose = sync_loose(s, m);
    if (rc == WEIR_OK && loose) {
        /* at most one of the two keys is left after this */
        weir_buf sql;
        char name[64];
        weir_buf_init(&sql, 1 << 20);
        weir_buf_printf(&sql, "%s AND EXISTS (SELECT FROM %s AS t WHERE ",
                        sync_apply_stmt(s, m, 'D', NULL, name), m->from);
        for (uint16_t i = 0; i < m->nkey; i++) {
            weir_buf_printf(&sql, "%st.%s = $%d", i ? " AND " : "", m->col[m->key[i]].ident,
                            m->nkey + i + 1);
        }
        weir_buf_put(&sql, ")", 2);
        int n = sync_apply_params(s, m, NULL, NULL, old, params);
        n += sync_apply_params(s, m, NULL, NULL, v, params + n);
        name[0] = 'E';
        rc = sync_apply_begin_tx(s, err);
        rc = rc == WEIR_OK ? sync_exec_send(&s->x, name, sql.p, n, params, SYNC_ANY, m->plain, err)
                           : rc;
        weir_buf_fini(&sql);
    }
    if (rc == WEIR_OK) {
        int n = sync_apply_params(s, m, v, &present, old, params);
        rc = run(s, m, loose ? 'M' : 'U', &present, n, params, loose ? SYNC_ANY : 1, err);
    }
    if (rc == WEIR_OK && loose) {
        rc = sync_apply_complete(m, v) ? upsert_whole(s, m, v, err) : read_again(s, m, v, err);
    }
    if (s->conf.counts) {
        count(&s->conf.counts->updated, 1);
    }
    free(params);
    return rc;
}

/* A table without key was copied in one piece: what that piece saw must not come again. */
static weir_rc in_copy(sync_apply *s, const sync_map *m, bool *known, weir_error *err)
{
    char name[64];
    weir_pg_rows *rows = NULL;
    weir_rc rc = WEIR_OK;
    *known = false;
    (void)snprintf(name, sizeof name, "snapshot %d", m->id);
    bool created = false;
    void **slot = weir_map_slot(s->sql, weir_slice_z(name), &created);
    if (created) {
        *slot = (void *)(uintptr_t) "";
        const char *params[] = {s->conf.flow, m->unquoted};
        rc = sync_exec_plain(&s->x, err);
        rc = rc == WEIR_OK
                 ? weir_pg_query(s->x.pg,
                                 "SELECT snapshot FROM weir_sync.chunk WHERE job = $1 AND "
                                 "right(tab, length($2) + 3) = ' > ' || $2 LIMIT 1",
                                 2, params, &rows, err)
                 : rc;
        if (rc == WEIR_OK && weir_pg_nrows(rows) > 0) {
            *weir_map_slot(s->sql, weir_slice_z(name), NULL) =
                weir_arena_dupz(s->maps_arena, weir_pg_value(rows, 0, 0));
        }
        weir_pg_rows_free(rows);
    }
    uint64_t xip[4096];
    weir_snapshot snapshot;
    const char *text = weir_map_get(s->sql, weir_slice_z(name));
    if (rc == WEIR_OK && text && text[0]) {
        if (!weir_snapshot_parse(weir_slice_z(text), xip, sizeof xip / sizeof *xip, &snapshot)) {
            return weir_fail(err, WEIR_E_PROTO, 0, "table %s: its copy's snapshot cannot be read",
                             m->plain);
        }
        *known = weir_snapshot_sees(&snapshot, s->xid);
    }
    return rc;
}

/* Found by its whole old row; one of equal rows. */
weir_rc sync_apply_keyless(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    bool known = false;
    if (ev->kind == WEIR_EV_READ) {
        return sync_piece_keyless(s, m, ev, err);
    }
    if (s->loose) {
        weir_rc checked = in_copy(s, m, &known, err);
        if (checked != WEIR_OK || known) {
            return checked;
        }
    }
    const char **params = weir_xcalloc((size_t)2 * SYNC_PARAMS_MAX, sizeof *params);
    const weir_val *v = NULL;
    const weir_val *old = NULL;
    sync_mask all = {{0}};
    weir_rc rc = WEIR_OK;
    for (uint16_t i = 0; i < m->n; i++) {
        sync_mask_set(&all, i);
    }
    int n = 0;
    if (ev->kind == WEIR_EV_INSERT) {
        v = sync_apply_values(s, m, &ev->new_row, NULL);
        n = sync_apply_params(s, m, v, &all, NULL, params);
        rc = run(s, m, 'I', &all, n, params, 1, err);
    } else if (ev->kind == WEIR_EV_UPDATE) {
        v = sync_apply_values(s, m, &ev->new_row, &ev->old_row);
        old = sync_apply_values(s, m, &ev->old_row, NULL);
        n = sync_apply_params(s, m, v, &all, NULL, params);
        n += sync_apply_params(s, m, old, &all, NULL, params + n);
        rc = run(s, m, 'Y', &all, n, params, 1, err);
    } else if (ev->kind == WEIR_EV_DELETE) {
        old = sync_apply_values(s, m, &ev->old_row, NULL);
        n = sync_apply_params(s, m, old, &all, NULL, params);
        rc = run(s, m, 'X', NULL, n, params, 1, err);
    }
    free(params);
    return rc;
}
