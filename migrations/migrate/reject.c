/* reject.c - rows that do not fit: noted with the reason, counted, and forgotten when they do. */
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "migrations/migrate/apply_priv.h"

/* A text[] literal of a key's texts. */
static const char *key_array(const mig_touched *tt, int at, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 22);
    weir_buf_putz(&b, "{");
    for (int k = 0; k < tt->t->src.nkey; k++) {
        weir_slice v = tt->keys[at].v[k];
        weir_buf_putz(&b, k ? ",\"" : "\"");
        for (size_t i = 0; i < v.n; i++) {
            if (v.p[i] == '"' || v.p[i] == '\\') {
                weir_buf_u8(&b, '\\');
            }
            weir_buf_u8(&b, (uint8_t)v.p[i]);
        }
        weir_buf_putz(&b, "\"");
    }
    weir_buf_putz(&b, "}");
    const char *z = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

weir_rc mig_reject_clear(mig_session *s, const mig_touched *tt, int from, int to, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_buf b;
    weir_buf_init(&b, 1 << 28);
    const char *params[] = {s->m->name.z, mig_crawl_id(tt->t, a)};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(s->target,
                               "SELECT 1 FROM weir_sync.reject WHERE job = $1 AND tab = $2 LIMIT 1",
                               2, params, &r, err);
    bool any = rc == WEIR_OK && weir_pg_nrows(r) > 0;
    weir_pg_rows_free(r);
    if (any) {
        weir_buf_putz(&b, "DELETE FROM weir_sync.reject WHERE job = $1 AND tab = $2 AND key IN (");
        for (int i = from; i < to; i++) {
            weir_buf_printf(&b, "%s%s::text[]", i > from ? ", " : "",
                            weir_pg_literal(a, weir_slice_z(key_array(tt, i, a))));
        }
        weir_buf_putz(&b, ")");
        weir_buf_u8(&b, '\0');
        rc = weir_pg_query(s->target, b.p, 2, params, NULL, err);
    }
    weir_buf_fini(&b);
    weir_arena_free(a);
    return rc;
}

static weir_rc remove_row(mig_session *s, const mig_touched *tt, int index, int at, weir_arena *a,
                          weir_error *err)
{
    const mig_ptable *t = tt->t;
    weir_buf keys, exprs;
    int64_t rows = 0;
    weir_buf_init(&keys, 1 << 24);
    weir_buf_init(&exprs, 1 << 20);
    mig_key_values(tt, at, at + 1, a, &keys);
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(&exprs, "%s%s", i ? ", " : "", t->cols[t->key[i]].expr);
    }
    weir_rc rc =
        weir_pg_script(s->target, weir_arena_printf(a, "TRUNCATE weir_key_%d", index), err);
    rc = rc == WEIR_OK
             ? mig_pump(s,
                        weir_arena_printf(a,
                                          "COPY (SELECT " WEIR_SLICE_FMT
                                          " FROM (VALUES " WEIR_SLICE_FMT ") AS %s (%s)) TO STDOUT",
                                          WEIR_SLICE_ARG(weir_buf_slice(&exprs)),
                                          WEIR_SLICE_ARG(weir_buf_slice(&keys)),
                                          mig_ident(a, t->src.name), mig_source_key(t, a)),
                        weir_arena_printf(a, "COPY weir_key_%d FROM STDIN", index), &rows, err)
             : rc;
    rc = rc == WEIR_OK
             ? weir_pg_script(s->target,
                              weir_arena_printf(
                                  a, "DELETE FROM %s AS t USING weir_key_%d AS k WHERE (%s) = (%s)",
                                  t->dst_from, index, mig_target_key(t, "t.", a),
                                  mig_target_key(t, "k.", a)),
                              err)
             : rc;
    weir_buf_fini(&keys);
    weir_buf_fini(&exprs);
    return rc;
}

static weir_rc both(mig_session *s, const char *sql, weir_error *err)
{
    weir_rc rc = weir_pg_script(s->source, sql, err);
    return rc == WEIR_OK ? weir_pg_script(s->target, sql, err) : rc;
}

/* The row as it was is not what the source has any more. When not even its key can be computed, no
 * row of it can be there. */
static weir_rc remove_old(mig_session *s, const mig_touched *tt, int index, int at, weir_arena *a,
                          weir_error *err)
{
    weir_rc rc = both(s, "SAVEPOINT old", err);
    rc = rc == WEIR_OK ? remove_row(s, tt, index, at, a, err) : rc;
    if (rc != WEIR_OK && strncmp(err->sqlstate, "22", 2) == 0) {
        rc = both(s, "ROLLBACK TO SAVEPOINT old", err);
    }
    return rc == WEIR_OK ? both(s, "RELEASE SAVEPOINT old", err) : rc;
}

/* The source's row as JSON; "" when it is gone. */
static weir_rc row_json(mig_session *s, const mig_touched *tt, int at, weir_arena *a,
                        const char **out, weir_error *err)
{
    const mig_ptable *t = tt->t;
    weir_buf keys;
    weir_buf_init(&keys, 1 << 24);
    mig_key_values(tt, at, at + 1, a, &keys);
    weir_rc rc =
        mig_value(s->source, a,
                  weir_arena_printf(
                      a, "SELECT to_jsonb(%s.*) FROM %s WHERE (%s) IN (VALUES " WEIR_SLICE_FMT ")",
                      mig_ident(a, t->src.name), t->src_from, mig_source_key(t, a),
                      WEIR_SLICE_ARG(weir_buf_slice(&keys))),
                  NULL, out, err);
    weir_buf_fini(&keys);
    return rc;
}

weir_rc mig_reject_put(mig_session *s, const mig_touched *tt, int index, int at,
                       const weir_error *why, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    const char *json = "", *count = "";
    weir_rc rc = mig_reject_clear(s, tt, at, at + 1, err);
    rc = rc == WEIR_OK ? remove_old(s, tt, index, at, a, err) : rc;
    rc = rc == WEIR_OK ? row_json(s, tt, at, a, &json, err) : rc;
    const char *params[] = {
        s->m->name.z, mig_crawl_id(tt->t, a), key_array(tt, at, a), why->sqlstate,
        why->msg,     json[0] ? json : NULL};
    rc = rc == WEIR_OK ? weir_pg_query(s->target,
                                       "INSERT INTO weir_sync.reject (job, tab, key, sqlstate, "
                                       "reason, source_row) VALUES ($1, $2, $3, $4, $5, $6)",
                                       6, params, NULL, err)
                       : rc;
    rc = rc == WEIR_OK
             ? mig_value(s->target, a, "SELECT count(*) FROM weir_sync.reject WHERE job = $1",
                         s->m->name.z, &count, err)
             : rc;
    int64_t n = 0;
    if (rc == WEIR_OK && weir_slice_i64(weir_slice_z(count), &n) && n > s->m->rejects_max) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "more than rejects_max = %lld rows do not fit; the last: %s",
                       (long long)s->m->rejects_max, why->msg);
    }
    weir_arena_free(a);
    return rc;
}
