/* verify_read.c - the SELECTs of a verification: sums of a chunk, rows of a chunk, rows by key. */
#include <stdio.h>
#include <stdlib.h>

#include "migrations/migrate/apply.h"
#include "migrations/migrate/verify.h"

enum { SQL_MAX_BYTES = 64 << 20, REREAD_KEYS = 500, SUSPECTS_MAX = 1000000 };

static weir_pg *side(const mig_verify *v, bool source)
{
    return source ? v->s->source : v->s->target;
}

static const char *canon(const mig_ptable *t, int col, bool source, weir_arena *a)
{
    return source ? t->cols[col].canon : weir_arena_printf(a, "%s::text", t->cols[col].quoted);
}

/* The key as a text[] in the target's own words. */
static void key_array(const mig_ptable *t, bool source, weir_arena *a, weir_buf *b)
{
    weir_buf_putz(b, "ARRAY[");
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(b, "%s%s", i ? ", " : "", canon(t, t->key[i], source, a));
    }
    weir_buf_putz(b, "]");
}

static void row_hash(const mig_ptable *t, bool source, weir_arena *a, weir_buf *b)
{
    weir_buf_putz(b, "md5(");
    for (int i = 0; i < t->ncols; i++) {
        weir_buf_printf(b, "%squote_nullable(%s)", i ? " || ',' || " : "", canon(t, i, source, a));
    }
    weir_buf_putz(b, ")");
}

static void bucket_of(const mig_ptable *t, bool source, int buckets, weir_arena *a, weir_buf *b)
{
    weir_buf_putz(b, "('x' || substr(md5(");
    key_array(t, source, a, b);
    weir_buf_printf(b, "::text), 1, 7))::bit(28)::int %% %d", buckets);
}

/* (key) > or <= (bound), the bound's elements with the side's types. */
static void bound(const mig_ptable *t, bool source, const char *op, const char *literal,
                  weir_arena *a, weir_buf *b)
{
    weir_buf_printf(b, " AND (%s) %s (", source ? mig_source_key(t, a) : mig_target_key(t, "", a),
                    op);
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(b, "%s(%s::text[])[%d]::%s", i ? ", " : "",
                        weir_pg_literal(a, weir_slice_z(literal)), i + 1,
                        source ? t->src.cols[t->src.key[i]].type : t->cols[t->key[i]].type);
    }
    weir_buf_putz(b, ")");
}

static void from_where(const mig_ptable *t, bool source, const mig_span *span, weir_arena *a,
                       weir_buf *b)
{
    weir_buf_printf(b, " FROM %s WHERE %s", source ? t->src_from : t->dst_from,
                    source ? t->where : "TRUE");
    if (span->lo) {
        bound(t, source, ">", span->lo, a, b);
    }
    if (span->hi) {
        bound(t, source, "<=", span->hi, a, b);
    }
    if (span->buckets > 1 && span->bucket >= 0) {
        weir_buf_putz(b, " AND ");
        bucket_of(t, source, span->buckets, a, b);
        weir_buf_printf(b, " = %d", span->bucket);
    }
}

static weir_rc ask(mig_verify *v, bool source, weir_buf *b, weir_pg_rows **r, weir_error *err)
{
    weir_buf_u8(b, '\0');
    if (b->failed) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "%s has too many columns to compare", v->t->label);
    }
    weir_rc rc = weir_pg_query(side(v, source), b->p, 0, NULL, r, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s in the %s", v->t->label, source ? "source" : "target");
    }
    return rc;
}

weir_rc mig_verify_sums(mig_verify *v, bool source, const mig_span *span, weir_arena *a,
                        mig_sum *out, weir_error *err)
{
    weir_buf b;
    weir_pg_rows *r = NULL;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_putz(&b,
                  "SELECT g, count(*), sum(('x' || substr(h, 1, 16))::bit(64)::bigint), sum(('x' "
                  "|| substr(h, 17, 16))::bit(64)::bigint) FROM (SELECT ");
    if (span->buckets > 1) {
        bucket_of(v->t, source, span->buckets, a, &b);
    } else {
        weir_buf_putz(&b, "0");
    }
    weir_buf_putz(&b, " AS g, ");
    row_hash(v->t, source, a, &b);
    weir_buf_putz(&b, " AS h");
    from_where(v->t, source, span, a, &b);
    weir_buf_putz(&b, ") s GROUP BY g");
    weir_rc rc = ask(v, source, &b, &r, err);
    int n = span->buckets > 1 ? span->buckets : 1;
    for (int i = 0; rc == WEIR_OK && i < n; i++) {
        out[i] = (mig_sum){0, "0", "0"};
    }
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        int64_t g = weir_pg_i64(r, i, 0);
        if (g >= 0 && g < n) {
            out[g] = (mig_sum){weir_pg_i64(r, i, 1), weir_arena_strdup(a, weir_pg_valuez(r, i, 2)),
                               weir_arena_strdup(a, weir_pg_valuez(r, i, 3))};
        }
    }
    weir_pg_rows_free(r);
    weir_buf_fini(&b);
    return rc;
}

