/* exec.c - sends ahead, checks counts when the answers come. */
#include "migrations/sync/exec.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

enum { ANSWER_MS = 600000, FLUSH_EVERY = 64 };

void sync_exec_init(sync_exec *e)
{
    *e = (sync_exec){.pg = NULL};
}

void sync_exec_fini(sync_exec *e)
{
    weir_pg_close(e->pg);
    free(e->expect);
    free(e->names);
    sync_exec_init(e);
}

static void push(sync_exec *e, int64_t expect, const char *what)
{
    if (e->out == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        int64_t *x = weir_xcalloc(cap, sizeof *x);
        const char **n = weir_xcalloc(cap, sizeof *n);
        for (size_t i = 0; i < e->out; i++) {
            x[i] = e->expect[(e->first + i) % e->cap];
            n[i] = e->names[(e->first + i) % e->cap];
        }
        free(e->expect);
        free(e->names);
        e->expect = x;
        e->names = n;
        e->cap = cap;
        e->first = 0;
    }
    e->expect[(e->first + e->out) % e->cap] = expect;
    e->names[(e->first + e->out) % e->cap] = what;
    e->out++;
}

weir_rc sync_exec_send(sync_exec *e, const char *stmt, const char *sql, int nparams,
                       const char *const *params, int64_t expect, const char *what, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (!e->piped) {
        rc = weir_pg_pipe_enter(e->pg, err);
        e->piped = rc == WEIR_OK;
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_pipe_send(e->pg, stmt, sql, nparams, params, NULL, err);
    }
    if (rc == WEIR_OK) {
        push(e, expect, what);
        if (e->out % FLUSH_EVERY == 0) {
            rc = weir_pg_pipe_flush(e->pg, err);
        }
    }
    return rc;
}

static void check(sync_exec *e, const weir_pg_rows *rows)
{
    int64_t want = e->expect[e->first];
    if (want != SYNC_ANY && weir_pg_affected(rows) != want && !e->mismatch) {
        e->mismatch = true;
        e->what = e->names[e->first];
    }
}

static void pop(sync_exec *e)
{
    e->first = (e->first + 1) % e->cap;
    e->out--;
}

/* One answer; *synced: it was the sync. */
static weir_rc answer(sync_exec *e, weir_pg_rows **last, weir_rc *failed, bool *synced,
                      weir_error *err)
{
    weir_pg_pipe_kind kind;
    weir_pg_rows *rows = NULL;
    weir_error now = {.code = WEIR_OK};
    weir_rc rc = weir_pg_pipe_next(e->pg, ANSWER_MS, &kind, &rows, &now);
    if (rc != WEIR_OK) {
        *err = now;
        return rc;
    }
    *synced = kind == WEIR_PG_PIPE_SYNC;
    if (*synced) {
        return WEIR_OK;
    }
    if (kind == WEIR_PG_PIPE_ROWS) {
        check(e, rows);
        if (last) {
            weir_pg_rows_free(*last);
            *last = rows;
        } else {
            weir_pg_rows_free(rows);
        }
    } else if (kind == WEIR_PG_PIPE_ERROR && *failed == WEIR_OK) {
        *failed = now.code;
        *err = now;
        e->what = e->names[e->first];
        if (e->what) {
            weir_error_wrap(err, "table %s", e->what);
        }
    }
    if (e->out > 0) {
        pop(e);
    }
    return WEIR_OK;
}

weir_rc sync_exec_drain(sync_exec *e, weir_pg_rows **last, weir_error *err)
{
    weir_rc failed = WEIR_OK;
    bool synced = false;
    if (last) {
        *last = NULL;
    }
    if (!e->piped || e->out == 0) {
        return WEIR_OK;
    }
    weir_rc rc = weir_pg_pipe_sync(e->pg, err);
    while (rc == WEIR_OK && !synced) {
        rc = answer(e, last, &failed, &synced, err);
    }
    rc = rc == WEIR_OK ? failed : rc;
    if (rc != WEIR_OK && last) {
        weir_pg_rows_free(*last);
        *last = NULL;
    }
    return rc;
}

weir_rc sync_exec_plain(sync_exec *e, weir_error *err)
{
    weir_rc rc = sync_exec_drain(e, NULL, err);
    if (rc == WEIR_OK && e->piped) {
        rc = weir_pg_pipe_leave(e->pg, err);
        e->piped = rc != WEIR_OK;
    }
    return rc;
}
