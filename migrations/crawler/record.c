/* record.c - the job's records in the target: its lock, what is copied, what is to be copied anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/lsn.h"
#include "libweir/io/pg_lock.h"
#include "migrations/crawler/job.h"

enum { LOCK_WAIT_MS = 10000, LEFTOVER_MS = 3000 };

static bool go_on(void *arg)
{
    return crw_wait(arg, WEIR_PG_LOCK_STEP_MS);
}

static weir_rc lock_job(crw *c, weir_error *err)
{
    const weir_pg_lock_conf conf = {"weir crawl", c->own.job, LOCK_WAIT_MS, go_on, c};
    weir_rc rc = weir_pg_lock(c->target, &conf, err);
    return rc == WEIR_E_CONFLICT
               ? weir_fail(err, rc, 0, "job %s runs already: stop it first", c->own.job)
               : rc;
}

/* Chunks of a killed process may still be committing: what they hold ends with their transaction.
 * Who does not end in a while has lost its client, and is ended. */
static weir_rc wait_leftovers(crw *c, weir_error *err)
{
    const char *params[] = {c->own.job};
    int64_t end = weir_mono_ms() + LOCK_WAIT_MS;
    int64_t kill_at = weir_mono_ms() + LEFTOVER_MS;
    for (;;) {
        weir_pg_rows *r = NULL;
        weir_rc rc = weir_pg_query(c->target,
                                   "SELECT pg_try_advisory_lock(k) AND pg_advisory_unlock(k) FROM "
                                   "hashtextextended('weir crawl ' || $1, 1) k",
                                   1, params, &r, err);
        bool over = rc == WEIR_OK && weir_pg_valuez(r, 0, 0)[0] == 't';
        weir_pg_rows_free(r);
        if (rc != WEIR_OK || over) {
            return rc;
        }
        if (weir_mono_ms() > kill_at) {
            rc = weir_pg_query(
                c->target,
                "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l,"
                " hashtextextended('weir crawl ' || $1, 1) k WHERE l.locktype = 'advisory' AND "
                "l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = "
                "current_database()) AND l.classid = ((k >> 32) & 4294967295)::oid AND l.objid = "
                "(k & 4294967295)::oid AND l.objsubid = 1",
                1, params, NULL, err);
        }
        if (rc == WEIR_OK && (weir_mono_ms() > end || !crw_wait(c, WEIR_PG_LOCK_STEP_MS))) {
            rc = weir_fail(err, WEIR_E_CONFLICT, WEIR_EF_RETRY,
                           "chunks of an earlier run of job %s do not end in the target",
                           c->own.job);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
    }
}

weir_rc crw_record_lock(crw *c, weir_error *err)
{
    weir_rc rc = lock_job(c, err);
    return rc == WEIR_OK ? wait_leftovers(c, err) : rc;
}

static char *key_of(const weir_pg_rows *r, int row, int col)
{
    return weir_pg_isnull(r, row, col) ? NULL : weir_xstrdup(weir_pg_valuez(r, row, col));
}

/* Our own text back from the database: equal bytes are the same bound. */
static bool same_bound(const char *x, const char *y)
{
    return x && y ? strcmp(x, y) == 0 : x == y;
}

static void add_gap(crw_tab *t, const char *lo, const char *hi, int64_t no)
{
    crw_range *g = weir_xcalloc(1, sizeof *g);
    g->no = no;
    g->lo = lo ? weir_xstrdup(lo) : NULL;
    g->hi = weir_xstrdup(hi);
    g->next = t->gaps;
    t->gaps = g;
}

/* Chunks are handed out upwards and end in any order: where the next one does not begin at the end
 * of the one before, what lies between was not committed. */
static void walk(crw *c, crw_tab *t, const weir_pg_rows *r)
{
    for (int i = 0; i < weir_pg_nrows(r); i++) {
        const char *lo = weir_pg_isnull(r, i, 1) ? NULL : weir_pg_valuez(r, i, 1);
        if (!same_bound(lo, t->next_lo)) {
            add_gap(t, t->next_lo, lo, t->next_no);
        }
        free(t->next_lo);
        t->next_lo = key_of(r, i, 2);
        t->next_no = weir_pg_i64(r, i, 0) + 1;
        t->cut_all = t->next_lo == NULL;
        t->rows += weir_pg_i64(r, i, 3);
        t->bytes += weir_pg_i64(r, i, 4);
        t->chunks++;
        uint64_t lsn = 0;
        if (weir_lsn_parse(weir_pg_value(r, i, 5), &lsn) && lsn > c->passed_lsn) {
            c->passed_lsn = lsn;
        }
    }
}

static weir_rc load_chunks(crw *c, crw_tab *t, weir_error *err)
{
    const char *params[] = {c->own.job, t->id};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->target,
                               "SELECT no, lo, hi, rows, bytes, lsn FROM weir_sync.chunk WHERE job "
                               "= $1 AND tab = $2 ORDER BY no",
                               2, params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    t->next_no = 1;
    walk(c, t, r);
    weir_pg_rows_free(r);
    rc = weir_pg_query(c->target,
                       "SELECT count(*) FROM weir_sync.reject WHERE job = $1 AND tab = $2", 2,
                       params, &r, err);
    if (rc == WEIR_OK) {
        t->rejects = weir_pg_i64(r, 0, 0);
        weir_pg_rows_free(r);
    }
    return rc;
}

/* The first run of a table: nothing may be in it that nobody knows of. */
static weir_rc first_time(crw *c, crw_tab *t, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = WEIR_OK;
    if (!c->own.append && t->there) {
        weir_arena *a = weir_arena_new(0);
        rc = weir_pg_query(c->target,
                           weir_arena_printf(a, "SELECT FROM %s%s LIMIT 1",
                                             t->target_whole ? "" : "ONLY ", t->target),
                           0, NULL, &r, err);
        weir_arena_free(a);
        if (rc == WEIR_OK && weir_pg_nrows(r) > 0) {
            rc = weir_fail(err, WEIR_E_CONFLICT, 0,
                           "%s holds rows already in the target: empty it first", t->target);
        }
        weir_pg_rows_free(r);
    }
    const char *params[] = {c->own.job, t->id, t->plan, t->shape, t->storage};
    return rc != WEIR_OK
               ? rc
               : weir_pg_query(c->target,
                               "INSERT INTO weir_sync.crawl_table (job, tab, plan, shape, storage) "
                               "VALUES ($1, $2, $3, $4, $5)",
                               5, params, NULL, err);
}

static weir_rc compare(crw *c, crw_tab *t, const weir_pg_rows *r, weir_error *err)
{
    if (strcmp(weir_pg_valuez(r, 0, 0), t->plan) != 0) {
        return weir_fail(err, WEIR_E_CONFLICT, 0,
                         "job %s copied %s with another key, other columns or another filter: use "
                         "another job, or forget this one",
                         c->own.job, t->source);
    }
    if (strcmp(weir_pg_valuez(r, 0, 1), t->shape) != 0 && !t->copied) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "the columns of %s changed in the source while job %s was copying it: "
                         "change the target alike, and begin anew",
                         t->source, c->own.job);
    }
    if (strcmp(weir_pg_valuez(r, 0, 2), t->storage) != 0 && !t->copied) {
        t->redo = true;
    }
    return WEIR_OK;
}

