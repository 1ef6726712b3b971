/* apply_piece.c - a piece of a crawl: the rows it named, and what its range no longer has.
 *
 * DESIGN. A piece is chunks of rows with nothing between them and a RANGE (lo, hi] last
 * (docs/internals.md): every row of that range is named. So the target's rows in it that were not
 * named are deleted. The range is in the order of the source's key; the target compares the same
 * texts, so this is done only where both order them alike (key_order.sql). While a piece is not
 * whole the position stays before it: a restart sees it from its first row.
 *
 * A table without key is one piece: its rows are set aside and take the place of what is there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/sync/apply_priv.h"

enum { SQL_MAX_BYTES = 4 << 20 };

extern const char weir_sql_key_order[];

struct sync_piece {
    weir_arena *a;
    const sync_map *m; /* of the rows below; NULL none */
    weir_map *named;   /* key -> nothing */
    sync_row **row;
    size_t n, cap;
    bool staged; /* m has no key: the rows are in the temporary table */
};

sync_piece *sync_piece_new(void)
{
    sync_piece *p = weir_xcalloc(1, sizeof *p);
    p->a = weir_arena_new(0);
    p->named = weir_map_new();
    return p;
}

void sync_piece_free(sync_piece *p)
{
    weir_arena_free(p->a);
    weir_map_free(p->named);
    free(p->row);
    free(p);
}

void sync_piece_forget(sync_piece *p)
{
    if (p->m) {
        p->m = NULL;
        p->n = 0;
        p->staged = false;
        weir_map_clear(p->named);
        weir_arena_reset(p->a);
    }
}

bool sync_piece_open(const sync_piece *p)
{
    return p->m != NULL;
}

static void begin(sync_piece *p, const sync_map *m)
{
    if (p->m != m) {
        sync_piece_forget(p);
        p->m = m;
    }
}

void sync_piece_name(sync_apply *s, const sync_map *m, const weir_val *v)
{
    sync_piece *p = s->piece;
    bool created = false;
    begin(p, m);
    (void)weir_map_slot(p->named, sync_apply_key(s, m, v), &created);
    if (!created) {
        return;
    }
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 1024;
        p->row = weir_xrealloc(p->row, p->cap * sizeof *p->row);
    }
    weir_val *k = WEIR_ARENA_ARRAY(p->a, weir_val, m->n);
    for (uint16_t i = 0; i < m->nkey; i++) {
        k[m->key[i]] = (weir_val){v[m->key[i]].kind, weir_arena_dup(p->a, v[m->key[i]].text)};
    }
    sync_row *row = WEIR_ARENA_ARRAY(p->a, sync_row, 1);
    *row = (sync_row){SYNC_OP_NONE, k};
    p->row[p->n++] = row;
}

/* --- whose order ----------------------------------------------------------------------------- */

static int find_key(const sync_map *m, weir_slice source_name)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        if (weir_slice_eq(m->rel->cols[m->col[m->key[i]].from].name, source_name)) {
            return m->key[i];
        }
    }
    return -1;
}

/* The key's columns in the source's order, into m->range. */
static weir_rc source_order(sync_apply *s, sync_map *m, weir_pg_rows **rows, weir_error *err)
{
    const char *params[] = {weir_arena_dupz(s->a, m->rel->schema),
                            weir_arena_dupz(s->a, m->rel->name), NULL};
    weir_rc rc = sync_reread_query(s->reread, weir_sql_key_order, 3, params, rows, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(*rows) && i < m->nkey; i++) {
        int col = find_key(m, weir_pg_value(*rows, i, 0));
        m->range[i] = (uint16_t)col;
        if (col < 0) {
            m->ordered = SYNC_ORDER_OTHER;
        }
    }
    if (rc == WEIR_OK && weir_pg_nrows(*rows) != m->nkey) {
        m->ordered = SYNC_ORDER_OTHER;
    }
    return rc;
}

