/* apply.c - one batch: snapshot, tables, position. */
#include "migrations/migrate/apply.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "migrations/migrate/apply_priv.h"
#include "migrations/migrate/state.h"

enum {
    SLICE_KEYS = 1000,
    SNAPSHOT_XIPS = 65536,
    UNSEEN_POLL_MS = 5,
    UNSEEN_TELL_MS = 1000,
    RETRY_MAX = 500
};

weir_rc mig_apply_prepare(mig_session *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (s->plan->replica_role) {
        rc = weir_pg_script(s->target, "SET session_replication_role = replica", err);
    }
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        weir_arena *a = weir_arena_new(0);
        rc = weir_pg_script(
            s->target,
            weir_arena_printf(a,
                              "CREATE TEMP TABLE weir_row_%d AS SELECT %s FROM %s WITH NO DATA; "
                              "CREATE TEMP TABLE weir_key_%d AS SELECT %s FROM %s WITH NO DATA",
                              i, mig_columns(t, a), t->dst_sql, i, mig_target_key(t, "", a),
                              t->dst_sql),
            err);
        weir_arena_free(a);
    }
    return rc;
}

#define UNSEEN                                                                                     \
    "a transaction that is in the stream and not yet visible: a synchronous standby of the "       \
    "source "                                                                                      \
    "may be away"

static bool sees_all(const mig_feed *f, const weir_snapshot *snap)
{
    for (int i = 0; i < f->nxids; i++) {
        if (!weir_snapshot_sees(snap, f->xids[i])) {
            return false;
        }
    }
    return true;
}