weir_rc crw_record_load(crw *c, crw_tab *t, weir_error *err)
{
    const char *params[] = {c->own.job, t->id};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->target,
                               "SELECT plan, shape, storage, created, copied_at IS NOT NULL FROM "
                               "weir_sync.crawl_table WHERE job = $1 AND tab = $2",
                               2, params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (weir_pg_nrows(r) == 0) {
        weir_pg_rows_free(r);
        t->next_no = 1;
        return first_time(c, t, err);
    }
    t->created = weir_pg_valuez(r, 0, 3)[0] == 't';
    t->copied = weir_pg_valuez(r, 0, 4)[0] == 't';
    rc = compare(c, t, r, err);
    weir_pg_rows_free(r);
    return rc == WEIR_OK ? load_chunks(c, t, err) : rc;
}

/* A server that crashed may have lost chunks that were committed without waiting for the disk, with
 * their records: then there are fewer records than chunks we saw end. The commit here waits, for
 * all before it too. */
weir_rc crw_record_copied(crw *c, weir_pg *target, crw_tab *t, weir_error *err)
{
    char chunks[24];
    weir_monitor_lock(c->m);
    (void)snprintf(chunks, sizeof chunks, "%" PRId64, t->chunks);
    weir_monitor_unlock(c->m);
    const char *params[] = {c->own.job, t->id, chunks};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_script(target, "SET synchronous_commit = local", err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(target,
                           "UPDATE weir_sync.crawl_table SET copied_at = clock_timestamp() WHERE "
                           "job = $1 AND tab = $2 AND (SELECT count(*) FROM weir_sync.chunk WHERE "
                           "job = $1 AND tab = $2) = $3::bigint RETURNING 1",
                           3, params, &r, err);
    }
    if (rc == WEIR_OK && weir_pg_nrows(r) == 0) {
        rc = weir_fail(err, WEIR_E_AGAIN, 0,
                       "the target no longer has every chunk of %s (did it crash?): start the job "
                       "again, it copies what is missing",
                       t->target);
    }
    weir_pg_rows_free(r);
    return rc == WEIR_OK ? weir_pg_script(target, "SET synchronous_commit = off", err) : rc;
}

