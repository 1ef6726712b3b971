/* step.c - what is built in the target after the rows: noted when tables are created, done once. */
#include <stdio.h>
#include <string.h>

#include "migrations/crawler/job.h"

enum { STEP_WORKERS = 4, TRIES_MAX = 5, BACKOFF_MS = 500 };

static weir_rc note_done(crw *c, weir_pg *target, const char *no, weir_error *err)
{
    const char *params[] = {c->own.job, no};
    return weir_pg_query(target,
                         "UPDATE weir_sync.crawl_step SET done_at = clock_timestamp() WHERE job = "
                         "$1 AND no = $2::int",
                         2, params, NULL, err);
}

/* The step and the note that it is done are one transaction: a killed job finds it undone or done.
 * VACUUM runs in none, and may be done twice. */
static weir_rc one_step(crw *c, weir_pg *target, const char *no, const char *what,
                        const char *command, weir_error *err)
{
    bool tx = strncmp(command, "VACUUM", 6) != 0;
    weir_rc rc = tx ? weir_pg_script(target, "BEGIN", err) : WEIR_OK;
    if (rc == WEIR_OK) {
        rc = weir_pg_script(target, command, err);
    }
    if (rc == WEIR_OK) {
        rc = note_done(c, target, no, err);
    }
    if (rc == WEIR_OK) {
        return tx ? weir_pg_script(target, "COMMIT", err) : WEIR_OK;
    }
    weir_error ignored;
    weir_rc back = tx ? weir_pg_script(target, "ROLLBACK", &ignored) : WEIR_OK;
    (void)back; /* a connection lost here is seen by its next user */
    weir_error_wrap(err, "%s", what);
    return rc;
}

weir_rc crw_steps_key(crw *c, const crw_tab *t, weir_error *err)
{
    const char *params[] = {c->own.job, t->id};
    weir_pg *pg = NULL;
    weir_pg_rows *r = NULL;
    weir_rc rc = crw_step_session(c, &pg, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(pg,
                           "SELECT no, what, command FROM weir_sync.crawl_step WHERE job = $1 AND "
                           "tab = $2 AND kind = 'key' AND done_at IS NULL ORDER BY no",
                           2, params, &r, err);
    }
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        rc = one_step(c, pg, weir_pg_valuez(r, i, 0), weir_pg_valuez(r, i, 1),
                      weir_pg_valuez(r, i, 2), err);
    }
    weir_pg_rows_free(r);
    weir_pg_close(pg);
    return rc;
}

/* --- the rest, several at a time ------------------------------------------------------------- */

/* Steps of one kind. Under the job's monitor: next, failed. */
typedef struct kind_run {
    crw *c;
    weir_pg_rows *steps;
    int next;
    bool failed;
    weir_error err;
} kind_run;

static weir_rc with_retries(kind_run *k, weir_pg **pg, int i, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        rc = crw_step_session(k->c, pg, err);
        if (rc == WEIR_OK) {
            rc = one_step(k->c, *pg, weir_pg_valuez(k->steps, i, 0), weir_pg_valuez(k->steps, i, 1),
                          weir_pg_valuez(k->steps, i, 2), err);
        }
        if (rc == WEIR_OK || !(err->flags & WEIR_EF_RETRY) || !crw_wait(k->c, BACKOFF_MS)) {
            break;
        }
    }
    return rc;
}

static void step_worker(void *arg)
{
    kind_run *k = arg;
    weir_pg *pg = NULL;
    for (;;) {
        weir_monitor_lock(k->c->m);
        int i = k->failed || crw_ended(k->c) ? weir_pg_nrows(k->steps) : k->next++;
        weir_monitor_unlock(k->c->m);
        if (i >= weir_pg_nrows(k->steps)) {
            break;
        }
        weir_error err = {.code = WEIR_OK};
        weir_rc rc = with_retries(k, &pg, i, &err);
        weir_monitor_lock(k->c->m);
        k->c->steps_done += rc == WEIR_OK;
        if (rc != WEIR_OK && !k->failed) {
            k->failed = true;
            k->err = err;
        }
        weir_monitor_unlock(k->c->m);
    }
    weir_pg_close(pg);
}

static weir_rc run_kind(crw *c, const char *kind, weir_error *err)
{
    const char *params[] = {c->own.job, kind};
    kind_run k = {.c = c};
    weir_rc rc = weir_pg_query(c->target,
                               "SELECT no, what, command FROM weir_sync.crawl_step WHERE job = $1 "
                               "AND kind = $2 AND done_at IS NULL ORDER BY no",
                               2, params, &k.steps, err);
    if (rc != WEIR_OK || weir_pg_nrows(k.steps) == 0) {
        weir_pg_rows_free(k.steps);
        return rc;
    }
    weir_thread *threads[STEP_WORKERS] = {NULL};
    int n = c->own.workers < STEP_WORKERS ? c->own.workers : STEP_WORKERS;
    for (int i = 0; rc == WEIR_OK && i < n; i++) {
        rc = weir_thread_start(&threads[i], "index", step_worker, &k, err);
    }
    for (int i = 0; i < n; i++) {
        weir_thread_join(threads[i]);
    }
    weir_pg_rows_free(k.steps);
    if (k.failed) {
        *err = k.err;
        return k.err.code;
    }
    return rc == WEIR_OK && crw_ended(c) ? weir_fail(err, WEIR_E_EOF, 0, "stopped") : rc;
}

weir_rc crw_finish(crw *c, weir_error *err)
{
    /* Each kind needs what the one before made: an attached index, a key to refer to. */
    static const char *const kinds[] = {"key",      "index",      "attach", "foreign",
                                        "validate", "statistics", "analyze"};
    const char *params[] = {c->own.job};
    weir_pg_rows *r = NULL;
    atomic_store(&c->stop, false);
    atomic_store(&c->failed, false);
    weir_rc rc = weir_pg_query(
        c->target, "SELECT count(*), count(done_at) FROM weir_sync.crawl_step WHERE job = $1", 1,
        params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_monitor_lock(c->m);
    c->steps = weir_pg_i64(r, 0, 0);
    c->steps_done = weir_pg_i64(r, 0, 1);
    weir_monitor_unlock(c->m);
    weir_pg_rows_free(r);
    crw_set_phase(c, CRW_INDEXING, "");
    for (size_t i = 0; rc == WEIR_OK && i < sizeof kinds / sizeof kinds[0]; i++) {
        rc = run_kind(c, kinds[i], err);
    }
    crw_set_phase(c, rc == WEIR_OK ? CRW_DONE : CRW_IDLE, "");
    return rc;
}
