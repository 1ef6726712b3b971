/* crawler.c - a job from open to close: plan, records, workers, what it says of itself. */
#include "migrations/crawler/crawler.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "migrations/crawler/job.h"

enum { WORKERS_MAX = 64, SAMPLE_MS = 500, CATALOG_MS = 600000 };
#define KEYLESS_MAX_BYTES (INT64_C(32) << 30)
#define WHOLE_MAX_BYTES   (INT64_C(2) << 30)

void crw_range_free(crw_range *r)
{
    if (r) {
        free(r->lo);
        free(r->hi);
        free(r);
    }
}

void crw_tab_rewind(crw_tab *t)
{
    while (t->gaps) {
        crw_range *r = t->gaps;
        t->gaps = r->next;
        crw_range_free(r);
    }
    free(t->next_lo);
    t->next_lo = NULL;
    t->next_no = 1;
    t->cut_all = t->redo = false;
    t->rows = t->bytes = t->chunks = t->rejects = 0;
}

static void defaults(crw *c)
{
    crw_conf *o = &c->own;
    *o = *c->conf;
    o->workers = o->workers > 0 ? o->workers : 3;
    o->workers = o->workers < WORKERS_MAX ? o->workers : WORKERS_MAX;
    o->chunk_ms = o->chunk_ms > 0 ? o->chunk_ms : 1000;
    o->chunk_rows = o->chunk_rows > 0 ? o->chunk_rows : 20000;
    o->chunk_rows_max = o->chunk_rows_max > 0 ? o->chunk_rows_max : 2000000;
    o->rejects_max = o->rejects_max ? o->rejects_max : 1000;
    o->whole_max_bytes = o->whole_max_bytes ? o->whole_max_bytes : WHOLE_MAX_BYTES;
    if (c->conf->chunk_rows_max > 0 || o->rows_per_s > 0) {
        o->whole_max_bytes = -1; /* pieces that somebody made small, and such that take long */
    }
    o->keyless_max_bytes = o->keyless_max_bytes ? o->keyless_max_bytes : KEYLESS_MAX_BYTES;
}

/* Names come with their schema from functions that leave it out where the path has it. */
static const char plain_path[] = "-c search_path=pg_catalog -c statement_timeout=0";

weir_rc crw_source_open(crw *c, weir_error *err)
{
    if (c->source && weir_pg_alive(c->source)) {
        return WEIR_OK;
    }
    weir_pg_close(c->source);
    c->source = NULL;
    weir_pg_conf conf = {.uri = c->own.source_uri,
                         .application_name = "weir-crawl",
                         .wait_max_ms = CATALOG_MS,
                         .options = plain_path};
    weir_rc rc = weir_pg_open(&c->source, &conf, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "source");
    }
    return rc;
}

static weir_rc connect_both(crw *c, weir_error *err)
{
    weir_pg_conf conf = {.uri = c->own.target_uri,
                         .application_name = "weir-crawl",
                         .wait_max_ms = CATALOG_MS,
                         .options = plain_path};
    weir_rc rc = crw_source_open(c, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_open(&c->target, &conf, err);
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "target");
        }
    }
    return rc;
}

static int larger_first(const void *x, const void *y)
{
    const crw_tab *a = x;
    const crw_tab *b = y;
    return (b->est_rows > a->est_rows) - (b->est_rows < a->est_rows);
}

static weir_rc plan(crw *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    c->ntabs = c->conf->ntables;
    c->tabs = weir_arena_calloc(c->a, c->ntabs + 1, sizeof *c->tabs);
    for (size_t i = 0; rc == WEIR_OK && i < c->ntabs; i++) {
        crw_tab *t = &c->tabs[i];
        t->conf = &c->conf->tables[i];
        t->index = i;
        t->chunk_rows = c->own.chunk_rows;
        rc = crw_plan_source(c, t, err);
        if (rc == WEIR_OK) {
            rc = crw_plan_target(c, t, err);
        }
        if (rc == WEIR_OK) {
            rc = crw_record_load(c, t, err);
        }
    }
    if (rc == WEIR_OK) {
        qsort(c->tabs, c->ntabs, sizeof *c->tabs, larger_first);
    }
    return rc;
}