static weir_rc same_order(sync_apply *s, sync_map *m, const weir_pg_rows *theirs, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_val name = {WEIR_VAL_TEXT, weir_slice_z(m->col[m->range[i]].name)};
        weir_buf_u8(&b, i ? ',' : '{');
        sync_put_element(&b, &name);
    }
    weir_buf_put(&b, "}", 2); /* with the NUL */
    const char *params[] = {m->schema, m->name, b.p};
    weir_rc rc = sync_exec_plain(&s->x, err);
    rc = rc == WEIR_OK ? weir_pg_query(s->x.pg, weir_sql_key_order, 3, params, &rows, err) : rc;
    if (rc == WEIR_OK) {
        bool same = weir_pg_nrows(rows) == m->nkey;
        for (int i = 0; same && i < m->nkey; i++) {
            same = !weir_pg_isnull(rows, i, 1) && !weir_pg_isnull(theirs, i, 1) &&
                   weir_slice_eq(weir_pg_value(rows, i, 1), weir_pg_value(theirs, i, 1));
        }
        m->ordered = same ? SYNC_ORDER_SAME : SYNC_ORDER_OTHER;
    }
    weir_pg_rows_free(rows);
    weir_buf_fini(&b);
    return rc;
}

static weir_rc learn_order(sync_apply *s, sync_map *m, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    if (m->ordered != SYNC_ORDER_UNKNOWN) {
        return WEIR_OK;
    }
    if (!s->reread) {
        m->ordered = SYNC_ORDER_OTHER;
        return WEIR_OK;
    }
    weir_rc rc = source_order(s, m, &rows, err);
    if (rc == WEIR_OK && m->ordered == SYNC_ORDER_UNKNOWN) {
        rc = same_order(s, m, rows, err);
    }
    weir_pg_rows_free(rows);
    if (rc == WEIR_OK && m->ordered == SYNC_ORDER_OTHER) {
        WEIR_WARN(
            "SYNC-RANGE-ORDER",
            "flow=%s table=%s the key is not ordered as in the source (collation, type): rows "
            "that a crawl no longer finds stay",
            s->conf.flow, m->plain);
    }
    return rc;
}

/* --- the range ------------------------------------------------------------------------------- */

/* (t.k1, …) OP ($n::type, …), in the source's order. */
static void put_bound(weir_buf *b, const sync_map *m, const char *op, int from)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(b, "%st.%s", i ? ", " : " AND (", m->col[m->range[i]].ident);
    }
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(b, "%s$%d::%s", i ? ", " : op, from + i, m->col[m->range[i]].type);
    }
    weir_buf_u8(b, ')');
}

/* Parameters: the named keys as arrays, lo, hi, then those of the guard. */
static weir_rc sweep_sql(sync_apply *s, const sync_map *m, bool lo, bool hi, const char *name,
                         const char **out, weir_error *err)
{
    weir_buf b;
    void **slot = weir_map_slot(s->sql, weir_slice_z(name), NULL);
    int at = m->nkey + 1;
    if (*slot) {
        *out = *slot;
        return WEIR_OK;
    }
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_putz(&b, sync_sql_not_named(m, s->maps_arena));
    if (lo) {
        put_bound(&b, m, ") > (", at);
        at += m->nkey;
    }
    if (hi) {
        put_bound(&b, m, ") <= (", at);
        at += m->nkey;
    }
    if (s->have_origin && !sync_loose(s, m)) {
        weir_buf_putz(&b, " AND ");
        sync_sql_put_guard(&b, "t.xmin", at, at + 1);
    }
    *slot = b.failed ? NULL : weir_arena_dupz(s->maps_arena, weir_buf_slice(&b));
    *out = *slot;
    weir_buf_fini(&b);
    return *out ? WEIR_OK
                : weir_fail(err, WEIR_E_LIMIT, 0, "table %s: a statement over its key is too long",
                            m->plain);
}

static int put_params(sync_apply *s, const sync_map *m, const weir_ev *ev, const char **params)
{
    int n = 0;
    for (uint16_t i = 0; i < m->n; i++) {
        if (m->col[i].key) {
            params[n] = sync_apply_array(s, (size_t)n, s->piece->row, s->piece->n, i);
            n++;
        }
    }
    for (uint16_t i = 0; i < ev->old_row.n; i++) {
        params[n++] = sync_apply_param(s, &ev->old_row.v[i]);
    }
    for (uint16_t i = 0; i < ev->new_row.n; i++) {
        params[n++] = sync_apply_param(s, &ev->new_row.v[i]);
    }
    if (s->have_origin && !sync_loose(s, m)) {
        params[n++] = weir_arena_printf(s->a, "%" PRId64, s->origin_id);
        params[n++] = weir_arena_printf(s->a, "%" PRId64, s->known_us);
    }
    return n;
}

