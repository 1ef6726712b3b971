/* verify.c - table by table, chunk by chunk; what is done is recorded, so that it can go on. */
#include "migrations/migrate/verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/base/str.h"
#include "migrations/migrate/live.h"
#include "migrations/migrate/progress.h"

enum { CHUNK_ROWS = 50000, CHUNK_ROWS_MIN = 500, REACH_MS = 120000 };

static void show(mig_verify *v, mig_verified *out, const char *key, const char *kind)
{
    out->differ++;
    if (out->shown == MIG_SHOW_MAX) {
        return;
    }
    mig_difference *d = weir_arena_zalloc(v->a, sizeof *d);
    d->key = weir_arena_strdup(v->a, key);
    d->kind = weir_arena_strdup(v->a, kind);
    mig_difference **tail = &out->first;
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = d;
    out->shown++;
}

/* A chunk (or the chunks of all buckets) that was decided. */
static weir_rc record(mig_verify *v, int64_t no, const mig_span *span, const mig_sum *s,
                      const mig_sum *t, int64_t rejected, const mig_suspect *list, int n,
                      weir_arena *a, weir_error *err)
{
    if (v->final) {
        return WEIR_OK;
    }
    weir_buf b;
    weir_buf_init(&b, 256 << 20);
    weir_buf_putz(&b, "[");
    for (int i = 0, k = 0; i < n; i++) {
        if (list[i].kind) {
            weir_buf_printf(&b, "%s{\"kind\":\"%s\",\"key\":", k++ ? "," : "", list[i].kind);
            weir_json_quote(&b, weir_slice_z(list[i].key));
            weir_buf_putz(&b, "}");
        }
    }
    weir_buf_putz(&b, "]");
    weir_buf_u8(&b, '\0');
    const char *params[] = {v->s->m->name.z,
                            v->t->label,
                            weir_arena_printf(a, "%lld", (long long)no),
                            span->hi,
                            weir_arena_printf(a, "%lld", (long long)s->rows),
                            weir_arena_printf(a, "%lld", (long long)t->rows),
                            s->h1,
                            s->h2,
                            t->h1,
                            t->h2,
                            weir_arena_printf(a, "%lld", (long long)rejected),
                            b.p};
    weir_rc rc = weir_pg_query(v->s->target,
                               "INSERT INTO weir_sync.migrate_verify (name, tab, no, hi, "
                               "source_rows, target_rows, source_h1, source_h2, target_h1, "
                               "target_h2, rejected, differ) VALUES ($1, $2, $3, $4, $5, $6, $7, "
                               "$8, $9, $10, $11, $12)",
                               12, params, NULL, err);
    weir_buf_fini(&b);
    return rc;
}

/* Decides one span whose sums differ. */
static weir_rc decide(mig_verify *v, mig_verified *out, const mig_span *span, weir_arena *a,
                      mig_suspect **list, int *n, int64_t *rejected, weir_error *err)
{
    weir_rc rc = mig_verify_suspects(v, span, a, list, n, err);
    out->suspects += *n;
    rc = rc == WEIR_OK && *n ? mig_verify_recheck(v, *list, *n, a, err) : rc;
    for (int i = 0; rc == WEIR_OK && i < *n; i++) {
        mig_suspect *s = &(*list)[i];
        if (s->kind && weir_map_has(v->rejected, weir_slice_z(s->key))) {
            s->kind = NULL;
            ++*rejected;
        } else if (s->kind) {
            show(v, out, s->key, s->kind);
        }
    }
    out->rejected += rc == WEIR_OK ? *rejected : 0;
    return rc;
}

static bool agree(const mig_sum *s, const mig_sum *t)
{
    return s->rows == t->rows && strcmp(s->h1, t->h1) == 0 && strcmp(s->h2, t->h2) == 0;
}

/* Both sides' sums. Where the target has not caught up with what was read of the source, it is
 * waited for once; rows that are written faster than that are suspects, and looked at one by one.
 */
static weir_rc sums(mig_verify *v, const mig_span *span, weir_arena *a, mig_sum *s, mig_sum *t,
                    weir_error *err)
{
    int n = span->buckets > 1 ? span->buckets : 1;
    uint64_t lsn = 0;
    weir_rc rc = mig_verify_sums(v, true, span, a, s, err);
    rc = rc == WEIR_OK ? mig_verify_sums(v, false, span, a, t, err) : rc;
    bool same = true;
    for (int i = 0; rc == WEIR_OK && i < n; i++) {
        same = same && agree(&s[i], &t[i]);
    }
    if (rc == WEIR_OK && !same && !v->final) {
        rc = mig_source_now(v->s->source, &lsn, err);
        rc = rc == WEIR_OK ? mig_wait_applied(v->s, lsn, REACH_MS, err) : rc;
        rc = rc == WEIR_OK ? mig_verify_sums(v, false, span, a, t, err) : rc;
    }
    return rc;
}