weir_rc crw_open(crw **out, const crw_conf *conf, weir_error *err)
{
    *out = NULL;
    crw *c = calloc(1, sizeof *c);
    c->conf = conf;
    c->a = weir_arena_new(0);
    c->m = weir_monitor_new();
    defaults(c);
    weir_rc rc = connect_both(c, err);
    if (rc == WEIR_OK) {
        rc = crw_schema(c->target, err);
    }
    if (rc == WEIR_OK) {
        rc = crw_record_lock(c, err);
    }
    if (rc == WEIR_OK) {
        rc = plan(c, err);
    }
    if (rc != WEIR_OK) {
        crw_close(c);
        return rc;
    }
    *out = c;
    return WEIR_OK;
}

void crw_close(crw *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->ntabs; i++) {
        crw_tab_rewind(&c->tabs[i]);
        free(c->tabs[i].storage);
        free(c->tabs[i].storage_now);
    }
    weir_pg_close(c->source);
    weir_pg_close(c->target);
    weir_monitor_free(c->m);
    weir_arena_free(c->a);
    free(c);
}

void crw_set_phase(crw *c, crw_phase phase, const char *waits)
{
    weir_monitor_lock(c->m);
    c->phase = phase;
    (void)snprintf(c->waits, sizeof c->waits, "%s", waits);
    weir_monitor_unlock(c->m);
}

static bool barrier_turn(void *arg, const char *waits)
{
    crw *c = arg;
    crw_set_phase(c, CRW_BARRIER, waits);
    return atomic_load(&c->stop);
}

static bool all_copied(crw *c)
{
    bool all = true;
    for (size_t i = 0; i < c->ntabs; i++) {
        all = all && c->tabs[i].copied;
    }
    return all;
}

static weir_rc ready(crw *c, weir_error *err)
{
    for (size_t i = 0; i < c->ntabs; i++) {
        crw_tab *t = &c->tabs[i];
        weir_rc rc = t->list ? WEIR_OK : crw_plan_target(c, t, err);
        if (rc == WEIR_OK && !t->there) {
            rc = weir_fail(err, WEIR_E_NOTFOUND, 0, "the target has no table %s: create it first",
                           t->target);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
        t->whole = (t->created || t->conf->fresh) && t->est_bytes <= c->own.whole_max_bytes &&
                   !t->target_whole && crw_record_alone(c, t) && !atomic_load(&t->gives_way);
    }
    return WEIR_OK;
}

static weir_rc run_workers(crw *c, weir_error *err)
{
    weir_thread *threads[WORKERS_MAX] = {NULL};
    weir_rc rc = WEIR_OK;
    int n = 0;
    c->tokens_at_ms = weir_mono_ms();
    while (rc == WEIR_OK && n < c->own.workers) {
        rc = weir_thread_start(&threads[n], "crawl", crw_worker, c, err);
        n += rc == WEIR_OK;
    }
    if (rc != WEIR_OK) {
        atomic_store(&c->failed, true);
        c->err = *err;
    }
    crw_govern(c);
    for (int i = 0; i < n; i++) {
        weir_thread_join(threads[i]);
    }
    if (atomic_load(&c->failed)) {
        *err = c->err;
        return c->err.code;
    }
    return atomic_load(&c->stop) ? weir_fail(err, WEIR_E_EOF, 0, "stopped") : WEIR_OK;
}

weir_rc crw_copy(crw *c, weir_error *err)
{
    atomic_store(&c->stop, false);
    atomic_store(&c->failed, false);
    weir_rc rc = crw_source_open(c, err);
    if (rc == WEIR_OK && !weir_pg_alive(c->target)) {
        rc = weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY,
                       "the connection that held the lock of job %s is gone: open it again",
                       c->own.job);
    }
    if (rc == WEIR_OK) {
        rc = ready(c, err);
    }
    if (rc == WEIR_OK && !all_copied(c)) {
        crw_set_phase(c, CRW_BARRIER, "");
        rc = crw_barrier(c->source, c->own.barrier_max_ms, barrier_turn, c, err);
        if (rc == WEIR_OK) {
            crw_set_phase(c, CRW_COPYING, "");
            rc = run_workers(c, err);
        }
    }
    crw_set_phase(c, CRW_IDLE, "");
    return rc;
}

