/* govern.c - the calling thread while workers copy: it watches the source, and makes them stand
 * still for a part of the time when the source suffers.
 *
 * The measure is how fast the source hands out transaction ids, counted while the workers run and
 * while they stand still (a third of a second, the rarer the longer the
 * source does not mind). Let the first be r
 * of the second: when the workers run a share f of the time, the source keeps 1 - f (1 - r) of what
 * it can do without us. source_keep_pct says what that must be at least, which gives f. The workers
 * also stand still while a replica or slot is further behind than lag_max_bytes. And when somebody
 * waits for a table that is being copied in one piece, it is told to give way.
 */
#include <inttypes.h>
#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "migrations/crawler/job.h"

enum {
    STEP_MS = 200,
    RUN_MS = 2000,      /* running before the first look at the undisturbed source … */
    RUN_MAX_MS = 30000, /* … and before later ones, while nothing is amiss */
    SETTLE_MS = 150, /* what is under way when the workers stop still goes through both servers */
    HOLD_MS = 300,   /* standing still after that: at least so long */
    CYCLE_MS = 1500, /* of running and standing still, once it is needed */
    LAG_MS = 1000,
    WAITERS_MS = 500,
    IDLE_PER_S = 20, /* a source with fewer transactions has nothing to lose */
};

typedef struct governor {
    crw *c;
    double run, held; /* transactions per second, averages over some turns; < 0: not known */
    double share;     /* of the time the workers may run */
    int64_t run_ms;   /* between two looks, while that is all of it */
    int64_t lag_at_ms, waiters_at_ms;
    bool lagging;
} governor;

static void hold(crw *c, bool on)
{
    weir_monitor_lock(c->m);
    atomic_store(&c->hold, on);
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

static bool all_copied(crw *c)
{
    bool all = true;
    weir_monitor_lock(c->m);
    for (size_t i = 0; i < c->ntabs; i++) {
        all = all && c->tabs[i].copied;
    }
    weir_monitor_unlock(c->m);
    return all;
}

/* Our lock lets all but DDL and TRUNCATE through; behind one that waits everybody waits. */
static void look_for_waiters(governor *g, crw_tab *t)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' "
        "AND "
        "locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = "
        "current_database()) AND relation IN (SELECT $1::regclass UNION SELECT relid FROM "
        "pg_partition_tree($1::regclass)))";
    const char *params[] = {t->source};
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_pg_query(g->c->source, sql, 1, params, &r, &err) != WEIR_OK) {
        WEIR_WARN("CRW-GOVERN", "the source cannot be watched: %s", err.msg);
    } else if (weir_pg_valuez(r, 0, 0)[0] == 't') {
        atomic_store(&t->gives_way, true);
    }
    weir_pg_rows_free(r);
}

static void look_at_whole(governor *g)
{
    crw *c = g->c;
    if (weir_mono_ms() < g->waiters_at_ms) {
        return;
    }
    g->waiters_at_ms = weir_mono_ms() + WAITERS_MS;
    for (size_t i = 0; i < c->ntabs; i++) {
        crw_tab *t = &c->tabs[i];
        weir_monitor_lock(c->m);
        bool look = t->whole && t->open > 0;
        weir_monitor_unlock(c->m);
        if (look && c->source && weir_pg_ok(c->source)) {
            look_for_waiters(g, t);
        }
    }
}

/* Waits; false: there is nothing to govern any more. */
static bool pass(governor *g, int64_t ms)
{
    crw *c = g->c;
    int64_t end = weir_mono_ms() + ms;
    while (!all_copied(c) && !crw_ended(c)) {
        int64_t left = end - weir_mono_ms();
        if (left <= 0) {
            return true;
        }
        look_at_whole(g);
        (void)crw_wait(c, left < STEP_MS ? left : STEP_MS);
    }
    return false;
}

static bool xids(crw *c, int64_t *out)
{
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_pg_query(c->source, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint", 0,
                      NULL, &r, &err) != WEIR_OK) {
        WEIR_WARN("CRW-GOVERN", "the source cannot be watched: %s", err.msg);
        return false;
    }
    *out = weir_pg_i64(r, 0, 0);
    weir_pg_rows_free(r);
    return true;
}

/* Transactions per second over the next ms; false: not known, or nothing left to govern. */
static bool measure(governor *g, int64_t ms, double *out)
{
    int64_t before = 0;
    int64_t after = 0;
    int64_t from = weir_mono_us();
    if (!xids(g->c, &before) || !pass(g, ms) || !xids(g->c, &after)) {
        return false;
    }
    int64_t us = weir_mono_us() - from;
    *out = (double)(after - before) * 1e6 / (double)(us > 0 ? us : 1);
    return true;
}