/* A source transaction that sees the whole batch. */
static weir_rc begin_source(mig_session *s, mig_feed *f, weir_error *err)
{
    uint64_t *xips = weir_xmalloc(SNAPSHOT_XIPS * sizeof *xips);
    int64_t since = weir_mono_ms();
    bool told = false;
    weir_rc rc = WEIR_OK;
    for (;;) {
        weir_snapshot snap;
        const char *text = "";
        rc = weir_pg_script(s->source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
        rc = rc == WEIR_OK
                 ? mig_value(s->source, f->a, "SELECT pg_current_snapshot()", NULL, &text, err)
                 : rc;
        if (rc != WEIR_OK) {
            break;
        }
        if (!weir_snapshot_parse(weir_slice_z(text), xips, SNAPSHOT_XIPS, &snap)) {
            rc = weir_fail(err, WEIR_E_PROTO, 0, "the source's snapshot cannot be read");
            break;
        }
        if (sees_all(f, &snap)) {
            break;
        }
        rc = weir_pg_script(s->source, "ROLLBACK", err);
        if (rc == WEIR_OK && mig_stopped()) {
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopped");
        }
        if (rc != WEIR_OK) {
            break;
        }
        if (weir_mono_ms() - since > UNSEEN_TELL_MS) {
            since = weir_mono_ms();
            if (!told) {
                WEIR_WARN("MIG-UNSEEN", UNSEEN);
            }
            told = true;
            rc = mig_state_seen(s->target, s->m->name.z, UNSEEN, err);
        }
        if (rc != WEIR_OK) {
            break;
        }
        mig_pause_ms(UNSEEN_POLL_MS);
    }
    free(xips);
    return rc;
}

/* Rows of a COPY from the source into a COPY to the target. */
weir_rc mig_pump(mig_session *s, const char *from, const char *to, int64_t *rows, weir_error *err)
{
    weir_slice line;
    weir_error late;
    weir_rc rc = weir_pg_copy_out_start(s->source, from, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = weir_pg_copy_in_start(s->target, to, err);
    bool in = rc == WEIR_OK;
    weir_rc out = WEIR_OK;
    while ((out = weir_pg_copy_out_next(s->source, &line, in && rc == WEIR_OK ? err : &late)) ==
           WEIR_OK) {
        if (rc == WEIR_OK) {
            rc = weir_pg_copy_in_put(s->target, line, err);
            rc = rc == WEIR_OK ? weir_pg_copy_in_put(s->target, WEIR_SLICE_LIT("\n"), err) : rc;
            *rows += 1;
        }
    }
    bool failed = out != WEIR_E_EOF;
    if (in && weir_pg_ok(s->target)) {
        weir_rc end = weir_pg_copy_in_end(s->target, failed ? "the source failed" : NULL,
                                          failed ? &late : err);
        rc = rc == WEIR_OK && !failed ? end : rc;
    }
    return rc == WEIR_OK && failed ? out : rc;
}

weir_rc mig_put_slice(mig_session *s, const mig_touched *tt, int index, int from, int to,
                      weir_error *err)
{
    const mig_ptable *t = tt->t;
    weir_arena *a = weir_arena_new(0);
    weir_buf keys;
    int64_t rows = 0;
    weir_buf_init(&keys, 1 << 30);
    mig_key_values(tt, from, to, a, &keys);
    weir_buf_u8(&keys, '\0');
    const char *skey = mig_source_key(t, a), *name = mig_ident(a, t->src.name);
    weir_buf exprs;
    weir_buf_init(&exprs, 1 << 20);
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(&exprs, "%s%s", i ? ", " : "", t->cols[t->key[i]].expr);
    }
    weir_buf_u8(&exprs, '\0');
    weir_rc rc = weir_pg_script(
        s->target, weir_arena_printf(a, "TRUNCATE weir_row_%d, weir_key_%d", index, index), err);
    rc = rc == WEIR_OK
             ? mig_pump(s,
                        weir_arena_printf(a,
                                          "COPY (SELECT %s FROM (VALUES %s) AS %s (%s)) TO STDOUT",
                                          exprs.p, keys.p, name, skey),
                        weir_arena_printf(a, "COPY weir_key_%d FROM STDIN", index), &rows, err)
             : rc;
    rc = rc == WEIR_OK
             ? mig_pump(s,
                        weir_arena_printf(a,
                                          "COPY (SELECT %s FROM %s WHERE (%s) IN (VALUES %s) "
                                          "AND %s) TO STDOUT",
                                          mig_exprs(t, a), t->src_from, skey, keys.p, t->where),
                        weir_arena_printf(a, "COPY weir_row_%d FROM STDIN", index), &rows, err)
             : rc;
    if (rc == WEIR_OK) {
        rc = weir_pg_script(
            s->target,
            weir_arena_printf(
                a,
                "DELETE FROM %s AS t USING weir_key_%d AS k WHERE (%s) = (%s); INSERT "
                "INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM weir_row_%d",
                t->dst_from, index, mig_target_key(t, "t.", a), mig_target_key(t, "k.", a),
                t->dst_sql, mig_columns(t, a), mig_columns(t, a), index),
            err);
    }
    rc = rc == WEIR_OK ? mig_reject_clear(s, tt, from, to, err) : rc;
    weir_buf_fini(&exprs);
    weir_buf_fini(&keys);
    weir_arena_free(a);
    return rc;
}

static weir_rc both(mig_session *s, const char *sql, weir_error *err)
{
    weir_rc rc = weir_pg_script(s->source, sql, err);
    return rc == WEIR_OK ? weir_pg_script(s->target, sql, err) : rc;
}

static bool about_data(const weir_error *err)
{
    return strncmp(err->sqlstate, "22", 2) == 0 || strncmp(err->sqlstate, "23", 2) == 0;
}

/* A slice; when a row of it does not fit, halves of it, down to that row. */
static weir_rc put(mig_session *s, const mig_touched *tt, int index, int from, int to,
                   weir_error *err)
{
    weir_rc rc = both(s, "SAVEPOINT slice", err);
    rc = rc == WEIR_OK ? mig_put_slice(s, tt, index, from, to, err) : rc;
    if (rc == WEIR_OK) {
        return both(s, "RELEASE SAVEPOINT slice", err);
    }
    if (!about_data(err) || !weir_pg_ok(s->source) || !weir_pg_ok(s->target)) {
        return rc;
    }
    weir_error why = *err;
    rc = both(s, "ROLLBACK TO SAVEPOINT slice; RELEASE SAVEPOINT slice", err);
    if (rc == WEIR_OK && to - from == 1) {
        return mig_reject_put(s, tt, index, from, &why, err);
    }
    return rc == WEIR_OK ? WEIR_E_AGAIN : rc;
}

static weir_rc put_all(mig_session *s, const mig_touched *tt, int index, weir_error *err)
{
    /* Work still to do, last first: at most one further half per doubling. */
    struct span {
        int from, to;
    } stack[64];
    weir_rc rc = WEIR_OK;
    for (int at = 0; rc == WEIR_OK && at < tt->n; at += SLICE_KEYS) {
        int n = 1;
        stack[0] = (struct span){at, at + SLICE_KEYS < tt->n ? at + SLICE_KEYS : tt->n};
        while (rc == WEIR_OK && n > 0) {
            struct span w = stack[--n];
            rc = put(s, tt, index, w.from, w.to, err);
            if (rc == WEIR_E_AGAIN) {
                int middle = w.from + (w.to - w.from) / 2;
                stack[n++] = (struct span){middle, w.to};
                stack[n++] = (struct span){w.from, middle};
                rc = WEIR_OK;
            }
        }
    }
    return rc;
}

static weir_rc move_position(mig_session *s, const mig_feed *f, int truncates, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX], sub[16], events[32], trunc[16];
    (void)snprintf(sub, sizeof sub, "%u", f->next.sub);
    (void)snprintf(events, sizeof events, "%lld", (long long)f->events);
    (void)snprintf(trunc, sizeof trunc, "%d", truncates);
    const char *params[] = {s->m->name.z, weir_lsn_print(f->next.lsn, lsn), sub, events, trunc};
    return weir_pg_query(
        s->target,
        f->whole
            ? "UPDATE weir_sync.migrate SET lsn = $2, sub = $3, changes = changes + $4, "
              "truncates = truncates + $5, seen_at = clock_timestamp() WHERE name = $1"
            : "UPDATE weir_sync.migrate SET changes = changes + $4, truncates = truncates + "
              "$5, seen_at = clock_timestamp() WHERE name = $1 AND ($2::text, $3::text) IS NOT "
              "NULL",
        5, params, NULL, err);
}