uint64_t crw_passed_lsn(crw *c)
{
    weir_monitor_lock(c->m);
    uint64_t lsn = c->passed_lsn;
    weir_monitor_unlock(c->m);
    return lsn;
}

void crw_pause(crw *c, bool pause)
{
    weir_monitor_lock(c->m);
    atomic_store(&c->paused, pause);
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

void crw_stop(crw *c)
{
    weir_monitor_lock(c->m);
    atomic_store(&c->stop, true);
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

/* Rows over the last samples. The caller holds the monitor. */
static int64_t rate(crw *c, int64_t rows)
{
    enum { N = sizeof c->seen / sizeof c->seen[0] };
    int64_t now = weir_mono_ms();
    if (c->nseen == 0 || now - c->seen[c->nseen - 1].at_ms >= SAMPLE_MS) {
        if (c->nseen == N) {
            memmove(c->seen, c->seen + 1, sizeof c->seen - sizeof c->seen[0]);
            c->nseen--;
        }
        c->seen[c->nseen].at_ms = now;
        c->seen[c->nseen++].rows = rows;
    }
    int64_t ms = now - c->seen[0].at_ms;
    int64_t more = rows - c->seen[0].rows;
    return ms > 0 && more > 0 ? more * 1000 / ms : 0;
}

void crw_progress(crw *c, crw_state *out)
{
    *out = (crw_state){.eta_s = -1};
    weir_monitor_lock(c->m);
    out->phase = c->phase;
    out->paused = atomic_load(&c->paused);
    (void)snprintf(out->waits, sizeof out->waits, "%s", c->waits);
    out->tables = (int64_t)c->ntabs;
    for (size_t i = 0; i < c->ntabs; i++) {
        const crw_tab *t = &c->tabs[i];
        out->tables_done += t->copied;
        out->rows += t->rows;
        out->rows_total += t->copied || t->rows > t->est_rows ? t->rows : t->est_rows;
        out->bytes += t->bytes;
        out->chunks += t->chunks;
        out->rejects += t->rejects;
        out->redone += t->redone;
    }
    out->rows += atomic_load(&c->live_rows);
    out->rows_total = out->rows_total > out->rows ? out->rows_total : out->rows;
    out->rows_per_s = rate(c, out->rows);
    out->steps = c->steps;
    out->steps_done = c->steps_done;
    weir_monitor_unlock(c->m);
    if (out->rows_per_s > 0) {
        out->eta_s = (out->rows_total - out->rows) / out->rows_per_s;
    }
}

void crw_table_progress(crw *c, size_t table, crw_table_state *out)
{
    *out = (crw_table_state){.source = NULL};
    weir_monitor_lock(c->m);
    for (size_t i = 0; i < c->ntabs; i++) {
        const crw_tab *t = &c->tabs[i];
        if (t->index == table) {
            *out = (crw_table_state){.source = t->source,
                                     .target = t->target,
                                     .rows = t->rows,
                                     .rows_total = t->rows > t->est_rows ? t->rows : t->est_rows,
                                     .rejects = t->rejects,
                                     .copied = t->copied,
                                     .created = t->created};
        }
    }
    weir_monitor_unlock(c->m);
}