static weir_rc sweep(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    char name[64];
    const char *sql = NULL;
    const char *params[100];
    uint16_t nlo = ev->old_row.n;
    uint16_t nhi = ev->new_row.n;
    if ((nlo && nlo != m->nkey) || (nhi && nhi != m->nkey)) {
        return WEIR_OK; /* of another key than is here now */
    }
    (void)snprintf(name, sizeof name, "range%d_%d%d%d", m->id, nlo > 0, nhi > 0, sync_loose(s, m));
    weir_rc rc = sweep_sql(s, m, nlo > 0, nhi > 0, name, &sql, err);
    int n = put_params(s, m, ev, params);
    for (int i = 0; i < m->nkey && rc == WEIR_OK; i++) {
        if (!params[i]) {
            rc = weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too many bytes at once", m->plain);
        }
    }
    rc = rc == WEIR_OK ? sync_apply_begin_tx(s, err) : rc;
    return rc == WEIR_OK ? sync_exec_send(&s->x, name, sql, n, params, SYNC_ANY, m->plain, err)
                         : rc;
}

/* --- tables without key ---------------------------------------------------------------------- */

static weir_rc script(sync_apply *s, const char *sql, weir_error *err)
{
    weir_rc rc = sync_apply_begin_tx(s, err);
    rc = rc == WEIR_OK ? sync_exec_plain(&s->x, err) : rc;
    return rc == WEIR_OK ? weir_pg_script(s->x.pg, sql, err) : rc;
}

static const char *column_list(sync_apply *s, const sync_map *m)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(&b, "%s%s", i ? ", " : "", m->col[i].ident);
    }
    const char *z = weir_arena_dupz(s->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static weir_rc stage(sync_apply *s, const sync_map *m, weir_error *err)
{
    begin(s->piece, m);
    if (s->piece->staged) {
        return WEIR_OK;
    }
    s->piece->staged = true;
    return script(s,
                  weir_arena_printf(s->a,
                                    "DROP TABLE IF EXISTS pg_temp.weir_piece; CREATE TEMP TABLE "
                                    "weir_piece AS SELECT %s FROM %s LIMIT 0",
                                    column_list(s, m), m->table),
                  err);
}

static weir_rc set_aside(sync_apply *s, const sync_map *m, const weir_val *v, weir_error *err)
{
    char name[64];
    weir_rc rc = stage(s, m, err);
    const char **params = weir_xcalloc(SYNC_PARAMS_MAX, sizeof *params);
    sync_mask all = {{0}};
    for (uint16_t i = 0; i < m->n; i++) {
        sync_mask_set(&all, i);
    }
    int n = sync_apply_params(s, m, v, &all, NULL, params);
    weir_buf sql;
    weir_buf_init(&sql, SQL_MAX_BYTES);
    weir_buf_putz(&sql, "INSERT INTO pg_temp.weir_piece VALUES (");
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(&sql, "%s$%d", i ? ", " : "", i + 1);
    }
    weir_buf_put(&sql, ")", 2);
    (void)snprintf(name, sizeof name, "aside%d", m->id);
    rc = rc == WEIR_OK ? sync_exec_send(&s->x, name, sql.p, n, params, 1, m->plain, err) : rc;
    weir_buf_fini(&sql);
    free(params);
    return rc;
}

static weir_rc replace_all(sync_apply *s, const sync_map *m, weir_error *err)
{
    weir_rc rc = stage(s, m, err); /* also when there was no row */
    const char *cols = column_list(s, m);
    return rc == WEIR_OK
               ? script(s,
                        weir_arena_printf(
                            s->a,
                            "DELETE FROM %s; INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT "
                            "%s FROM pg_temp.weir_piece; DROP TABLE pg_temp.weir_piece",
                            m->from, m->table, cols, cols),
                        err)
               : rc;
}

/* --- events ---------------------------------------------------------------------------------- */

weir_rc sync_piece_keyless(sync_apply *s, const sync_map *m, const weir_ev *ev, weir_error *err)
{
    return set_aside(s, m, sync_apply_values(s, m, &ev->new_row, NULL), err);
}

weir_rc sync_piece_range(sync_apply *s, sync_map *m, const weir_ev *ev, weir_error *err)
{
    weir_rc rc = sync_apply_tables(s, err);
    if (rc == WEIR_OK && m->nkey == 0) {
        rc = replace_all(s, m, err);
    } else if (rc == WEIR_OK) {
        begin(s->piece, m);
        rc = learn_order(s, m, err);
        rc = rc == WEIR_OK && m->ordered == SYNC_ORDER_SAME ? sweep(s, m, ev, err) : rc;
    }
    sync_piece_forget(s->piece);
    return rc;
}