weir_rc mig_verify_bound(mig_verify *v, const char *lo, weir_arena *a, const char **hi,
                         weir_error *err)
{
    const mig_ptable *t = v->t;
    weir_buf b;
    weir_pg_rows *r = NULL;
    *hi = NULL;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_putz(&b, "SELECT ARRAY[");
    for (int i = 0; i < t->src.nkey; i++) {
        weir_buf_printf(&b, "%s%s::text", i ? ", " : "",
                        mig_ident(a, t->src.cols[t->src.key[i]].name));
    }
    weir_buf_printf(&b, "] FROM %s WHERE TRUE", t->src_from);
    if (lo) {
        bound(t, true, ">", lo, a, &b);
    }
    weir_buf_printf(&b, " ORDER BY %s OFFSET %lld LIMIT 1", mig_source_key(t, a),
                    (long long)v->chunk_rows - 1);
    weir_rc rc = ask(v, true, &b, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 1) {
        *hi = weir_arena_strdup(a, weir_pg_valuez(r, 0, 0));
    }
    weir_pg_rows_free(r);
    weir_buf_fini(&b);
    return rc;
}

/* Every key of the span with its row's hash, on one side. */
static weir_rc rows_of(mig_verify *v, bool source, const mig_span *span, weir_arena *a,
                       weir_pg_rows **r, weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_putz(&b, "SELECT ");
    key_array(v->t, source, a, &b);
    weir_buf_putz(&b, "::text, ");
    row_hash(v->t, source, a, &b);
    from_where(v->t, source, span, a, &b);
    weir_rc rc = ask(v, source, &b, r, err);
    weir_buf_fini(&b);
    return rc;
}

static void add_suspect(weir_arena *a, mig_suspect **list, int *n, int *cap, mig_suspect one)
{
    if (*n == *cap) {
        int grown = *cap ? *cap * 2 : 64;
        mig_suspect *more = WEIR_ARENA_ARRAY(a, mig_suspect, (size_t)grown);
        if (*n) {
            memcpy(more, *list, (size_t)*n * sizeof *more);
        }
        *list = more;
        *cap = grown;
    }
    (*list)[(*n)++] = one;
}

weir_rc mig_verify_suspects(mig_verify *v, const mig_span *span, weir_arena *a, mig_suspect **out,
                            int *n, weir_error *err)
{
    weir_pg_rows *s = NULL, *t = NULL;
    int cap = 0;
    *out = NULL;
    *n = 0;
    weir_rc rc = rows_of(v, true, span, a, &s, err);
    rc = rc == WEIR_OK ? rows_of(v, false, span, a, &t, err) : rc;
    weir_map *seen = weir_map_new();
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(s); i++) {
        bool created = false;
        void **slot = weir_map_slot(seen, weir_pg_value(s, i, 0), &created);
        if (created) {
            *slot = (void *)(uintptr_t)(i + 1);
        } else { /* two source rows claim one target row */
            add_suspect(a, out, n, &cap,
                        (mig_suspect){.key = weir_arena_strdup(a, weir_pg_valuez(s, i, 0)),
                                      .source = "twice"});
        }
    }
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(t) && *n < SUSPECTS_MAX; i++) {
        uintptr_t at = (uintptr_t)weir_map_del(seen, weir_pg_value(t, i, 0));
        const char *mine = at ? weir_pg_valuez(s, (int)at - 1, 1) : NULL;
        if (!mine || strcmp(mine, weir_pg_valuez(t, i, 1)) != 0) {
            add_suspect(a, out, n, &cap,
                        (mig_suspect){.key = weir_arena_strdup(a, weir_pg_valuez(t, i, 0))});
        }
    }
    weir_map_iter it = {0};
    while (rc == WEIR_OK && weir_map_next(seen, &it) && *n < SUSPECTS_MAX) {
        add_suspect(a, out, n, &cap, (mig_suspect){.key = weir_arena_dupz(a, it.key)});
    }
    weir_map_free(seen);
    weir_pg_rows_free(s);
    weir_pg_rows_free(t);
    return rc;
}