/* Keeps the total below rate rows per second. */
static void throttle(mig_verify *v, int64_t rows)
{
    v->rows += rows;
    if (v->s->rate > 0 && !v->final) {
        int64_t due = v->t0_ms + v->rows * 1000 / v->s->rate;
        int64_t now = weir_mono_ms();
        if (due > now) {
            mig_pause_ms(due - now);
        }
    }
}

/* Sums as numbers of any size are added by the target; here they only stand side by side. */
typedef struct totals {
    weir_buf s1, s2, t1, t2;
} totals;

static void add_total(weir_buf *b, const char *h)
{
    weir_buf_printf(b, "%s%s", b->n ? "," : "{", h);
}

static weir_rc table_hash(mig_verify *v, const totals *k, mig_verified *out, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    const weir_buf *b[] = {&k->s1, &k->s2, &k->t1, &k->t2};
    const char *z[4];
    for (int i = 0; i < 4; i++) {
        z[i] = b[i]->n
                   ? weir_arena_printf(a, WEIR_SLICE_FMT "}", WEIR_SLICE_ARG(weir_buf_slice(b[i])))
                   : "{0}";
    }
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        v->s->target,
        "SELECT md5((SELECT sum(x) FROM unnest($1::numeric[]) x) || ',' || (SELECT sum(x) FROM "
        "unnest($2::numeric[]) x)), md5((SELECT sum(x) FROM unnest($3::numeric[]) x) || ',' || "
        "(SELECT sum(x) FROM unnest($4::numeric[]) x))",
        4, z, &r, err);
    if (rc == WEIR_OK) {
        out->source_hash = weir_arena_strdup(v->a, weir_pg_valuez(r, 0, 0));
        out->target_hash = weir_arena_strdup(v->a, weir_pg_valuez(r, 0, 1));
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    return rc;
}

static void count_in(mig_verified *out, totals *k, const mig_sum *s, const mig_sum *t)
{
    out->source_rows += s->rows;
    out->target_rows += t->rows;
    add_total(&k->s1, s->h1);
    add_total(&k->s2, s->h2);
    add_total(&k->t1, t->h1);
    add_total(&k->t2, t->h2);
}

