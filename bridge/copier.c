/* copier.c - the copier thread and its jobs. */
#include "bridge/copier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/copy_table.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"

enum { JOBS_MAX = 256, OPEN_MAX = 64, IDLE_MS = 500, NOT_READY_MS = 200, RETRY_MS = 1000 };

typedef struct job {
    weir_arena *a;
    weir_slice copy_id;
    weir_feed_table *tables;
    size_t n;
    brg_job_view view;
} job;

struct brg_copier {
    brg_shared *s;
    brg_port *port;
    weir_monitor *m;
    job *jobs[JOBS_MAX]; /* oldest first */
    size_t n;
    job *running;
    weir_pg *pg; /* of the running job, for interrupt */
};

brg_copier *brg_copier_new(brg_shared *s, brg_port *port)
{
    brg_copier *c = weir_xcalloc(1, sizeof *c);
    c->s = s;
    c->port = port;
    c->m = weir_monitor_new();
    return c;
}

static void job_free(job *j)
{
    weir_arena_free(j->a);
    free(j);
}

void brg_copier_free(brg_copier *c)
{
    if (c) {
        for (size_t i = 0; i < c->n; i++) {
            job_free(c->jobs[i]);
        }
        weir_monitor_free(c->m);
        free(c);
    }
}

const char *brg_job_state_name(brg_job_state state)
{
    switch (state) {
    case BRG_JOB_QUEUED: return "queued";
    case BRG_JOB_RUNNING: return "running";
    case BRG_JOB_DONE: return "done";
    case BRG_JOB_FAILED: return "failed";
    }
    return "?";
}

static bool is_open(const job *j)
{
    return j->view.state == BRG_JOB_QUEUED || j->view.state == BRG_JOB_RUNNING;
}

static size_t count_open(const brg_copier *c)
{
    size_t open = 0;
    for (size_t i = 0; i < c->n; i++) {
        open += is_open(c->jobs[i]);
    }
    return open;
}

size_t brg_copier_open_jobs(brg_copier *c)
{
    weir_monitor_lock(c->m);
    size_t open = count_open(c);
    weir_monitor_unlock(c->m);
    return open;
}

/* Makes room by forgetting the oldest job that has ended. */
static void forget_one(brg_copier *c)
{
    for (size_t i = 0; c->n == JOBS_MAX && i < c->n; i++) {
        if (!is_open(c->jobs[i])) {
            job_free(c->jobs[i]);
            memmove(&c->jobs[i], &c->jobs[i + 1], (c->n - i - 1) * sizeof(job *));
            c->n--;
        }
    }
}

static job *job_new(weir_slice copy_id, const weir_feed_table *tables, size_t n)
{
    job *j = weir_xcalloc(1, sizeof *j);
    j->a = weir_arena_new(0);
    j->copy_id = weir_arena_dup(j->a, copy_id);
    j->tables = WEIR_ARENA_ARRAY(j->a, weir_feed_table, n);
    j->n = n;
    for (size_t i = 0; i < n; i++) {
        /* NUL-terminated copies: they become statement parameters */
        j->tables[i].schema = weir_slice_z(weir_arena_dupz(j->a, tables[i].schema));
        j->tables[i].name = weir_slice_z(weir_arena_dupz(j->a, tables[i].name));
    }
    return j;
}

weir_rc brg_copier_request(brg_copier *c, weir_slice copy_id, const weir_feed_table *tables,
                           size_t n, brg_job_view *view, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    job *j = NULL;
    weir_monitor_lock(c->m);
    for (size_t i = 0; i < c->n && !j; i++) {
        j = weir_slice_eq(c->jobs[i]->copy_id, copy_id) ? c->jobs[i] : NULL;
    }
    if (!j && count_open(c) >= OPEN_MAX) {
        rc = weir_fail(err, WEIR_E_LIMIT, WEIR_EF_RETRY, "%d copies wait already; ask again later",
                       OPEN_MAX);
    } else if (!j) {
        forget_one(c);
        j = job_new(copy_id, tables, n);
        c->jobs[c->n++] = j;
        weir_monitor_wake(c->m);
    }
    if (j) {
        *view = j->view;
    }
    weir_monitor_unlock(c->m);
    return rc;
}