/* key columns IN these keys, so that an index can serve where the types are the same. */
static void key_in(const mig_ptable *t, bool source, const mig_suspect *list, int n, weir_arena *a,
                   weir_buf *b)
{
    weir_buf_putz(b, " AND (");
    for (int i = 0; i < t->nkey; i++) {
        const mig_pcol *c = &t->cols[t->key[i]];
        bool same = !source || (c->plain && strcmp(t->src.cols[c->source_col].type, c->type) == 0);
        weir_buf_printf(b, same ? "%s%s" : "%s%s::text::%s", i ? ", " : "",
                        source ? c->expr : c->quoted, c->type);
    }
    weir_buf_putz(b, ") IN (SELECT ");
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(b, "%sk[%d]::%s", i ? ", " : "", i + 1, t->cols[t->key[i]].type);
    }
    weir_buf_putz(b, " FROM (VALUES ");
    for (int i = 0; i < n; i++) {
        weir_buf_printf(b, "%s(%s::text[])", i ? ", " : "",
                        weir_pg_literal(a, weir_slice_z(list[i].key)));
    }
    weir_buf_putz(b, ") AS w (k))");
}

static weir_rc reread_some(mig_verify *v, bool source, mig_suspect *list, int n, weir_arena *a,
                           weir_error *err)
{
    const mig_span all = {.bucket = -1};
    weir_buf b;
    weir_pg_rows *r = NULL;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_putz(&b, "SELECT ");
    key_array(v->t, source, a, &b);
    weir_buf_putz(&b, "::text, ");
    row_hash(v->t, source, a, &b);
    from_where(v->t, source, &all, a, &b);
    key_in(v->t, source, list, n, a, &b);
    weir_rc rc = ask(v, source, &b, &r, err);
    for (int k = 0; rc == WEIR_OK && k < n; k++) {
        const char *hash = NULL;
        for (int i = 0; i < weir_pg_nrows(r); i++) {
            if (strcmp(weir_pg_valuez(r, i, 0), list[k].key) == 0) {
                hash = hash ? "twice" : weir_arena_strdup(a, weir_pg_valuez(r, i, 1));
            }
        }
        *(source ? &list[k].source : &list[k].target) = hash;
    }
    weir_pg_rows_free(r);
    weir_buf_fini(&b);
    return rc;
}

weir_rc mig_verify_reread(mig_verify *v, bool source, mig_suspect *list, int n, weir_arena *a,
                          weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int at = 0; rc == WEIR_OK && at < n; at += REREAD_KEYS) {
        int k = n - at < REREAD_KEYS ? n - at : REREAD_KEYS;
        rc = reread_some(v, source, list + at, k, a, err);
    }
    return rc;
}

weir_rc mig_verify_rejects(mig_verify *v, weir_arena *a, weir_error *err)
{
    const mig_ptable *t = v->t;
    const char *params[] = {v->s->m->name.z, mig_crawl_id(t, a)};
    weir_pg_rows *r = NULL;
    weir_buf b;
    weir_map_clear(v->rejected);
    weir_rc rc =
        weir_pg_query(v->s->target,
                      "SELECT key FROM weir_sync.reject WHERE job = $1 AND tab = $2 AND key "
                      "IS NOT NULL",
                      2, params, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        weir_pg_rows *k = NULL;
        weir_error bad;
        weir_buf_init(&b, SQL_MAX_BYTES);
        weir_buf_putz(&b, "SELECT ");
        key_array(t, true, a, &b);
        weir_buf_putz(&b, "::text FROM (SELECT ");
        for (int c = 0; c < t->src.nkey; c++) {
            const mig_attr *at = &t->src.cols[t->src.key[c]];
            weir_buf_printf(&b, "%s(%s::text[])[%d]::%s AS %s", c ? ", " : "",
                            weir_pg_literal(a, weir_pg_value(r, i, 0)), c + 1, at->type,
                            mig_ident(a, at->name));
        }
        weir_buf_printf(&b, ") AS %s", mig_ident(a, t->src.name));
        if (ask(v, true, &b, &k, &bad) == WEIR_OK && weir_pg_nrows(k) == 1) {
            (void)weir_map_slot(v->rejected, weir_pg_value(k, 0, 0), NULL);
        }
        weir_pg_rows_free(k);
        weir_buf_fini(&b);
    }
    weir_pg_rows_free(r);
    return rc;
}