/* What an earlier, unfinished verification has done of this table. */
static weir_rc resume(mig_verify *v, mig_verified *out, totals *k, int64_t *no, const char **lo,
                      bool *done, weir_error *err)
{
    static const char sql[] =
        "SELECT max(no), (array_agg(hi::text ORDER BY no DESC))[1], sum(source_rows), "
        "sum(target_rows), sum(source_h1), sum(source_h2), sum(target_h1), sum(target_h2), "
        "sum(rejected) FROM weir_sync.migrate_verify WHERE name = $1 AND tab = $2 HAVING count(*) "
        "> "
        "0";
    static const char differ[] = "SELECT d ->> 'key', d ->> 'kind' FROM weir_sync.migrate_verify, "
                                 "jsonb_array_elements(differ) d WHERE name = $1 AND tab = $2";
    const char *params[] = {v->s->m->name.z, v->t->label};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(v->s->target, sql, 2, params, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 1) {
        mig_sum s = {weir_pg_i64(r, 0, 2), weir_pg_valuez(r, 0, 4), weir_pg_valuez(r, 0, 5)};
        mig_sum t = {weir_pg_i64(r, 0, 3), weir_pg_valuez(r, 0, 6), weir_pg_valuez(r, 0, 7)};
        count_in(out, k, &s, &t);
        out->rejected = weir_pg_i64(r, 0, 8);
        *no = weir_pg_i64(r, 0, 0) + 1;
        *lo = weir_pg_isnull(r, 0, 1) ? NULL : weir_arena_strdup(v->a, weir_pg_valuez(r, 0, 1));
        *done = *lo == NULL;
    }
    weir_pg_rows_free(r);
    r = NULL;
    rc = rc == WEIR_OK ? weir_pg_query(v->s->target, differ, 2, params, &r, err) : rc;
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        show(v, out, weir_pg_valuez(r, i, 0), weir_pg_valuez(r, i, 1));
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc range_chunk(mig_verify *v, mig_verified *out, totals *k, int64_t no, const char **lo,
                           bool *done, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    mig_span span = {.lo = *lo, .bucket = -1};
    mig_sum s, t;
    mig_suspect *list = NULL;
    int n = 0;
    int64_t rejected = 0;
    weir_rc rc = mig_verify_bound(v, *lo, a, &span.hi, err);
    rc = rc == WEIR_OK ? sums(v, &span, a, &s, &t, err) : rc;
    if (rc == WEIR_OK && !agree(&s, &t)) {
        rc = decide(v, out, &span, a, &list, &n, &rejected, err);
    }
    rc = rc == WEIR_OK ? record(v, no, &span, &s, &t, rejected, list, n, a, err) : rc;
    if (rc == WEIR_OK) {
        count_in(out, k, &s, &t);
        throttle(v, s.rows);
        *done = span.hi == NULL;
        *lo = span.hi ? weir_arena_strdup(v->a, span.hi) : NULL;
    }
    weir_arena_free(a);
    return rc;
}

/* A table whose key is computed has no common order: buckets by the hash of the key. */
static weir_rc bucket_chunk(mig_verify *v, mig_verified *out, totals *k, int64_t no,
                            weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    int64_t want = v->t->src.rows / v->chunk_rows + 1;
    mig_span span = {.bucket = -1,
                     .buckets = (int)(want > MIG_BUCKETS_MAX ? MIG_BUCKETS_MAX : want)};
    mig_sum *s = WEIR_ARENA_ARRAY(a, mig_sum, (size_t)span.buckets);
    mig_sum *t = WEIR_ARENA_ARRAY(a, mig_sum, (size_t)span.buckets);
    weir_rc rc = sums(v, &span, a, s, t, err);
    /* All buckets are recorded together: a next run has the table, or has not begun it. */
    rc = rc == WEIR_OK && !v->final ? weir_pg_script(v->s->target, "BEGIN", err) : rc;
    for (int i = 0; rc == WEIR_OK && i < span.buckets; i++) {
        mig_suspect *list = NULL;
        int n = 0;
        int64_t rejected = 0;
        mig_span one = {.buckets = span.buckets, .bucket = i, .hi = NULL};
        if (!agree(&s[i], &t[i])) {
            rc = decide(v, out, &one, a, &list, &n, &rejected, err);
        }
        if (rc == WEIR_OK) {
            rc = record(v, no + i, &one, &s[i], &t[i], rejected, list, n, a, err);
            count_in(out, k, &s[i], &t[i]);
            throttle(v, s[i].rows);
        }
    }
    rc = rc == WEIR_OK && !v->final ? weir_pg_script(v->s->target, "COMMIT", err) : rc;
    weir_arena_free(a);
    return rc;
}

static weir_rc verify_table(mig_verify *v, mig_verified *out, weir_error *err)
{
    totals k;
    int64_t no = 0;
    const char *lo = NULL;
    bool done = false;
    weir_buf_init(&k.s1, 64 << 20);
    weir_buf_init(&k.s2, 64 << 20);
    weir_buf_init(&k.t1, 64 << 20);
    weir_buf_init(&k.t2, 64 << 20);
    weir_rc rc = v->final ? WEIR_OK : resume(v, out, &k, &no, &lo, &done, err);
    while (rc == WEIR_OK && !done) {
        if (v->t->range) {
            rc = range_chunk(v, out, &k, no++, &lo, &done, err);
        } else {
            rc = bucket_chunk(v, out, &k, no, err);
            done = true;
        }
        if (rc == WEIR_OK) {
            mig_progress_verify(v->s, v->t->label, out->source_rows, v->t->src.rows);
        }
        if (rc == WEIR_OK && mig_stopped()) {
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopped; the next verify goes on from here");
        }
    }
    rc = rc == WEIR_OK ? table_hash(v, &k, out, err) : rc;
    weir_buf_fini(&k.s1);
    weir_buf_fini(&k.s2);
    weir_buf_fini(&k.t1);
    weir_buf_fini(&k.t2);
    return rc;
}

weir_rc mig_verify_all(mig_verify *v, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    v->chunk_rows = v->s->m->chunk_rows ? v->s->m->chunk_rows : CHUNK_ROWS;
    if (v->s->rate > 0 && !v->final && v->s->rate < v->chunk_rows) {
        v->chunk_rows = v->s->rate; /* about a chunk per second, not one burst and a long pause */
    }
    v->chunk_rows = v->chunk_rows < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : v->chunk_rows;
    v->ntables = v->s->plan->ntables;
    v->tables = WEIR_ARENA_ARRAY(v->a, mig_verified, (size_t)v->ntables + 1);
    v->rejected = weir_map_new();
    v->t0_ms = weir_mono_ms();
    for (int i = 0; rc == WEIR_OK && i < v->ntables; i++) {
        v->t = &v->s->plan->tables[i];
        v->tables[i] = (mig_verified){.t = v->t, .source_hash = "", .target_hash = ""};
        rc = verify_table(v, &v->tables[i], err);
    }
    weir_map_free(v->rejected);
    return rc;
}

int64_t mig_verify_differences(const mig_verify *v)
{
    int64_t n = 0;
    for (int i = 0; i < v->ntables; i++) {
        n += v->tables[i].differ;
    }
    return n;
}

int64_t mig_verify_rejected(const mig_verify *v)
{
    int64_t n = 0;
    for (int i = 0; i < v->ntables; i++) {
        n += v->tables[i].rejected;
    }
    return n;
}