bool crw_record_alone(const crw *c, const crw_tab *t)
{
    for (size_t i = 0; i < c->ntabs; i++) {
        if (&c->tabs[i] != t && strcmp(c->tabs[i].target, t->target) == 0) {
            return false;
        }
    }
    return !c->own.append;
}

weir_rc crw_record_redo(crw *c, weir_pg *target, crw_tab *t, weir_error *err)
{
    if (!crw_record_alone(c, t)) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "%s was truncated or rewritten in the source while it was copied, and %s "
                         "in the target holds other rows too: begin the job anew",
                         t->source, t->target);
    }
    const char *params[] = {c->own.job, t->id, t->storage};
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = weir_pg_script(
        target,
        weir_arena_printf(a, "BEGIN; SET LOCAL synchronous_commit = local; TRUNCATE %s%s",
                          t->target_whole ? "" : "ONLY ", t->target),
        err);
    weir_arena_free(a);
    static const char *const sql[] = {
        "DELETE FROM weir_sync.chunk WHERE job = $1 AND tab = $2 AND $3::text IS NOT NULL",
        "DELETE FROM weir_sync.reject WHERE job = $1 AND tab = $2 AND $3::text IS NOT NULL",
        "UPDATE weir_sync.crawl_table SET storage = $3 WHERE job = $1 AND tab = $2"};
    for (size_t i = 0; rc == WEIR_OK && i < sizeof sql / sizeof sql[0]; i++) {
        rc = weir_pg_query(target, sql[i], 3, params, NULL, err);
    }
    weir_error ignored;
    weir_rc end = weir_pg_script(target, rc == WEIR_OK ? "COMMIT" : "ROLLBACK",
                                 rc == WEIR_OK ? err : &ignored);
    return rc == WEIR_OK ? end : rc;
}

weir_rc crw_forget(const char *target_uri, const char *job, weir_error *err)
{
    static const char *const sql[] = {"DELETE FROM weir_sync.chunk WHERE job = $1",
                                      "DELETE FROM weir_sync.reject WHERE job = $1",
                                      "DELETE FROM weir_sync.crawl_step WHERE job = $1",
                                      "DELETE FROM weir_sync.crawl_table WHERE job = $1"};
    weir_pg_conf conf = {.uri = target_uri, .application_name = "weir-crawl"};
    crw c = {.own = {.job = job}, .m = weir_monitor_new()};
    weir_rc rc = weir_pg_open(&c.target, &conf, err);
    if (rc == WEIR_OK) {
        rc = crw_schema(c.target, err);
    }
    if (rc == WEIR_OK) {
        rc = crw_record_lock(&c, err);
    }
    for (size_t i = 0; rc == WEIR_OK && i < sizeof sql / sizeof sql[0]; i++) {
        rc = weir_pg_query(c.target, sql[i], 1, &job, NULL, err);
    }
    weir_pg_close(c.target);
    weir_monitor_free(c.m);
    return rc;
}