static void average(double *avg, double now)
{
    *avg = *avg < 0 ? now : *avg * 0.6 + now * 0.4;
}

static void decide(governor *g)
{
    double keep = (double)g->c->own.source_keep_pct / 100;
    double r = g->held > IDLE_PER_S ? g->run / g->held : 1;
    double share = r >= keep ? 1 : (1 - keep) / (1 - r);
    g->share = share < 0.05 ? 0.05 : share > 1 ? 1 : share;
    WEIR_DEBUG("CRW-GOVERN", "running=%.0f/s still=%.0f/s share=%.2f", g->run, g->held, g->share);
}

/* One turn: running, then standing still. */
static void turn(governor *g)
{
    crw *c = g->c;
    double now = 0;
    int64_t run_ms = g->run_ms;
    int64_t hold_ms = HOLD_MS;
    if (g->share < 1) {
        hold_ms = (int64_t)(CYCLE_MS * (1 - g->share)) - SETTLE_MS;
        hold_ms = hold_ms < HOLD_MS ? HOLD_MS : hold_ms;
        run_ms = (int64_t)((double)(hold_ms + SETTLE_MS) * g->share / (1 - g->share));
    }
    if (measure(g, run_ms, &now)) {
        average(&g->run, now);
    }
    if (c->own.source_keep_pct > 0 && !crw_ended(c) && !all_copied(c)) {
        hold(c, true);
        if (pass(g, SETTLE_MS) && measure(g, hold_ms, &now)) {
            average(&g->held, now);
            decide(g);
            g->run_ms = g->share < 1                 ? RUN_MS
                        : g->run_ms * 2 < RUN_MAX_MS ? g->run_ms * 2
                                                     : RUN_MAX_MS;
        }
        hold(c, false);
    }
}

static void look_at_lag(governor *g)
{
    static const char sql[] =
        "SELECT name, bytes FROM (SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), "
        "replay_lsn) FROM pg_stat_replication UNION ALL SELECT slot_name, "
        "pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(confirmed_flush_lsn, restart_lsn)) FROM "
        "pg_replication_slots) x(name, bytes) ORDER BY bytes DESC NULLS LAST LIMIT 1";
    crw *c = g->c;
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_mono_ms() < g->lag_at_ms) {
        return;
    }
    g->lag_at_ms = weir_mono_ms() + LAG_MS;
    if (weir_pg_query(c->source, sql, 0, NULL, &r, &err) != WEIR_OK) {
        WEIR_WARN("CRW-GOVERN", "the source cannot be watched: %s", err.msg);
        g->lagging = false;
        hold(c, false);
        return;
    }
    int64_t bytes = weir_pg_nrows(r) ? weir_pg_i64(r, 0, 1) : 0;
    bool before = g->lagging;
    g->lagging = bytes > c->own.lag_max_bytes - (before ? c->own.lag_max_bytes / 5 : 0);
    if (g->lagging) {
        char text[200];
        (void)snprintf(text, sizeof text, "%.60s is %" PRId64 " bytes behind the source",
                       weir_pg_valuez(r, 0, 0), bytes);
        crw_set_phase(c, CRW_COPYING, text);
    }
    weir_pg_rows_free(r);
    if (g->lagging != before) {
        hold(c, g->lagging);
        if (before) {
            crw_set_phase(c, CRW_COPYING, "");
        }
    }
}

/* Our session in the target holds the job's lock: without it another run may begin, and copy what
 * we copy. */
static void check_lock(crw *c)
{
    weir_error err;
    if (!weir_pg_alive(c->target)) {
        (void)weir_fail(&err, WEIR_E_CONN, WEIR_EF_RETRY,
                        "the connection that held the lock of job %s is gone: open it again",
                        c->own.job);
        crw_fail(c, &err);
    }
}

void crw_govern(crw *c)
{
    governor g = {.c = c, .run = -1, .held = -1, .share = 1, .run_ms = RUN_MS};
    while (pass(&g, 0)) {
        weir_error err;
        check_lock(c);
        if (crw_source_open(c, &err) != WEIR_OK) {
            WEIR_WARN("CRW-GOVERN", "the source cannot be watched: %s", err.msg);
            (void)pass(&g, LAG_MS);
            continue; /* the workers try again by themselves, and give up when it is time */
        }
        if (c->own.lag_max_bytes > 0) {
            look_at_lag(&g);
        }
        if (!g.lagging && c->own.source_keep_pct > 0) {
            turn(&g);
        } else {
            (void)pass(&g, STEP_MS);
        }
    }
    hold(c, false);
}
