/* reread.c - a row read again from the source. */
#include "migrations/sync/reread.h"

#include <poll.h>
#include <stdlib.h>

#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/lsn.h"

enum { VISIBLE_WAIT_MS = 30000, LOOK_MS = 5, SQL_MAX_BYTES = 1 << 20, XIPS = 4096 };

struct sync_reread {
    const char *uri;
    weir_pg *pg;
};

sync_reread *sync_reread_new(const char *uri)
{
    sync_reread *r = weir_xcalloc(1, sizeof *r);
    r->uri = uri;
    return r;
}

void sync_reread_free(sync_reread *r)
{
    if (r) {
        weir_pg_close(r->pg);
        free(r);
    }
}

static weir_rc connect_source(sync_reread *r, weir_error *err)
{
    if (r->pg && weir_pg_ok(r->pg)) {
        return WEIR_OK;
    }
    weir_pg_close(r->pg);
    r->pg = NULL;
    weir_pg_conf conf = {
        .uri = r->uri, .application_name = "weir-sync reread", .wait_max_ms = 60000};
    weir_rc rc = weir_pg_open(&r->pg, &conf, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the source, to read a moved row again");
    }
    return rc;
}

/* Is xid over in the transaction's snapshot? */
static weir_rc sees(weir_pg *pg, uint32_t xid, bool *yes, weir_error *err)
{
    uint64_t xip[XIPS];
    weir_snapshot snapshot;
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, "SELECT pg_current_snapshot()", 0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    bool known = weir_snapshot_parse(weir_pg_value(rows, 0, 0), xip, XIPS, &snapshot);
    *yes = known && weir_snapshot_sees(&snapshot, xid);
    weir_pg_rows_free(rows);
    return known ? WEIR_OK
                 : weir_fail(err, WEIR_E_PROTO, 0, "the source's snapshot cannot be read");
}

static weir_rc begin_visible(weir_pg *pg, uint32_t xid, weir_error *err)
{
    int64_t until_ms = weir_mono_ms() + VISIBLE_WAIT_MS;
    for (;;) {
        bool yes = false;
        weir_rc rc = weir_pg_script(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
        rc = rc == WEIR_OK ? sees(pg, xid, &yes, err) : rc;
        if (rc != WEIR_OK || yes) {
            return rc;
        }
        rc = weir_pg_script(pg, "ROLLBACK", err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (weir_mono_ms() > until_ms) {
            return weir_fail(err, WEIR_E_TIMEOUT, 0,
                             "a transaction of the source is in its stream but not yet visible: "
                             "does it wait for a synchronous standby?");
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static const char *ident(const sync_map *m, uint16_t i, weir_arena *a)
{
    return weir_pg_ident(a, m->rel->cols[m->col[i].from].name);
}

static weir_rc select_row(weir_pg *pg, const sync_map *m, const weir_val *v, weir_arena *a,
                          const weir_val **out, weir_error *err)
{
    const char *params[sizeof m->key / sizeof m->key[0]];
    weir_pg_rows *rows = NULL;
    weir_buf sql;
    weir_buf_init(&sql, SQL_MAX_BYTES);
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(&sql, "%s %s", i ? "," : "SELECT", ident(m, i, a));
    }
    const char *table = weir_arena_printf(a, "%s.%s", weir_pg_ident(a, m->rel->schema),
                                          weir_pg_ident(a, m->rel->name));
    const char *oid = weir_pg_literal(a, weir_slice_z(table));
    weir_buf_printf(&sql, " FROM %s WHERE ", table);
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(&sql, "%s = $%d AND ", ident(m, m->key[i], a), i + 1);
        params[i] = weir_arena_dupz(a, v[m->key[i]].text);
    }
    /* A child of plain inheritance may have a row of the same key; it is a table of its own. */
    weir_buf_printf(&sql,
                    "(tableoid = %s::regclass OR EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid "
                    "= %s::regclass AND relkind = 'p'))",
                    oid, oid);
    weir_buf_put(&sql, "", 1);
    weir_rc rc = sql.failed
                     ? weir_fail(err, WEIR_E_LIMIT, 0, "table %s: too many columns", m->plain)
                     : weir_pg_query(pg, sql.p, m->nkey, params, &rows, err);
    weir_buf_fini(&sql);
    if (rc == WEIR_OK && weir_pg_nrows(rows) > 0) {
        weir_val *now = WEIR_ARENA_ARRAY(a, weir_val, m->n);
        for (uint16_t i = 0; i < m->n; i++) {
            bool null = weir_pg_isnull(rows, 0, i);
            now[i] = (weir_val){null ? WEIR_VAL_NULL : WEIR_VAL_TEXT,
                                weir_arena_dup(a, weir_pg_value(rows, 0, i))};
        }
        *out = now;
    }
    weir_pg_rows_free(rows);
    return rc;
}

weir_rc sync_reread_row(sync_reread *r, const sync_map *m, const weir_val *v, uint32_t xid,
                        weir_arena *a, const weir_val **out, uint64_t *after, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    *out = NULL;
    weir_rc rc = connect_source(r, err);
    rc = rc == WEIR_OK ? begin_visible(r->pg, xid, err) : rc;
    rc = rc == WEIR_OK ? select_row(r->pg, m, v, a, out, err) : rc;
    rc = rc == WEIR_OK
             ? weir_pg_query(r->pg, "SELECT pg_current_wal_insert_lsn()", 0, NULL, &rows, err)
             : rc;
    if (rc == WEIR_OK && !weir_lsn_parse(weir_pg_value(rows, 0, 0), after)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "the source's position cannot be read");
    }
    weir_pg_rows_free(rows);
    rc = rc == WEIR_OK ? weir_pg_script(r->pg, "COMMIT", err) : rc;
    if (rc != WEIR_OK) { /* the next one begins on a connection without a transaction */
        weir_pg_close(r->pg);
        r->pg = NULL;
    }
    return rc;
}

weir_rc sync_reread_query(sync_reread *r, const char *sql, int nparams, const char *const *params,
                          weir_pg_rows **rows, weir_error *err)
{
    weir_rc rc = connect_source(r, err);
    return rc == WEIR_OK ? weir_pg_query(r->pg, sql, nparams, params, rows, err) : rc;
}