static weir_rc empty_tables(mig_session *s, mig_feed *f, int *truncates, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < f->ntouched; i++) {
        mig_touched *t = &f->touched[i];
        if (!t->truncated) {
            continue;
        }
        /* What is in the source now came after the TRUNCATE, so the stream brings it. */
        ++*truncates;
        rc = weir_pg_script(s->target, weir_arena_printf(f->a, "DELETE FROM %s", t->t->dst_from),
                            err);
        const char *params[] = {s->m->name.z, mig_crawl_id(t->t, f->a)};
        rc = rc == WEIR_OK
                 ? weir_pg_query(s->target,
                                 "DELETE FROM weir_sync.reject WHERE job = $1 AND tab = $2", 2,
                                 params, NULL, err)
                 : rc;
    }
    return rc;
}

weir_rc mig_apply(mig_session *s, mig_feed *f, weir_error *err)
{
    int truncates = 0;
    weir_rc rc = f->nkeys || f->nxids ? begin_source(s, f, err)
                                      : weir_pg_script(s->source, "BEGIN READ ONLY", err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = weir_pg_script(s->target, "BEGIN", err);
    rc = rc == WEIR_OK ? empty_tables(s, f, &truncates, err) : rc;
    for (int i = 0; rc == WEIR_OK && i < f->ntouched; i++) {
        rc = put_all(s, &f->touched[i], i, err);
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "%s", f->touched[i].t->label);
        }
    }
    rc = rc == WEIR_OK ? move_position(s, f, truncates, err) : rc;
    rc = rc == WEIR_OK ? weir_pg_script(s->target, "COMMIT", err) : rc;
    if (rc == WEIR_OK) {
        return weir_pg_script(s->source, "COMMIT", err);
    }
    weir_error late;
    if (weir_pg_ok(s->target) && weir_pg_script(s->target, "ROLLBACK", &late) != WEIR_OK) {
        WEIR_DEBUG("MIG-ROLLBACK", "%s", late.msg);
    }
    if (weir_pg_ok(s->source) && weir_pg_script(s->source, "ROLLBACK", &late) != WEIR_OK) {
        WEIR_DEBUG("MIG-ROLLBACK", "%s", late.msg);
    }
    return rc;
}

weir_rc mig_apply_retry(mig_session *s, mig_feed *f, int *n, weir_error *err)
{
    *n = 0;
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < f->ntouched; i++) {
        const mig_ptable *t = f->touched[i].t;
        weir_arena *a = weir_arena_new(0);
        weir_buf b;
        weir_buf_init(&b, 1 << 16);
        for (int k = 0; k < t->src.nkey; k++) {
            weir_buf_printf(&b, "%skey[%d]", k ? ", " : "", k + 1);
        }
        const char *params[] = {s->m->name.z, mig_crawl_id(t, a)};
        weir_pg_rows *r = NULL;
        rc = weir_pg_query(
            s->target,
            weir_arena_printf(a,
                              "SELECT " WEIR_SLICE_FMT " FROM weir_sync.reject WHERE "
                              "job = $1 AND tab = $2 AND key IS NOT NULL ORDER BY id LIMIT %d",
                              WEIR_SLICE_ARG(weir_buf_slice(&b)), RETRY_MAX),
            2, params, &r, err);
        for (int row = 0; rc == WEIR_OK && row < weir_pg_nrows(r); row++) {
            weir_slice key[MIG_KEY_MAX];
            for (int k = 0; k < t->src.nkey; k++) {
                key[k] = weir_pg_value(r, row, k);
            }
            mig_feed_touch(f, i, key);
            ++*n;
        }
        weir_pg_rows_free(r);
        weir_buf_fini(&b);
        weir_arena_free(a);
    }
    return rc;
}