static void on_progress(void *arg, uint64_t rows)
{
    brg_copier *c = arg;
    weir_monitor_lock(c->m);
    c->running->view.rows += rows;
    weir_monitor_unlock(c->m);
}

static void on_connected(void *arg, weir_pg *pg)
{
    brg_copier *c = arg;
    weir_monitor_lock(c->m);
    c->pg = pg;
    weir_monitor_unlock(c->m);
}

void brg_copier_interrupt(brg_copier *c)
{
    weir_monitor_lock(c->m);
    if (c->pg) {
        weir_pg_cancel(c->pg);
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

static void unwatch(brg_source *src)
{
    weir_error err;
    brg_ask q = {.kind = BRG_ASK_UNWATCH, .window = src->window};
    if (brg_port_ask(src->port, &q, BRG_STREAM_WAIT_MS, &err) != WEIR_OK) {
        WEIR_DEBUG("BRG-STOP", "%s", err.msg);
    }
}

static weir_rc run_tables(brg_copier *c, job *j, weir_error *err)
{
    brg_source src = {.s = c->s, .port = c->port, .connected = on_connected, .arg = c};
    brg_table_copy tc = {
        .src = &src, .copy_id = j->copy_id, .crawl_table = -1, .progress = on_progress, .arg = c};
    weir_rc rc = brg_source_barrier(&src, err);
    for (size_t i = j->view.tables_done; rc == WEIR_OK && i < j->n; i++) {
        tc.schema = j->tables[i].schema.p;
        tc.name = j->tables[i].name.p;
        rc = brg_copy_table(&tc, err);
        if (rc == WEIR_OK) {
            weir_monitor_lock(c->m);
            j->view.tables_done++;
            weir_monitor_unlock(c->m);
        }
    }
    unwatch(&src);
    brg_source_close(&src);
    return rc;
}

static void run_job(brg_copier *c, job *j)
{
    weir_error err = {.code = WEIR_OK};
    int64_t begun = weir_mono_ms();
    WEIR_INFO("BRG-COPY-BEGIN", "copy_id=%.*s tables=%zu", WEIR_SLICE_ARG(j->copy_id), j->n);
    weir_rc rc = run_tables(c, j, &err);
    while (rc != WEIR_OK && (err.flags & WEIR_EF_RETRY) && !brg_stopping(c->s)) {
        WEIR_WARN("BRG-COPY-RETRY", "copy_id=%.*s %s", WEIR_SLICE_ARG(j->copy_id), err.msg);
        brg_pause(c->s, RETRY_MS);
        rc = run_tables(c, j, &err);
    }
    weir_monitor_lock(c->m);
    j->view.state = rc == WEIR_OK ? BRG_JOB_DONE : BRG_JOB_FAILED;
    (void)snprintf(j->view.error, sizeof j->view.error, "%.290s", rc == WEIR_OK ? "" : err.msg);
    c->running = NULL;
    weir_monitor_unlock(c->m);
    if (rc == WEIR_OK) {
        WEIR_INFO("BRG-COPY-END", "copy_id=%.*s rows=%" PRIu64 " ms=%" PRId64,
                  WEIR_SLICE_ARG(j->copy_id), j->view.rows, weir_mono_ms() - begun);
    } else if (!brg_stopping(c->s)) {
        WEIR_ERROR("BRG-COPY-FAILED", "copy_id=%.*s %s", WEIR_SLICE_ARG(j->copy_id), err.msg);
    }
}

void brg_copier_run(void *arg)
{
    brg_copier *c = arg;
    while (!brg_stopping(c->s)) {
        job *next = NULL;
        weir_monitor_lock(c->m);
        for (size_t i = 0; i < c->n && !next; i++) {
            next = c->jobs[i]->view.state == BRG_JOB_QUEUED ? c->jobs[i] : NULL;
        }
        if (next) {
            next->view.state = BRG_JOB_RUNNING;
            c->running = next;
        } else {
            (void)weir_monitor_wait(c->m, IDLE_MS);
        }
        weir_monitor_unlock(c->m);
        while (next && brg_get_state(c->s, NULL, 0) != BRG_STREAMING && !brg_stopping(c->s)) {
            brg_pause(c->s, NOT_READY_MS);
        }
        if (next) {
            run_job(c, next);
        }
    }
    atomic_fetch_sub(&c->s->running, 1);
}
